/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that grow: older ones are accepted, with defaults for what they lack; others are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sized.h"

typedef struct thing { size_t size; uint64_t first; uint64_t later; } thing;
static void thing_init_sized(void *given, size_t size) {
  const thing own = {.size = size, .first = 1, .later = 2};
  ellm_sized_init(given, &own, sizeof own);
}
static void thing_init(thing *t) { thing_init_sized(t, sizeof *t); }

static ellm_status take(const void *given, thing *out, ellm_error *err) {
  ELLM_SIZED(thing, own, given, err);
  *out = own;
  return ELLM_OK;
}

static void sizes(void **state) {
  (void)state;
  ellm_error err;
  thing given, got = {0};
  thing_init(&given);
  given.first = 7;
  given.later = 8;
  assert_int_equal(take(&given, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 7 && got.later == 8);
  assert_int_equal(take(NULL, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 1 && got.later == 2);
  given.size = offsetof(thing, later); /* of a program built before */
  assert_int_equal(take(&given, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 7 && got.later == 2);
}

static void refused(void **state) {
  (void)state;
  static const size_t wrong[] = {0, 1, sizeof(size_t) - 1, sizeof(thing) + 8, SIZE_MAX};
  ellm_error err;
  thing given, got;
  thing_init(&given);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    given.size = wrong[i];
    assert_int_equal(take(&given, &got, &err), ELLM_ERR_USAGE);
    assert_non_null(strstr(err.message, "thing.size is "));
  }
}

/* The caller's header may be older or newer than the library. */
static void initialized(void **state) {
  (void)state;
  ellm_error err;
  thing got = {0};
  struct { thing known; uint64_t more[2]; } newer;
  struct { size_t size; uint64_t first, beside; } older = {.beside = 77};
  thing_init_sized(&older, offsetof(thing, later));
  assert_true(older.size == offsetof(thing, later) && older.first == 1 && older.beside == 77);
  assert_int_equal(take(&older, &got, &err), ELLM_OK);
  assert_true(got.first == 1 && got.later == 2);
  memset(&newer, 0xAA, sizeof newer);
  thing_init_sized(&newer, sizeof newer);
  assert_true(newer.known.size == sizeof newer && newer.known.later == 2 && newer.more[0] == 0 && newer.more[1] == 0);
  assert_int_equal(take(&newer, &got, &err), ELLM_ERR_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(refused), cmocka_unit_test(initialized)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
