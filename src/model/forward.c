/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass of a decoder-only transformer: pre-norm blocks of grouped-query
 * attention with rotary positions and a SwiGLU network. One pass for all
 * architectures; what they differ in are weights and the facts of layers.
 */
#include <string.h>

#include "model/context.h"

typedef struct pass {
  ellm_context *context;
  const model_config *config;
  const kernel_table *k;
  compute *compute;
  size_t n; /* tokens */
  ellm_error *err;
} pass;

/* Rows of floats: [token][stride]. */
typedef struct vectors { float *data; size_t stride; uint32_t columns; } vectors;

typedef void (*token_fn)(void *user, size_t token, int thread);

/* A few microseconds of work a token: threads are worth it for several tokens only. */
static void for_tokens(const pass *p, size_t n, token_fn fn, void *user) {
  if (n > 1) {
    pool_for(compute_pool(p->compute), n, fn, user);
    return;
  }
  for (size_t t = 0; t < n; t++) fn(user, t, 0);
}

/* ------------------------------------------------------------------ products */

/* y = W x for n tokens, W the matrices of a group one below the other. */
static ellm_status multiply(const pass *p, const matrix_group *group, vectors x, size_t n, float *y, size_t y_stride) {
  const weight_matrix *matrices[3];
  for (size_t i = 0; i < group->n; i++) matrices[i] = &group->matrix[i];
  const bool integers = p->context->digits != NULL;
  const matrix_product product = {.matrices = matrices,
                                  .n_matrices = group->n,
                                  .x = x.data,
                                  .x_stride = x.stride,
                                  .digits = !integers ? 0 : p->context->model->activations == ELLM_ACTIVATIONS_I8 ? 1 : 2,
                                  .scratch = p->context->digits,
                                  .n_tokens = n,
                                  .y = y,
                                  .y_stride = y_stride};
  return matrix_multiply(p->compute, &product, p->err);
}

/* ---------------------------------------------------------------- token by token */

typedef struct norm_job { const pass *p; const float *weight; vectors x, out; } norm_job;

static void norm_of_token(void *user, size_t t, int thread) {
  (void)thread;
  const norm_job *job = user;
  job->p->k->rms_norm(job->x.data + t * job->x.stride, job->weight, (float)job->p->config->rms_norm_eps,
                      job->out.data + t * job->out.stride, job->x.columns);
}

static void norm(const pass *p, vectors x, const float *weight, vectors out, size_t n) {
  norm_job job = {p, weight, x, out};
  for_tokens(p, n, norm_of_token, &job);
}

typedef struct layer_job { const pass *p; const layer_weights *w; const layer_facts *facts; } layer_job;

/* Norms and rotation, where the layer has them, of a token's queries and keys. */
static void rotate_token(void *user, size_t t, int thread) {
  (void)thread;
  const layer_job *job = user;
  const pass *p = job->p;
  const model_config *c = p->config;
  const rope_tables *ropes = &p->context->model->ropes;
  const rope_frequencies *rope = job->facts->rope != ARCH_NO_ROPE ? &ropes->table[job->facts->rope] : NULL;
  const float *angles = p->context->cos_sin + t * ropes->stride;
  float *head = p->context->qkv + t * p->context->qkv_stride;
  for (uint32_t h = 0; h < c->n_heads + c->n_kv_heads; h++, head += c->head_dim) {
    const float *weight = h < c->n_heads ? job->w->q_norm : job->w->k_norm;
    if (weight != NULL) p->k->rms_norm(head, weight, (float)c->rms_norm_eps, head, c->head_dim);
    if (rope != NULL) p->k->rope(head, angles + rope->offset, rope->half);
  }
}

static void gate_token(void *user, size_t t, int thread) {
  (void)thread;
  const layer_job *job = user;
  const ellm_context *context = job->p->context;
  const uint32_t n = job->p->config->intermediate_size;
  const float *gate = context->gate_up + t * context->gate_up_stride;
  job->p->k->silu_mul(gate, gate + n, context->inner + t * context->inner_stride, n);
}

