/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes: the distribution of weights, elements that depend on their number alone, the tensors of all families against
 * those of checkpoints, files that run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/file.h"
#include "bench/random_weights.h"
#include "bench/shape_source.h"
#include "container/hash.h"

static double quantiles[RANDOM_LEVELS];
static uint16_t table[RANDOM_LEVELS];

/* Quantiles of Student's t with 5 degrees of freedom as tables print them. */
static void test_distribution(void **state) {
  (void)state;
  static const double known[][2] = {{0.75, 0.726687}, {0.9, 1.475884}, {0.975, 2.570582}, {0.995, 4.032143}};
  double squares = 0;
  for (int i = 0; i < RANDOM_LEVELS; i++) {
    assert_true(quantiles[i] == -quantiles[RANDOM_LEVELS - 1 - i]);
    assert_true(i == 0 || quantiles[i] >= quantiles[i - 1]);
    squares += quantiles[i] * quantiles[i];
  }
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const double at = known[i][0] * RANDOM_LEVELS - 0.5;
    const int below = (int)at;
    const double value = quantiles[below] + (at - below) * (quantiles[below + 1] - quantiles[below]);
    assert_true(value > known[i][1] - 2e-4 && value < known[i][1] + 2e-4);
  }
  assert_true(quantiles[RANDOM_LEVELS - 1] == 13);
  assert_true(squares / RANDOM_LEVELS > 1.6 && squares / RANDOM_LEVELS < 5.0 / 3);
}

/* Any range has the elements of the whole, the same ones on every machine. */
static void test_elements(void **state) {
  (void)state;
  enum { N = 1001 };
  uint8_t all[2 * N], part[2 * N + 1];
  const uint64_t key = random_key(1, "model.embed_tokens.weight");
  assert_int_not_equal(key, random_key(2, "model.embed_tokens.weight"));
  assert_int_not_equal(key, random_key(1, "model.norm.weight"));
  random_elements(table, key, 0, all, N);
  for (size_t first = 0; first < 9; first++)
    for (size_t n = 0; n < 14; n++) {
      memset(part, 0xEE, sizeof part);
      random_elements(table, key, first, part + 1, n);
      assert_memory_equal(part + 1, all + 2 * first, 2 * n);
      assert_int_equal(part[2 * n + 1], 0xEE);
    }
  random_elements(table, key, 500, part, N - 500);
  assert_memory_equal(part, all + 1000, 2 * (N - 500));
  assert_true(hash64(all, sizeof all) == UINT64_C(0x610fee1d7fdda47f));
}

static void read_config(const char *folder, ellm_bench_shape *shape, uint8_t **config) {
  char path[600];
  ellm_error err;
  snprintf(path, sizeof path, "%s/config.json", folder);
  ellm_bench_shape_init(shape);
  assert_int_equal(file_read_all(path, 1 << 20, config, &shape->config_bytes, &err), ELLM_OK);
  shape->name = folder;
  shape->config = *config;
}

/* A shape has the tensors of a checkpoint that Transformers wrote, no more and no less. */
static void test_tensors(void **state) {
  (void)state;
  static const char *const models[] = {"gemma2-caps", "gemma3-by-type", "gemma3-windows", "llama-odd-shapes",
                                       "llama-rope-yarn", "llama-tied-gqa", "llama32", "mistral-window",
                                       "mixtral-window", "phi3-longrope", "phi4-mini", "qwen2-bias", "qwen3-qknorm",
                                       "qwen3moe-mixed", "qwen3moe-plain", "smollm3-no-rope", "smollm3-windows"};
  for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
    char folder[512];
    uint8_t *config = NULL;
    tensor_source *model, *made;
    ellm_bench_shape shape;
    ellm_error err;
    snprintf(folder, sizeof folder, ENTROLLM_SOURCE_DIR "/tests/golden/models/%s", models[k]);
    read_config(folder, &shape, &config);
    assert_int_equal(source_open(folder, NULL, &model, &err), ELLM_OK);
    assert_int_equal(shape_source_open(&shape, &made, &err), ELLM_OK);
    for (size_t i = 0; i < source_count(model); i++) {
      const source_tensor *wanted = source_at(model, i), *got = source_find(made, wanted->name);
      if (got == NULL) fail_msg("%s: %s", models[k], wanted->name);
      assert_int_equal(got->n_dims, wanted->n_dims);
      assert_memory_equal(got->shape, wanted->shape, sizeof got->shape);
    }
    assert_int_equal(source_count(made), source_count(model));
    source_close(made);
    source_close(model);
    free(config);
  }
}

