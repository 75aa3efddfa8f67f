/* SPDX-License-Identifier: Apache-2.0 */
/* Multipliers of residuals and logits, facts that no family here has yet: of a model whose configuration is changed. */
#include "model/model.h"
#include "model/model_testing.h"

enum { N = 40 };

static float *logits_of(ellm_model *model) {
  uint32_t ids[N];
  for (uint32_t i = 0; i < N; i++) ids[i] = (i * 41 + 3) % 500;
  return all_logits(model, ids, N, N);
}

static size_t count_of(const ellm_model *model) { return N * (size_t)model->config.vocab_size; }

static void set_residuals(ellm_model *model, float scale) {
  for (uint32_t i = 0; i < model->config.n_layers; i++) model->config.layers[i].residual_scale = scale;
}

/* Halves are exact. */
static void logits_are_scaled(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  float *before = logits_of(model);
  model->config.logits_scale = 0.5f;
  float *after = logits_of(model);
  for (size_t i = 0; i < count_of(model); i++) assert_true(after[i] == before[i] / 2);
  free(before);
  free(after);
  ellm_model_close(model);
}

/* A scale of 0 leaves a model without layers, one of 1 the model; and others differ from both. */
static void residuals_are_scaled(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  const uint32_t n_layers = model->weights.n_layers;
  float *whole = logits_of(model);
  set_residuals(model, 0);
  float *nothing = logits_of(model);
  model->weights.n_layers = 0;
  float *bare = logits_of(model);
  model->weights.n_layers = n_layers;
  set_residuals(model, 0.5f);
  float *half = logits_of(model);
  for (size_t i = 0; i < count_of(model); i++) assert_true(nothing[i] == bare[i]);
  assert_memory_not_equal(half, whole, count_of(model) * sizeof *half);
  assert_memory_not_equal(half, bare, count_of(model) * sizeof *half);
  free(whole);
  free(nothing);
  free(bare);
  free(half);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_scaled), cmocka_unit_test(residuals_are_scaled)};
  return cmocka_run_group_tests_name("multipliers", tests, NULL, NULL);
}
