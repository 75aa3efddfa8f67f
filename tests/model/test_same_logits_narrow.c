/* SPDX-License-Identifier: Apache-2.0 */
/* As test_same_logits.c: a file of 4 bits for size. */
#include "model/same_logits.h"

static void of_a_file(void **state) {
  (void)state;
  check_path(fix.file[1], ELLM_ACTIVATIONS_F32);
  check_path(fix.file[1], ELLM_ACTIVATIONS_I8);
  check_path(fix.file[1], ELLM_ACTIVATIONS_I16);
  check_path(fix.file[2], ELLM_ACTIVATIONS_F32);
  check_path(fix.file[2], ELLM_ACTIVATIONS_I16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_file),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
