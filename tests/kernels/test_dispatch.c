/* SPDX-License-Identifier: Apache-2.0 */
/* The list of tables: order, names, forcing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

static const char *const all_names[] = {
#define KERNEL_ISA(name, usable) #name,
#include "kernels/isa_list.inc"
#undef KERNEL_ISA
};
enum { N_NAMES = sizeof all_names / sizeof all_names[0] };

static void test_list(void **state) {
  (void)state;
  size_t n = 0, listed = 0;
  for (const kernel_table *table; (table = kernels_at(n)); n++) {
    while (listed < N_NAMES && strcmp(all_names[listed], table->isa) != 0) listed++;
    assert_true(listed < N_NAMES); /* in the order of the list, hence without repetition */
    assert_true(kernels_find(table->isa) == table);
    printf("# usable: %s\n", table->isa);
  }
  assert_true(n >= 1);
  assert_int_equal(strcmp(kernels_at(0)->isa, "scalar"), 0);
  assert_true(kernels_at(n + 1) == NULL);
  assert_true(kernels_best() == kernels_at(n - 1));
}

static void test_unusable_is_not_found(void **state) {
  (void)state;
  assert_true(kernels_find("") == NULL);
  assert_true(kernels_find("AVX2") == NULL);
  assert_true(kernels_find("vax") == NULL);
  for (size_t i = 0; i < N_NAMES; i++) {
    bool usable = false;
    for (size_t j = 0; kernels_at(j); j++) usable = usable || strcmp(kernels_at(j)->isa, all_names[i]) == 0;
    assert_true((kernels_find(all_names[i]) != NULL) == usable);
    assert_true(kernels_force(all_names[i]) == usable);
    assert_true(kernels_force(NULL));
  }
}

static void test_force(void **state) {
  (void)state;
  const kernel_table *best = kernels_best();
  for (size_t i = 0; kernels_at(i); i++) {
    assert_true(kernels_force(kernels_at(i)->isa));
    assert_true(kernels_best() == kernels_at(i));
    assert_true(!kernels_force("vax"));
    assert_true(kernels_best() == kernels_at(i));
  }
  assert_true(kernels_force(NULL));
  assert_true(kernels_best() == best);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_list),
    cmocka_unit_test(test_unusable_is_not_found),
    cmocka_unit_test(test_force),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
