/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generated token costs no allocation: not in the evaluation, on any thread,
 * nor in sampling.
 */
#include <unistd.h>

#include "failing_allocator.h"
#include "model/model_testing.h"

static void the_count_works(void **state) {
  (void)state;
  const long before = allocator.calls;
  void *volatile block = malloc(10);
  assert_int_equal(allocator.calls, before + 1);
  free(block);
}

static void generate(ellm_model *model, float temperature) {
  ellm_model_info info;
  ellm_sampler *sampler;
  const uint32_t prompt[] = {1, 50, 60, 70, 80, 90};
  ellm_sampling sampling = {.size = sizeof sampling, .temperature = temperature, .top_k = 40, .top_p = 0.9f,
                            .min_p = 0.01f, .repeat_penalty = 1.1f, .seed = 1};
  ellm_model_get_info(model, &info);
  float *logits = malloc(info.vocab_size * sizeof *logits);
  assert_non_null(logits);
  ellm_sequence *s = sequence_of(model, prompt, 0);
  ASSERT_OK(ellm_sampler_create(&sampling, info.vocab_size, &sampler, ERR));
  ASSERT_OK(append(model, s, prompt, 6, logits, 1, ERR));
  const long before = allocator.calls;
  ellm_status status = ELLM_OK;
  for (int i = 0; i < 58 && status == ELLM_OK; i++) {
    uint32_t id;
    status = ellm_sampler_next(sampler, logits, &id, NULL);
    ellm_sampler_accept(sampler, id);
    if (status == ELLM_OK) status = append(model, s, &id, 1, logits, 1, NULL);
  }
  const long calls = allocator.calls - before;
  assert_int_equal(status, ELLM_OK);
  assert_int_equal(ellm_sequence_length(s), 64);
  assert_int_equal(calls, 0);
  free(logits);
  ellm_sampler_free(sampler);
  ellm_sequence_free(s);
}

static void no_token_allocates(void **state) {
  (void)state;
  char path[] = "/tmp/ellm-allocations-XXXXXX";
  const int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.overwrite = true;
  options.bits = 4;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path, &options, NULL, ERR));
  const ellm_activations modes[] = {ELLM_ACTIVATIONS_F32, ELLM_ACTIVATIONS_I8, ELLM_ACTIVATIONS_I16};
  for (int mode = -1; mode < 3; mode++) {
    for (int threads = 1; threads <= 3; threads++) {
      ellm_model *model = mode < 0 ? open_model(STORIES_FOLDER, threads, ELLM_ACTIVATIONS_F32)
                                   : open_model(path, threads, modes[mode]);
      generate(model, 0);
      generate(model, 0.8f);
      ellm_model_close(model);
    }
  }
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_count_works), cmocka_unit_test(no_token_allocates)};
  return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
