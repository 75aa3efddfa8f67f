/* SPDX-License-Identifier: Apache-2.0 */
/* Full-precision logits and greedy continuations equal those of Hugging Face
 * Transformers, for every architecture and option of the golden vectors. */
#include "model/model_testing.h"

static const char *const names[] = {
    "llama-bias-headdim", "llama-odd-shapes",  "llama-rope-linear",  "llama-rope-llama3",   "llama-rope-theta",
    "llama-rope-yarn",    "llama-sharded-f32", "llama-tied-gqa",     "llama-untied-mha-f16", "mistral-nowindow",
    "mistral-window",     "phi3-longrope",     "phi3-partial-rotary", "phi3-window",        "qwen2-bias",
    "qwen3-qknorm",       "tiny1m",            "tinystories-656k",   "embedded",           "gemma2-caps",
    "gemma3-by-type",     "gemma3-windows",    "llama32",            "mixtral-window",     "phi4-mini",
    "qwen3moe-mixed",     "qwen3moe-plain",    "smollm3-no-rope",    "smollm3-windows"};

static void compare_logits(const char *folder, const json_t *run, ellm_model *model, const uint32_t *ids, size_t n) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  char path[1024];
  uint8_t *golden;
  size_t bytes;
  snprintf(path, sizeof path, "%s/%s", folder, json_string_value(json_object_get(run, "logits")));
  ASSERT_OK(file_read_all(path, 1 << 30, &golden, &bytes, ERR));
  assert_int_equal(bytes, n * info.vocab_size * sizeof(float));
  float *logits = all_logits(model, ids, n, n);
  const double limit = 1e-4 * json_real_value(json_object_get(run, "max_abs_logit"));
  double worst = 0;
  for (size_t i = 0; i < n * info.vocab_size; i++) {
    float wanted;
    memcpy(&wanted, golden + i * sizeof wanted, sizeof wanted);
    const double difference = fabs((double)logits[i] - wanted);
    if (!(difference <= limit))
      fail_msg("%s: position %zu, id %zu: %g instead of %g", path, i / info.vocab_size, i % info.vocab_size, logits[i],
               wanted);
    if (difference > worst) worst = difference;
  }
  print_message("%s: largest difference %.2g of %.2g allowed\n", path, worst, limit);
  free(logits);
  free(golden);
}

static uint32_t argmax(const float *row, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (row[i] > row[best]) best = i;
  return (uint32_t)best;
}

static void compare_greedy(const char *folder, const json_t *run, ellm_model *model, const uint32_t *ids, size_t n) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const json_t *greedy = json_object_get(run, "greedy"), *margins = json_object_get(run, "greedy_margins");
  const size_t n_greedy = json_array_size(greedy);
  assert_true(n_greedy > 0 && json_array_size(margins) == n_greedy);
  float *row = malloc(info.vocab_size * sizeof *row);
  ASSERT_OK(ellm_model_reserve(model, (uint32_t)(n + n_greedy), ERR));
  ellm_sequence *s = sequence_of(model, ids, 0);
  ASSERT_OK(append(model, s, ids, n, row, 1, ERR));
  size_t same = 0;
  for (; same < n_greedy; same++) {
    if (json_number_value(json_array_get(margins, same)) < 1e-3) break;
    const uint32_t id = argmax(row, info.vocab_size);
    if (id != (uint32_t)json_integer_value(json_array_get(greedy, same)))
      fail_msg("%s: greedy id %zu is %u", folder, same, id);
    ASSERT_OK(append(model, s, &id, 1, row, 1, ERR));
  }
  assert_true(same > 0);
  free(row);
  ellm_sequence_free(s);
}

static void golden(void **state) {
  const char *name = *state;
  char folder[512], path[1024], checkpoint[1200];
  if (!golden_model(name, folder, sizeof folder)) {
    print_message("%s lies in ../shared/golden, which is not there: skipped\n", name);
    skip();
  }
  snprintf(path, sizeof path, "%s/golden.json", folder);
  json_t *root = load_json(path);
  const char *elsewhere = json_string_value(json_object_get(root, "checkpoint"));
  if (elsewhere != NULL) snprintf(checkpoint, sizeof checkpoint, "%s/%s", folder, elsewhere);
  else snprintf(checkpoint, sizeof checkpoint, "%s", folder);
  ellm_model *model = open_model(checkpoint, 2, ELLM_ACTIVATIONS_F32);
  const json_t *runs = json_object_get(root, "runs");
  assert_true(json_array_size(runs) > 0);
  for (size_t i = 0; i < json_array_size(runs); i++) {
    const json_t *run = json_array_get(runs, i);
    size_t n;
    uint32_t *ids = json_ids(json_object_get(run, "prompt"), &n);
    compare_logits(folder, run, model, ids, n);
    compare_greedy(folder, run, model, ids, n);
    free(ids);
  }
  ellm_model_close(model);
  json_decref(root);
}

int main(void) {
  struct CMUnitTest tests[sizeof names / sizeof *names];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    tests[i] = (struct CMUnitTest){names[i], golden, NULL, NULL, (void *)names[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
