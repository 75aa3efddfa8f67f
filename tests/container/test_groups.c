/* SPDX-License-Identifier: Apache-2.0 */
/* Row groups that a part of a model has: which, where, and whether they are all that are needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "container/groups.h"

static bool has(const container_groups *groups, uint32_t group, uint32_t all) {
  bool found = !groups->some && group < all;
  for (uint32_t i = 0; i < groups->n; i++) found = found || (group >= groups->range[i].first && group < groups->range[i].end);
  return found;
}

/* Row groups by the bits of a number, as ranges; false: they are more than there can be. */
static bool groups_of(uint32_t bits, uint32_t all, container_groups *groups) {
  *groups = (container_groups){.some = true};
  for (uint32_t first = 0; first < all; first++) {
    uint32_t end = first;
    while (end < all && (bits >> end & 1) != 0) end++;
    if (end > first && groups->n == CONTAINER_MAX_RANGES) return false;
    container_groups_add(groups, first, end);
    if (end > first) first = end;
  }
  return true;
}

/* Every set of eight row groups against every other. */
static void test_include(void **state) {
  (void)state;
  enum { ALL = 8 };
  const container_groups whole = {0};
  coder_geometry geometry;
  container_groups have, need;
  assert_true(coder_geometry_from(&geometry, ALL * 16, 8, 1, 8));
  assert_int_equal(geometry.row_groups, ALL);
  for (uint32_t a = 0; a < 1 << ALL; a++) {
    if (!groups_of(a, ALL, &have)) continue;
    assert_true(container_groups_valid(&have, &geometry));
    assert_true(container_groups_include(&whole, &have, &geometry));
    assert_int_equal(container_groups_include(&have, &whole, &geometry), a == (1 << ALL) - 1);
    for (uint32_t g = 0; g < ALL; g++) assert_int_equal(has(&have, g, ALL), a >> g & 1);
    for (uint32_t b = 0; b < 1 << ALL; b++)
      if (groups_of(b, ALL, &need)) assert_int_equal(container_groups_include(&have, &need, &geometry), (b & ~a) == 0);
  }
  assert_true(container_groups_include(&whole, &whole, &geometry));
}

/* The stored blocks of a part are numbered through, and their numbers in the whole lead back. */
static void test_places(void **state) {
  (void)state;
  coder_geometry geometry;
  container_groups groups = {.some = true};
  assert_true(coder_geometry_from(&geometry, 10 * 16 - 3, 1300, 1, 512));
  assert_int_equal(geometry.column_ranges, 3);
  container_groups_add(&groups, 1, 3);
  container_groups_add(&groups, 3, 3);
  container_groups_add(&groups, 2, 4);
  container_groups_add(&groups, 9, 10);
  assert_int_equal(groups.n, 2);
  assert_int_equal(container_groups_blocks(&groups, &geometry), 4 * 3);
  assert_int_equal(container_groups_elements(&groups, &geometry), (3 * 16 + 13) * 1300);
  uint64_t n = 0, place;
  for (uint64_t b = 0; b < geometry.n_blocks; b++) {
    const bool there = has(&groups, (uint32_t)(b / 3), 10);
    assert_int_equal(container_groups_place(&groups, &geometry, b, &place), there);
    if (!there) continue;
    assert_int_equal(place, n);
    assert_int_equal(container_groups_index(&groups, &geometry, n++), b);
  }
  assert_int_equal(n, 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_include), cmocka_unit_test(test_places)};
  return cmocka_run_group_tests_name("row groups", tests, NULL, NULL);
}
