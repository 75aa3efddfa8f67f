/* SPDX-License-Identifier: Apache-2.0 */
/* A KV cache in 8 bits: the same logits in every way to make them, of models with windows, capped scores and odd heads;
 * near those of an F16 cache; forks, truncation and prompt caches; memory. */
#include "model/same_logits.h"

#include "base/bytes.h"
#include "model/prompt_cache.h"

static ellm_model *open_cached(const char *path, ellm_cache_type cache) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_options_init(&options);
  options.threads = 2;
  options.cache_type = cache;
  options.cache_positions = 160;
  ASSERT_OK(ellm_model_open(path, &options, &model, ERR));
  return model;
}

static void of_small_models(void **state) {
  (void)state;
  static const char *const names[] = {"llama-odd-shapes", "mistral-window", "gemma2-caps", "gemma3-windows",
                                      "smollm3-no-rope", "qwen3moe-plain"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char folder[600], path[128];
    ellm_compress_options options;
    if (!golden_model(names[i], folder, sizeof folder)) fail_msg("%s is not there", names[i]);
    snprintf(path, sizeof path, "%s/%s.ellm", fix.folder, names[i]);
    ellm_compress_options_init(&options);
    options.bits = 8;
    ASSERT_OK(ellm_compress(folder, path, &options, NULL, ERR));
    check_cached(path, i % 2 ? ELLM_ACTIVATIONS_I16 : ELLM_ACTIVATIONS_I8, ELLM_CACHE_Q8);
  }
}

/* Mean divergence of the logits b from a. */
static double divergence(const float *a, const float *b, size_t vocab) {
  double sum = 0;
  for (size_t row = 0; row < N_IDS; row++, a += vocab, b += vocab) {
    double za = 0, zb = 0;
    for (size_t j = 0; j < vocab; j++) za += exp(a[j]), zb += exp(b[j]);
    for (size_t j = 0; j < vocab; j++) sum += exp(a[j]) / za * (a[j] - log(za) - (b[j] - log(zb)));
  }
  return sum / N_IDS;
}

static void near_halves(void **state) {
  (void)state;
  size_t n;
  float *exact = logits_cached(fix.file[0], 2, ELLM_ACTIVATIONS_I16, ELLM_CACHE_F32, N_IDS, &n);
  float *q8 = logits_cached(fix.file[0], 2, ELLM_ACTIVATIONS_I16, ELLM_CACHE_Q8, N_IDS, &n);
  const double kl = divergence(exact, q8, n / N_IDS);
  print_message("mean divergence from an F32 cache: %.2g\n", kl);
  assert_true(kl > 0 && kl < 2e-3);
  free(exact);
  free(q8);
}

/* Two continuations of one beginning, in one batch, are what each is alone; so is what follows a truncation. */
static void forks(void **state) {
  (void)state;
  ellm_model *model = open_cached(fix.file[0], ELLM_CACHE_Q8);
  ellm_model_info info;
  uint32_t ids[N_IDS], other[N_IDS];
  ellm_sequence *fork;
  ellm_model_get_info(model, &info);
  assert_int_equal(info.cache_type, ELLM_CACHE_Q8);
  const size_t bytes = info.vocab_size * sizeof(float);
  make_ids(ids, info.vocab_size);
  memcpy(other, ids, sizeof ids);
  for (size_t i = 20; i < N_IDS; i++) other[i] = (ids[i] + 1) % info.vocab_size;
  float *expected = all_logits(model, ids, 40, 40), *of_other = all_logits(model, other, 40, 40);
  float *got = malloc(40 * bytes);
  ellm_sequence *s = sequence_of(model, ids, 20);
  ASSERT_OK(ellm_sequence_fork(s, &fork, ERR));
  const ellm_batch_item both[] = {{s, ids + 20, 20, got, 20}, {fork, other + 20, 20, got + 20 * info.vocab_size, 20}};
  ASSERT_OK(ellm_evaluate(model, both, 2, ERR));
  assert_memory_equal(got, expected + (size_t)20 * info.vocab_size, 20 * bytes);
  assert_memory_equal(got + (size_t)20 * info.vocab_size, of_other + (size_t)20 * info.vocab_size, 20 * bytes);
  ASSERT_OK(ellm_sequence_truncate(fork, 20, ERR));
  ASSERT_OK(ellm_model_reserve(model, 4000, ERR)); /* pages move */
  ASSERT_OK(append(model, fork, ids + 20, 20, got, 20, ERR));
  assert_memory_equal(got, expected + (size_t)20 * info.vocab_size, 20 * bytes);
  free(expected);
  free(of_other);
  free(got);
  ellm_sequence_free(fork);
  ellm_sequence_free(s);
  ellm_model_close(model);
}

