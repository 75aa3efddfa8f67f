/* SPDX-License-Identifier: Apache-2.0 */
/* What test_same_logits.c asks of one model, of the small golden ones of other families: windows in some layers, norms
 * behind, capped scores, layers that do not rotate, experts. A folder, and a file that is made of it, in every mode. */
#include "model/same_logits.h"

static void make_file(const char *folder) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.bits = 6;
  snprintf(fix.file[0], sizeof fix.file[0], "/tmp/ellm_family_%d.ellm", (int)getpid());
  unlink(fix.file[0]);
  ASSERT_OK(ellm_compress(folder, fix.file[0], &options, NULL, ERR));
}

static void expanded(void) {
  static const ellm_activations modes[] = {ELLM_ACTIVATIONS_F32, ELLM_ACTIVATIONS_I16};
  for (int mode = 0; mode < 2; mode++) {
    ellm_model_options options;
    ellm_model *model = NULL;
    ellm_model_info info;
    uint32_t ids[N_IDS];
    size_t n;
    float *expected = logits_of(fix.file[0], 2, modes[mode], 7, &n);
    ellm_model_options_init(&options);
    options.activations = modes[mode];
    options.expand = true;
    ASSERT_OK(ellm_model_open(fix.file[0], &options, &model, ERR));
    ellm_model_get_info(model, &info);
    make_ids(ids, info.vocab_size);
    expect_equal(expected, all_logits(model, ids, N_IDS, N_IDS), n, "expanded");
    ellm_model_close(model);
    free(expected);
  }
}

static void of_a_family(void **state) {
  char folder[512];
  assert_true(golden_model(*state, folder, sizeof folder));
  check_path(folder, ELLM_ACTIVATIONS_F32);
  make_file(folder);
  check_path(fix.file[0], ELLM_ACTIVATIONS_F32);
  check_path(fix.file[0], ELLM_ACTIVATIONS_I8);
  check_path(fix.file[0], ELLM_ACTIVATIONS_I16);
  expanded();
  unlink(fix.file[0]);
}

int main(void) {
  static const char *const names[] = {"gemma2-caps",    "gemma3-windows", "mixtral-window",
                                      "qwen3moe-mixed", "qwen3moe-plain", "smollm3-windows"};
  struct CMUnitTest tests[sizeof names / sizeof *names];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    tests[i] = (struct CMUnitTest){names[i], of_a_family, NULL, NULL, (void *)names[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