static void add_token(void *user, size_t t, int thread) {
  (void)thread;
  const layer_job *job = user;
  const ellm_context *context = job->p->context;
  job->p->k->add(context->projected + t * context->hidden_stride, context->x + t * context->hidden_stride,
                 job->p->config->hidden_size);
}

typedef struct angles_job { const pass *p; bool long_factors; } angles_job;

static void angles_of_token(void *user, size_t t, int thread) {
  (void)thread;
  const angles_job *job = user;
  const rope_tables *ropes = &job->p->context->model->ropes;
  const ellm_context *context = job->p->context;
  rope_angles(ropes, job->long_factors, context->places[t].position, context->cos_sin + t * ropes->stride);
}

/* --------------------------------------------------------------------- layers */

static ellm_status layer(const pass *p, uint32_t index) {
  ellm_context *context = p->context;
  const model_config *c = p->config;
  const layer_weights *w = &context->model->weights.layers[index];
  layer_job job = {p, w, &c->layers[index]};
  const vectors x = {context->x, context->hidden_stride, c->hidden_size};
  const vectors normed = {context->normed, context->hidden_stride, c->hidden_size};
  const vectors mixed = {context->mixed, context->q_stride, c->n_heads * c->head_dim};
  const vectors inner = {context->inner, context->inner_stride, c->intermediate_size};

  norm(p, x, w->attention_norm, normed, p->n);
  ELLM_TRY(multiply(p, &w->qkv, normed, p->n, context->qkv, context->qkv_stride));
  for_tokens(p, p->n, rotate_token, &job);
  attention_store(context, index, p->n);
  attention_run(context, index, p->n);
  ELLM_TRY(multiply(p, &w->output, mixed, p->n, context->projected, context->hidden_stride));
  for_tokens(p, p->n, add_token, &job);

  norm(p, x, w->mlp_norm, normed, p->n);
  ELLM_TRY(multiply(p, &w->gate_up, normed, p->n, context->gate_up, context->gate_up_stride));
  for_tokens(p, p->n, gate_token, &job);
  ELLM_TRY(multiply(p, &w->down, inner, p->n, context->projected, context->hidden_stride));
  for_tokens(p, p->n, add_token, &job);
  return ELLM_OK;
}

ellm_status forward_batch(ellm_context *context, const uint32_t *ids, size_t n, const uint32_t *rows, size_t n_rows,
                          float *logits, ellm_error *err) {
  const ellm_model *model = context->model;
  const pass p = {.context = context,
                  .config = &model->config,
                  .k = compute_kernels(model->compute),
                  .compute = model->compute,
                  .n = n,
                  .err = err};
  for (size_t t = 0; t < n; t++)
    ELLM_TRY(matrix_row(p.compute, &model->weights.embedding, ids[t], context->x + t * context->hidden_stride, err));
  angles_job angles = {&p, context->cached_long};
  for_tokens(&p, n, angles_of_token, &angles);
  for (uint32_t i = 0; i < model->weights.n_layers; i++) ELLM_TRY(layer(&p, i));
  if (n_rows == 0) return ELLM_OK;
  const uint32_t hidden = model->config.hidden_size;
  for (size_t i = 0; i < n_rows; i++) /* rows[i] >= i: to the front */
    if (rows[i] != i)
      memcpy(context->x + i * context->hidden_stride, context->x + rows[i] * context->hidden_stride,
             hidden * sizeof *context->x);
  const vectors wanted = {context->x, context->hidden_stride, hidden};
  const vectors normed = {context->normed, context->hidden_stride, hidden};
  norm(&p, wanted, model->weights.norm, normed, n_rows);
  return multiply(&p, &model->weights.head, normed, n_rows, logits, model->config.vocab_size);
}
