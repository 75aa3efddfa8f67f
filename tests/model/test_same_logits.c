/* SPDX-License-Identifier: Apache-2.0 */
/* Logits are the same bits for every number of threads, cut into batches and
 * instruction set, in every mode of activations: a folder, and a file of 8 bits for speed. */
#include "model/same_logits.h"

static void of_a_folder(void **state) {
  (void)state;
  check_path(STORIES_FOLDER, ELLM_ACTIVATIONS_F32);
}

static void of_a_file(void **state) {
  (void)state;
  check_path(fix.file[0], ELLM_ACTIVATIONS_F32);
  check_path(fix.file[0], ELLM_ACTIVATIONS_I8);
  check_path(fix.file[0], ELLM_ACTIVATIONS_I16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_folder),
      cmocka_unit_test(of_a_file),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
