/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass of a decoder-only transformer: pre-norm blocks of grouped-query
 * attention with rotary positions and a SwiGLU network. One pass for all
 * architectures; what they differ in lies in weights and in the facts of layers.
 * Here is only the wiring: the operations are those of a backend.
 */
#include "model/forward.h"

static ellm_status layer(const ellm_model *model, uint32_t index, ellm_error *err) {
  backend *b = model->backend;
  const backend_ops *ops = b->ops;
  const layer_weights *w = &model->weights.layers[index];
  const layer_facts *facts = &model->config.layers[index];

  ops->norm(b, w->attention_norm, BUFFER_STREAM, BUFFER_NORMED);
  ELLM_TRY(ops->product(b, &w->qkv, BUFFER_NORMED, BUFFER_QKV, err));
  ops->rotate(b, facts->rope, w->q_norm, w->k_norm);
  ops->attention(b, index, facts->window, facts->score_scale);
  ELLM_TRY(ops->product(b, &w->output, BUFFER_MIXED, BUFFER_PROJECTED, err));
  ops->add(b);

  ops->norm(b, w->mlp_norm, BUFFER_STREAM, BUFFER_NORMED);
  ELLM_TRY(ops->product(b, &w->gate_up, BUFFER_NORMED, BUFFER_GATE_UP, err));
  ops->activate(b);
  ELLM_TRY(ops->product(b, &w->down, BUFFER_INNER, BUFFER_PROJECTED, err));
  ops->add(b);
  return ELLM_OK;
}

ellm_status forward(ellm_model *model, const batch_row *rows, size_t n, ellm_error *err) {
  backend *b = model->backend;
  ELLM_TRY(b->ops->begin(b, rows, n, err));
  for (uint32_t i = 0; i < model->weights.n_layers; i++) ELLM_TRY(layer(model, i, err));
  if (b->ops->select(b) == 0) return ELLM_OK;
  b->ops->norm(b, model->weights.norm, BUFFER_STREAM, BUFFER_NORMED);
  return b->ops->logits(b, &model->weights.head, BUFFER_NORMED, err);
}
