/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/shape_tensors.h"

typedef struct walk {
  const model_config *config;
  shape_tensor_fn take;
  void *user;
  uint32_t layer;
} walk;

static ellm_status tensor(const walk *w, const char *part, const char *what, uint32_t rows, uint32_t columns,
                          shape_role role, ellm_error *err) {
  char name[ARCH_NAME_BYTES];
  return w->take(w->user, arch_tensor_name(w->config->tensors, w->layer, part, what, name), rows, columns, role, err);
}

/* A norm of the layer, where the architecture has one of that name. */
static ellm_status norm(const walk *w, const char *part, uint32_t n, ellm_error *err) {
  return part != NULL ? tensor(w, part, "weight", n, 0, SHAPE_NORM, err) : ELLM_OK;
}

/* Matrices of names[n] with the given rows; or, when the second name is NULL, one that holds all of them. */
static ellm_status group(const walk *w, const char *const *names, const uint32_t *rows, size_t n, uint32_t columns,
                         bool bias, ellm_error *err) {
  uint32_t together = 0;
  for (size_t i = 0; i < n; i++) together += rows[i];
  const bool fused = n > 1 && names[1] == NULL;
  for (size_t i = 0; i < (fused ? 1 : n); i++) {
    const uint32_t height = fused ? together : rows[i];
    ELLM_TRY(tensor(w, names[i], "weight", height, columns, SHAPE_MATRIX, err));
    if (bias) ELLM_TRY(tensor(w, names[i], "bias", height, 0, SHAPE_BIAS, err));
  }
  return ELLM_OK;
}

static ellm_status experts(const walk *w, ellm_error *err) {
  const model_config *c = w->config;
  const layer_facts *facts = &c->layers[w->layer];
  const arch_tensors *names = c->tensors;
  const uint32_t inner = facts->intermediate_size, rows[2] = {inner, inner};
  ELLM_TRY(group(w, &names->router, &facts->n_experts, 1, c->hidden_size, false, err));
  for (uint32_t e = 0; e < facts->n_experts; e++) {
    char text[3][ARCH_NAME_BYTES];
    const char *gate_up[2], *down = arch_expert_part(names, e, names->expert_down, text[2]);
    for (int i = 0; i < 2; i++) gate_up[i] = arch_expert_part(names, e, names->expert_gate_up[i], text[i]);
    ELLM_TRY(group(w, gate_up, rows, 2, c->hidden_size, false, err));
    ELLM_TRY(group(w, &down, &c->hidden_size, 1, inner, false, err));
  }
  return ELLM_OK;
}

static ellm_status layer(const walk *w, ellm_error *err) {
  const model_config *c = w->config;
  const layer_facts *facts = &c->layers[w->layer];
  const arch_tensors *names = c->tensors;
  const uint32_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim, inner = facts->intermediate_size;
  const uint32_t qkv_rows[3] = {q, kv, kv}, gate_up_rows[2] = {inner, inner};
  ELLM_TRY(norm(w, names->attention_norm, c->hidden_size, err));
  ELLM_TRY(group(w, names->qkv, qkv_rows, 3, c->hidden_size, facts->qkv_bias, err));
  if (facts->qk_norm) {
    ELLM_TRY(norm(w, names->q_norm, c->head_dim, err));
    ELLM_TRY(norm(w, names->k_norm, c->head_dim, err));
  }
  ELLM_TRY(group(w, &names->output, &c->hidden_size, 1, q, facts->output_bias, err));
  ELLM_TRY(norm(w, names->attention_post_norm, c->hidden_size, err));
  ELLM_TRY(norm(w, names->mlp_norm, c->hidden_size, err));
  ELLM_TRY(norm(w, names->mlp_post_norm, c->hidden_size, err));
  if (facts->n_experts > 0) return experts(w, err);
  ELLM_TRY(group(w, names->gate_up, gate_up_rows, 2, c->hidden_size, facts->mlp_bias, err));
  return group(w, &names->down, &c->hidden_size, 1, inner, facts->mlp_bias, err);
}

ellm_status shape_tensors(const model_config *config, shape_tensor_fn take, void *user, ellm_error *err) {
  const arch_tensors *names = config->tensors;
  walk w = {.config = config, .take = take, .user = user};
  ELLM_TRY(take(user, names->embedding, config->vocab_size, config->hidden_size, SHAPE_MATRIX, err));
  for (w.layer = 0; w.layer < config->n_layers; w.layer++) ELLM_TRY(layer(&w, err));
  ELLM_TRY(take(user, names->norm, config->hidden_size, 0, SHAPE_NORM, err));
  return config->tie_word_embeddings
             ? ELLM_OK
             : take(user, names->head, config->vocab_size, config->hidden_size, SHAPE_MATRIX, err);
}
