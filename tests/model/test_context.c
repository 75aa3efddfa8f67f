/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: truncation, limits, what is refused and what is left unchanged then,
 * the cache across the boundary of longrope. */
#include "model/model_testing.h"

static void expect_error(ellm_status status, ellm_status expected, const ellm_error *err, const char *word) {
  assert_int_equal(status, expected);
  if (strstr(err->message, word) == NULL) fail_msg("\"%s\" does not say \"%s\"", err->message, word);
}

static void truncation_gives_the_same_logits(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const uint32_t ids[6] = {1, 50, 60, 70, 80, 90}, other[2] = {300, 301};
  float *expected = malloc(info.vocab_size * sizeof(float)), *got = malloc(info.vocab_size * sizeof(float));
  ellm_context *context;
  ASSERT_OK(ellm_context_create(model, 16, &context, ERR));
  ASSERT_OK(ellm_context_eval(context, ids, 6, expected, 1, ERR));
  ellm_context_truncate(context, 3);
  assert_int_equal(ellm_context_length(context), 3);
  ASSERT_OK(ellm_context_eval(context, other, 2, got, 1, ERR));
  assert_memory_not_equal(expected, got, info.vocab_size * sizeof(float));
  ellm_context_truncate(context, 3);
  ASSERT_OK(ellm_context_eval(context, ids + 3, 3, got, 1, ERR));
  assert_memory_equal(expected, got, info.vocab_size * sizeof(float));
  ellm_context_truncate(context, 99); /* nothing to forget */
  assert_int_equal(ellm_context_length(context), 6);
  free(expected);
  free(got);
  ellm_context_free(context);
  ellm_model_close(model);
}

static void limits(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model = open_model(STORIES_FOLDER, 1, ELLM_ACTIVATIONS_AUTO);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  assert_int_equal(info.activations, ELLM_ACTIVATIONS_F32);
  assert_int_equal(info.cache_type, ELLM_CACHE_F32);
  ellm_context *context;
  expect_error(ellm_context_create(model, info.max_context + 1, &context, &err), ELLM_ERR_INPUT, &err, "beyond");
  assert_null(context);
  ASSERT_OK(ellm_context_create(model, 0, &context, ERR));
  assert_int_equal(ellm_context_capacity(context), info.max_context < 4096 ? info.max_context : 4096);
  ellm_context_free(context);

  ASSERT_OK(ellm_context_create(model, 4, &context, ERR));
  const uint32_t ids[5] = {1, 2, 3, 4, 5}, beyond[2] = {1, info.vocab_size};
  float *row = malloc(info.vocab_size * sizeof *row);
  ASSERT_OK(ellm_context_eval(context, ids, 3, NULL, 0, ERR));
  expect_error(ellm_context_eval(context, ids, 2, row, 1, &err), ELLM_ERR_INPUT, &err, "full");
  expect_error(ellm_context_eval(context, beyond + 1, 1, row, 1, &err), ELLM_ERR_INPUT, &err, "beyond");
  expect_error(ellm_context_eval(context, ids, 1, row, 2, &err), ELLM_ERR_USAGE, &err, "asked");
  assert_int_equal(ellm_context_length(context), 3);
  ASSERT_OK(ellm_context_eval(context, ids, 0, NULL, 0, ERR));
  ASSERT_OK(ellm_context_eval(context, ids + 3, 1, row, 1, ERR));
  assert_int_equal(ellm_context_length(context), 4);
  free(row);
  ellm_context_free(context);
  ellm_model_close(model);
}

static void modes_that_do_not_go_together(void **state) {
  (void)state;
  ellm_model_options options;
  ellm_model *model;
  ellm_error err;
  ellm_model_options_init(&options);
  options.activations = ELLM_ACTIVATIONS_I16;
  expect_error(ellm_model_open(STORIES_FOLDER, &options, &model, &err), ELLM_ERR_USAGE, &err, "folder");
  options.activations = ELLM_ACTIVATIONS_F32;
  options.cache_type = ELLM_CACHE_F16;
  expect_error(ellm_model_open(STORIES_FOLDER, &options, &model, &err), ELLM_ERR_USAGE, &err, "cache");
  ellm_model_options_init(&options);
  expect_error(ellm_model_open("/nonexistent/model", &options, &model, &err), ELLM_ERR_IO, &err, "/nonexistent/model");
  assert_null(model);
}

/* Generation one by one across original_max_position_embeddings gives what all ids at once give. */
static void longrope_rebuilds_its_cache(void **state) {
  (void)state;
  char path[512];
  assert_true(golden_model("phi3-longrope", path, sizeof path));
  ellm_model *model = open_model(path, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  assert_true(golden_model("phi3-longrope/config.json", path, sizeof path));
  json_t *config = load_json(path);
  const json_t *original = json_object_get(config, "original_max_position_embeddings");
  if (original == NULL)
    original = json_object_get(json_object_get(config, "rope_parameters"), "original_max_position_embeddings");
  const size_t boundary = (size_t)json_integer_value(original), n = boundary + 3;
  assert_true(boundary > 8 && n < info.max_context);
  uint32_t *ids = calloc(n, sizeof *ids);
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)(i * 37 + 5) % info.vocab_size;
  float *expected = malloc(info.vocab_size * sizeof(float)), *got = malloc(info.vocab_size * sizeof(float));
  ellm_context *context;
  for (size_t end = boundary - 2; end <= n; end++) {
    ASSERT_OK(ellm_context_create(model, (uint32_t)n, &context, ERR));
    ASSERT_OK(ellm_context_eval(context, ids, end, expected, 1, ERR));
    ellm_context_free(context);
    ASSERT_OK(ellm_context_create(model, (uint32_t)n, &context, ERR));
    for (size_t i = 0; i < end; i++) ASSERT_OK(ellm_context_eval(context, ids + i, 1, got, 1, ERR));
    assert_memory_equal(expected, got, info.vocab_size * sizeof(float));
    /* and back below the boundary */
    ellm_context_truncate(context, 4);
    ASSERT_OK(ellm_context_eval(context, ids + 4, end - 4, got, 1, ERR));
    assert_memory_equal(expected, got, info.vocab_size * sizeof(float));
    ellm_context_free(context);
  }
  free(ids);
  free(expected);
  free(got);
  json_decref(config);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncation_gives_the_same_logits),
      cmocka_unit_test(limits),
      cmocka_unit_test(modes_that_do_not_go_together),
      cmocka_unit_test(longrope_rebuilds_its_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
