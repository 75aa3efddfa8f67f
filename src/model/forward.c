/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass of a decoder-only transformer: blocks of grouped-query
 * attention with rotary positions and a gated network, normed before and maybe behind. One pass for all
 * architectures; what they differ in is in weights and in the facts of layers.
 * Here is only the wiring: the operations are those of a backend.
 */
#include "model/forward.h"

#include "base/memory.h"

/* A row of what a watch sees, in floats: whole vectors. */
static size_t watched_stride(const ellm_model *model, backend_buffer x) {
  return ((size_t)backend_columns(&model->config, x) + 15) / 16 * 16;
}

ellm_status forward_set_watch(ellm_model *model, const forward_watch *watch, ellm_error *err) {
  static const backend_buffer inputs[] = {BUFFER_NORMED, BUFFER_MIXED, BUFFER_INNER};
  size_t widest = 0;
  model->watch = NULL;
  ellm_aligned_free(model->watched);
  model->watched = NULL;
  if (watch == NULL) return ELLM_OK;
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
    if (watched_stride(model, inputs[i]) > widest) widest = watched_stride(model, inputs[i]);
  model->watched = ellm_aligned_calloc(BACKEND_MAX_ROWS, widest * sizeof *model->watched);
  if (model->watched == NULL)
    return ellm_fail_memory(err, BACKEND_MAX_ROWS * widest * sizeof *model->watched, "what a calibration sees");
  model->watch = watch;
  return ELLM_OK;
}

void forward_show(const ellm_model *model, uint32_t layer, forward_input input, const batch_row *rows, size_t n,
                  backend_buffer x) {
  if (model->watch == NULL) return;
  const size_t stride = watched_stride(model, x);
  model->backend->ops->read_rows(model->backend, x, n, model->watched, stride);
  model->watch->see(model->watch->user, (forward_place){layer, input, FORWARD_NO_EXPERT}, rows, n, model->watched, stride);
}

/* Rows of the batch for those who watch the inputs of a layer's experts. */
typedef struct experts_seen { const ellm_model *model; uint32_t layer; const batch_row *rows; } experts_seen;

static void watch_expert(void *user, uint32_t expert, bool inner, const uint32_t *rows, size_t n, const float *x,
                         size_t stride) {
  const experts_seen *seen = user;
  const forward_watch *watch = seen->model->watch;
  const forward_place place = {seen->layer, inner ? INPUT_DOWN : INPUT_GATE_UP, expert};
  batch_row chosen[BACKEND_MAX_ROWS];
  for (size_t i = 0; i < n; i++) chosen[i] = seen->rows[rows[i]];
  watch->see(watch->user, place, chosen, n, x, stride);
}

static ellm_status experts(ellm_model *model, uint32_t index, const batch_row *rows, ellm_error *err) {
  backend *b = model->backend;
  experts_seen seen = {model, index, rows};
  const backend_expert_watch watch = {watch_expert, &seen};
  return b->ops->experts(b, &model->weights.layers[index], &model->config.layers[index],
                         model->watch != NULL ? &watch : NULL, err);
}

matrix_group *layer_group(layer_weights *layer, forward_input input) {
  matrix_group *const groups[LAYER_INPUTS] = {&layer->qkv, &layer->output, &layer->gate_up, &layer->down};
  return input < LAYER_INPUTS ? groups[input] : NULL;
}

/* The network of a layer: PROJECTED from NORMED. */
static ellm_status network(ellm_model *model, uint32_t index, const batch_row *rows, size_t n, ellm_error *err) {
  backend *b = model->backend;
  const layer_weights *w = &model->weights.layers[index];
  const layer_facts *facts = &model->config.layers[index];
  forward_show(model, index, INPUT_GATE_UP, rows, n, BUFFER_NORMED);
  if (facts->n_experts > 0) return experts(model, index, rows, err);
  ELLM_TRY(b->ops->product(b, &w->gate_up, BUFFER_NORMED, BUFFER_GATE_UP, err));
  ELLM_TRY(b->ops->activate(b, facts->activation, facts->intermediate_size, err));
  forward_show(model, index, INPUT_DOWN, rows, n, BUFFER_INNER);
  return b->ops->product(b, &w->down, BUFFER_INNER, BUFFER_PROJECTED, err);
}

ellm_status forward_layer(ellm_model *model, uint32_t index, const batch_row *rows, size_t n, ellm_error *err) {
  backend *b = model->backend;
  const backend_ops *ops = b->ops;
  const layer_weights *w = &model->weights.layers[index];
  const layer_facts *facts = &model->config.layers[index];

  ops->norm(b, w->attention_norm, BUFFER_STREAM, BUFFER_NORMED);
  forward_show(model, index, INPUT_QKV, rows, n, BUFFER_NORMED);
  ELLM_TRY(ops->product(b, &w->qkv, BUFFER_NORMED, BUFFER_QKV, err));
  ops->rotate(b, facts->rope, w->q_norm, w->k_norm);
  ELLM_TRY(ops->attention(b, index, facts, err));
  forward_show(model, index, INPUT_OUTPUT, rows, n, BUFFER_MIXED);
  ELLM_TRY(ops->product(b, &w->output, BUFFER_MIXED, BUFFER_PROJECTED, err));
  if (w->attention_post_norm != NULL) ops->norm(b, w->attention_post_norm, BUFFER_PROJECTED, BUFFER_PROJECTED);
  ops->add(b, facts->residual_scale);

  ops->norm(b, w->mlp_norm, BUFFER_STREAM, BUFFER_NORMED);
  ELLM_TRY(network(model, index, rows, n, err));
  if (w->mlp_post_norm != NULL) ops->norm(b, w->mlp_post_norm, BUFFER_PROJECTED, BUFFER_PROJECTED);
  ops->add(b, facts->residual_scale);
  return ELLM_OK;
}

static void show_head(const ellm_model *model, const batch_row *rows, size_t n) {
  batch_row wanted[BACKEND_MAX_ROWS];
  size_t n_wanted = 0;
  if (model->watch == NULL) return;
  for (size_t i = 0; i < n; i++)
    if (rows[i].logits != NULL) wanted[n_wanted++] = rows[i];
  forward_show(model, model->weights.n_layers, INPUT_HEAD, wanted, n_wanted, BUFFER_NORMED);
}

ellm_status forward(ellm_model *model, const batch_row *rows, size_t n, ellm_error *err) {
  backend *b = model->backend;
  ELLM_TRY(b->ops->begin(b, rows, n, err));
  for (uint32_t i = 0; i < model->weights.n_layers; i++) ELLM_TRY(forward_layer(model, i, rows, n, err));
  if (b->ops->select(b) == 0) return ELLM_OK;
  b->ops->norm(b, model->weights.norm, BUFFER_STREAM, BUFFER_NORMED);
  show_head(model, rows, n);
  return b->ops->logits(b, &model->weights.head, BUFFER_NORMED, err);
}
