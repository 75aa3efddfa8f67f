/* SPDX-License-Identifier: Apache-2.0 */
/* Handles through entrollm.h alone: nothing may be freed, a failed call hands out nothing, all lives end together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <entrollm.h>

#define MODEL ENTROLLM_SOURCE_DIR "/models/stories-4m"

static void ok(ellm_status status, const ellm_error *err) {
  if (status != ELLM_OK) fail_msg("%d: %s", (int)status, err->message);
}

static void nothing_to_free(void **state) {
  (void)state;
  ellm_report_free(NULL);
  ellm_file_close(NULL);
  ellm_verify_free(NULL);
  ellm_source_close(NULL);
  ellm_tokenizer_free(NULL);
  ellm_model_close(NULL);
  ellm_sequence_free(NULL);
  ellm_sampler_free(NULL);
  ellm_generator_free(NULL);
  ellm_answer_free(NULL);
  ellm_chat_free(NULL);
  ellm_perplexity_result_free(NULL);
  ellm_divergence_result_free(NULL);
  ellm_choice_set_free(NULL);
  ellm_choice_result_free(NULL);
  ellm_gsm8k_result_free(NULL);
  ellm_bench_matrix_free(NULL);
}

static void tells_its_number(void **state) {
  (void)state;
  assert_int_equal(ellm_abi(), ELLM_ABI);
}

static void nothing_after_an_error(void **state) {
  (void)state;
  static char some[8]; /* an address that would be freed */
  ellm_error err;
  ellm_file *file = (ellm_file *)some;
  ellm_model *model = (ellm_model *)some;
  ellm_source *source = (ellm_source *)some;
  ellm_tokenizer *tokenizer = (ellm_tokenizer *)some;
  ellm_sampler *sampler = (ellm_sampler *)some;
  ellm_chat *chat = (ellm_chat *)some;
  ellm_sampling sampling;
  assert_int_not_equal(ellm_file_open("/no/file", &file, &err), ELLM_OK);
  assert_int_not_equal(ellm_model_open("/no/file", NULL, &model, &err), ELLM_OK);
  assert_int_not_equal(ellm_source_open("/no/file", &source, NULL), ELLM_OK);
  assert_int_not_equal(ellm_tokenizer_create("{", 1, "test", &tokenizer, &err), ELLM_OK);
  ellm_sampling_init(&sampling);
  sampling.temperature = -1;
  assert_int_not_equal(ellm_sampler_create(&sampling, 10, &sampler, &err), ELLM_OK);
  assert_int_not_equal(ellm_chat_open_files("/no/file", NULL, &chat, &err), ELLM_OK);
  assert_true(!file && !model && !source && !tokenizer && !sampler && !chat);
}

static void from_opening_to_closing(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model;
  ellm_model_info info;
  ellm_model_options options;
  ellm_generator *generator;
  ellm_request request;
  ellm_answer *answer;
  ellm_answer_info told;
  ellm_sequence *sequence;
  const ellm_tokenizer *tokenizer;
  uint32_t *ids;
  size_t n_ids, bytes;
  ellm_model_options_init(&options);
  options.cache_positions = 64;
  options.size = offsetof(ellm_model_options, cache_positions); /* of a program that does not know it: the default */
  ok(ellm_model_open(MODEL, &options, &model, &err), &err);
  memset(&info, 0xff, sizeof info);
  ellm_model_get_info(model, &info);
  for (size_t i = 0; i < sizeof info.reserved / sizeof *info.reserved; i++) assert_true(info.reserved[i] == 0);
  uint32_t positions;
  ok(ellm_sequence_create(model, &sequence, &err), &err);
  ellm_model_cache_usage(model, &positions, NULL);
  assert_true(positions > 64);
  ok(ellm_model_tokenizer(model, &tokenizer, &err), &err);
  ok(ellm_tokenizer_encode(tokenizer, "Once upon a", 11, ELLM_ENCODE_DEFAULT, &ids, &n_ids, &err), &err);
  ok(ellm_generator_create(model, NULL, &generator, &err), &err);
  ellm_request_init(&request);
  request.prompt = ids;
  request.n_prompt = n_ids;
  request.limit = 5;
  request.sequence = sequence;
  ok(ellm_generator_add(generator, &request, &answer, &err), &err);
  free(ids); /* it was copied */
  ok(ellm_generator_run(generator, NULL, NULL, &err), &err);
  memset(&told, 0xff, sizeof told);
  ellm_answer_get_info(answer, &told);
  assert_true(told.end == ELLM_END_LIMIT && told.n_ids == 5 && told.n_prompt == n_ids && told.reserved[0] == 0);
  const char *text = ellm_answer_text(answer, &bytes);
  assert_true(ellm_answer_text(answer, NULL) == text && ellm_answer_ids(answer, NULL) != NULL);
  assert_true(bytes == strlen(text) && strncmp(text, " time", 5) == 0);
  ellm_generator_free(generator);
  ellm_model_close(model); /* the sequence is still there */
  assert_true(ellm_sequence_length(sequence) >= n_ids);
  ellm_sequence_free(sequence);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_to_free), cmocka_unit_test(tells_its_number),
                                     cmocka_unit_test(nothing_after_an_error),
                                     cmocka_unit_test(from_opening_to_closing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