/* The published ones have as many parameters as their names say. */
static void test_published(void **state) {
  (void)state;
  static const struct { const char *name; uint64_t parameters; } known[] = {{"qwen3-30b-a3b", 30532122624},
                                                                           {"gemma-3-4b", 3880263168}};
  for (size_t k = 0; k < 2; k++) {
    ellm_bench_shape shape;
    tensor_source *s;
    ellm_error err;
    uint64_t n = 0;
    ellm_bench_shape_init(&shape);
    shape.name = known[k].name;
    assert_int_equal(shape_source_open(&shape, &s, &err), ELLM_OK);
    for (size_t i = 0; i < source_count(s); i++) n += source_at(s, i)->n_elements;
    assert_true(n == known[k].parameters);
    const size_t count = source_count(s);
    source_close(s);
    shape.layers = 1;
    assert_int_equal(shape_source_open(&shape, &s, &err), ELLM_OK);
    assert_true(source_count(s) < count / 20);
    source_close(s);
  }
}

static void compress(const ellm_bench_shape *shape, const char *path, int threads) {
  ellm_compress_options options;
  ellm_error err;
  ellm_compress_options_init(&options);
  options.bits = 4;
  options.overwrite = true;
  options.threads = threads;
  if (ellm_bench_compress(shape, path, &options, NULL, &err) != ELLM_OK) fail_msg("%s", err.message);
}

/* A file that runs, with the same bytes for every number of threads. */
static void test_file(void **state) {
  (void)state;
  char path[2][64];
  uint8_t *config = NULL, *data[2] = {NULL, NULL};
  size_t bytes[2];
  ellm_bench_shape shape;
  ellm_error err;
  read_config(ENTROLLM_SOURCE_DIR "/tests/golden/models/qwen3moe-plain", &shape, &config);
  shape.layers = 2;
  for (int i = 0; i < 2; i++) {
    snprintf(path[i], sizeof path[i], "/tmp/test_shapes-%ld-%d.ellm", (long)getpid(), i);
    compress(&shape, path[i], 1 + 2 * i);
    assert_int_equal(file_read_all(path[i], 1 << 28, &data[i], &bytes[i], &err), ELLM_OK);
  }
  assert_int_equal(bytes[0], bytes[1]);
  assert_memory_equal(data[0], data[1], bytes[0]);
  ellm_model *model;
  ellm_model_info info;
  if (ellm_model_open(path[0], NULL, &model, &err) != ELLM_OK) fail_msg("%s", err.message);
  ellm_model_get_info(model, &info);
  assert_int_equal(info.n_layers, 2);
  ellm_model_close(model);
  for (int i = 0; i < 2; i++) {
    unlink(path[i]);
    free(data[i]);
  }
  free(config);
}

static void test_refused(void **state) {
  (void)state;
  static const char many[] = "{\"architectures\": [\"Qwen3MoeForCausalLM\"], \"model_type\": \"qwen3_moe\", \"vocab_size\": 64,"
                             "\"hidden_size\": 64, \"intermediate_size\": 64, \"num_hidden_layers\": 65536,"
                             "\"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"num_experts\": 4096, \"num_experts_per_tok\": 1}";
  ellm_bench_shape shape;
  ellm_compress_options options;
  ellm_error err;
  ellm_compress_options_init(&options);
  ellm_bench_shape_init(&shape);
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_USAGE);
  shape.name = "gpt-17";
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "gpt-17"));
  shape.config = "{}";
  shape.config_bytes = 2;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_INPUT);
  shape.config = "[";
  shape.config_bytes = 1;
  shape.layers = 3;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_INPUT);
  shape.config = "[3]";
  shape.config_bytes = 3;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_INPUT);
  shape.layers = 0;
  shape.config = many;
  shape.config_bytes = sizeof many - 1;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, "more than") == NULL) fail_msg("%s", err.message);
  options.target = ELLM_TARGET_BITS;
  options.target_value = 4;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_USAGE);
  shape.size = 3;
  assert_int_equal(ellm_bench_compress(&shape, "/tmp/never", &options, NULL, &err), ELLM_ERR_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distribution), cmocka_unit_test(test_elements), cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_published),    cmocka_unit_test(test_file),     cmocka_unit_test(test_refused)};
  random_quantiles(quantiles);
  random_table(quantiles, 0, 0.02, table);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