static void prompt_caches(void **state) {
  (void)state;
  enum { N = 37 };
  char path[128], again[128];
  uint32_t ids[N_IDS];
  uint8_t *first, *second;
  size_t n_first, n_second;
  ellm_error err;
  ellm_model *model = open_cached(fix.file[0], ELLM_CACHE_Q8), *halves = open_cached(fix.file[0], ELLM_CACHE_F16);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  make_ids(ids, info.vocab_size);
  snprintf(path, sizeof path, "%s/prompt", fix.folder);
  snprintf(again, sizeof again, "%s/again", fix.folder);
  float *expected = all_logits(model, ids, N + 1, N + 1), *got = malloc(info.vocab_size * sizeof *got);
  for (uint32_t n = N; n >= 15; n -= 11) {
    ellm_sequence *s = sequence_of(model, ids, n), *restored = sequence_of(model, ids + 3, 30);
    ASSERT_OK(ellm_sequence_save(s, path, NULL, NULL, ERR));
    ASSERT_OK(ellm_sequence_restore(restored, path, NULL, 0, NULL, NULL, ERR));
    assert_int_equal(ellm_sequence_length(restored), n);
    ASSERT_OK(append(model, restored, ids + n, 1, got, 1, ERR));
    assert_memory_equal(got, expected + (size_t)n * info.vocab_size, info.vocab_size * sizeof *got);
    ASSERT_OK(ellm_sequence_truncate(restored, n, ERR)); /* the last page holds a position more than is saved */
    ASSERT_OK(ellm_sequence_save(restored, again, NULL, NULL, ERR));
    ASSERT_OK(file_read_all(path, 1 << 24, &first, &n_first, ERR));
    ASSERT_OK(file_read_all(again, 1 << 24, &second, &n_second, ERR));
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    free(first);
    free(second);
    ellm_sequence_free(restored);
    restored = sequence_of(halves, ids, 4);
    expect_error(ellm_sequence_restore(restored, path, ids, n, NULL, NULL, &err), ELLM_ERR_INPUT, &err,
                 "KV cache of type q8 (3), not f16");
    assert_int_equal(ellm_sequence_length(restored), 4);
    ASSERT_OK(ellm_sequence_save(restored, again, NULL, NULL, ERR));
    expect_error(ellm_sequence_restore(s, again, ids, n, NULL, NULL, &err), ELLM_ERR_INPUT, &err,
                 "KV cache of type f16 (2), not q8");
    ellm_sequence_free(restored);
    ellm_sequence_free(s);
  }
  free(expected);
  free(got);
  ellm_model_close(halves);
  ellm_model_close(model);
}

static void memory(void **state) {
  (void)state;
  ellm_model_info info;
  ellm_error err;
  ellm_model_options options;
  ellm_model *q8 = open_cached(fix.file[0], ELLM_CACHE_Q8), *f16 = open_cached(fix.file[0], ELLM_CACHE_F16), *none;
  ellm_model_get_info(q8, &info);
  const uint64_t heads = (uint64_t)info.n_layers * info.n_kv_heads;
  assert_int_equal(ellm_model_cache_bytes(f16, 17), 32 * heads * info.head_dim * 4);
  assert_int_equal(ellm_model_cache_bytes(q8, 17), 32 * heads * ((info.head_dim + 3) / 4 * 4 + 2) * 2);
  assert_int_equal(ellm_model_cache_bytes(q8, 0), 0);
  assert_true(ellm_model_cache_bytes(q8, UINT64_MAX) == UINT64_MAX);
  assert_true(ellm_model_cache_bytes(q8, UINT64_MAX / 16) == UINT64_MAX);
  ellm_model_close(q8);
  ellm_model_close(f16);
  prompt_cache_layout layout;
  prompt_cache_shape shape = {.cache_type = ELLM_CACHE_Q8, .n_layers = 2, .n_kv_heads = 3, .head_dim = 5};
  assert_true(prompt_cache_layout_of(&shape, 17, &layout));
  assert_int_equal(layout.key_bytes, 2 * 16 * (8 + 2));
  assert_int_equal(layout.value_bytes, layout.key_bytes);
  shape.head_dim = shape.n_layers = UINT32_MAX;
  assert_false(prompt_cache_layout_of(&shape, UINT32_MAX, &layout));
  ellm_model_options_init(&options);
  options.cache_type = ELLM_CACHE_Q8;
  expect_error(ellm_model_open(STORIES_FOLDER, &options, &none, &err), ELLM_ERR_USAGE, &err, "need an F32 KV cache");
  options.cache_type = (ellm_cache_type)4;
  expect_error(ellm_model_open(fix.file[0], &options, &none, &err), ELLM_ERR_USAGE, &err, "no such type");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_small_models), cmocka_unit_test(near_halves), cmocka_unit_test(forks),
      cmocka_unit_test(prompt_caches),   cmocka_unit_test(memory),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
