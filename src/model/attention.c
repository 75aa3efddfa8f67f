/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal grouped-query attention over the KV cache. A thread takes one KV head
 * and a few tokens, that is, some query heads of some tokens; each query's sums
 * go over its own positions in ascending order, so that results do not depend
 * on how queries are dealt out.
 */
#include <math.h>
#include <string.h>

#include "model/context.h"

/* An element a head dimension to one lane of a tile. */
static void store_key(const float *key, size_t dim, bool half, const kernel_table *k, void *keys, size_t at) {
  uint16_t halves[CONFIG_MAX_HEAD_DIM];
  if (half) {
    k->f16_from_f32(key, halves, dim);
    for (size_t d = 0; d < dim; d++) ((uint16_t *)keys)[at + d * CONTEXT_KEY_TILE] = halves[d];
  } else {
    for (size_t d = 0; d < dim; d++) ((float *)keys)[at + d * CONTEXT_KEY_TILE] = key[d];
  }
}

void attention_store(ellm_context *context, uint32_t layer, uint32_t first, size_t n_tokens) {
  const model_config *c = &context->model->config;
  const kernel_table *k = compute_kernels(context->model->compute);
  const size_t dim = c->head_dim, q = (size_t)c->n_heads * dim, kv = (size_t)c->n_kv_heads * dim;
  for (size_t t = 0; t < n_tokens; t++) {
    const float *key = context->qkv + t * context->qkv_stride + q, *value = key + kv;
    const size_t position = first + t, tile = position / CONTEXT_KEY_TILE, lane = position % CONTEXT_KEY_TILE;
    for (uint32_t head = 0; head < c->n_kv_heads; head++, key += dim, value += dim) {
      const size_t at = context_head_offset(context, layer, head);
      store_key(key, dim, context->half_precision, k, context->keys, at + tile * dim * CONTEXT_KEY_TILE + lane);
      if (context->half_precision) k->f16_from_f32(value, (uint16_t *)context->values + at + position * dim, dim);
      else memcpy((float *)context->values + at + position * dim, value, dim * sizeof *value);
    }
  }
}

typedef struct attention_job {
  ellm_context *context;
  uint32_t layer, first, window; /* window 0: everything before is seen */
  size_t n_tokens, tokens_at_once, n_chunks;
  uint32_t heads_at_once, n_head_chunks; /* query heads of one KV head */
} attention_job;

/* Element `at` of keys or values. */
static const void *cache_at(const ellm_context *context, const void *cache, size_t at) {
  return (const uint8_t *)cache + at * (context->half_precision ? sizeof(uint16_t) : sizeof(float));
}

/* One thread's share: query heads [head, head + n_heads) of tokens [token, token + n_tokens). */
static void attend(void *user, size_t item, int thread) {
  const attention_job *job = user;
  ellm_context *context = job->context;
  const model_config *c = &context->model->config;
  const kernel_table *k = compute_kernels(context->model->compute);
  const size_t dim = c->head_dim;
  const uint32_t group = c->n_heads / c->n_kv_heads;
  const uint32_t kv_head = (uint32_t)(item / (job->n_chunks * job->n_head_chunks));
  const size_t rest = item % (job->n_chunks * job->n_head_chunks);
  const uint32_t head_in_group = (uint32_t)(rest / job->n_chunks) * job->heads_at_once;
  const uint32_t n_heads = group - head_in_group < job->heads_at_once ? group - head_in_group : job->heads_at_once;
  const uint32_t head = kv_head * group + head_in_group;
  const size_t token = rest % job->n_chunks * job->tokens_at_once;
  const size_t n_tokens = job->n_tokens - token < job->tokens_at_once ? job->n_tokens - token : job->tokens_at_once;
  const size_t cache = context_head_offset(context, job->layer, kv_head);
  const size_t n_queries = n_tokens * n_heads;

  float *scores = context->scores + (size_t)thread * ATTENTION_QUERIES * context->score_stride;
  const float scale = (float)(1 / sqrt((double)dim));
  uint32_t begin[ATTENTION_QUERIES], end[ATTENTION_QUERIES]; /* positions that a query sees */
  const float *query[ATTENTION_QUERIES];
  float *out[ATTENTION_QUERIES];
  for (size_t i = 0; i < n_queries; i++) {
    const size_t t = token + i / n_heads, h = head + i % n_heads;
    end[i] = job->first + (uint32_t)t + 1;
    begin[i] = job->window > 0 && end[i] > job->window ? end[i] - job->window : 0;
    query[i] = context->qkv + t * context->qkv_stride + h * dim;
    out[i] = context->mixed + t * context->q_stride + h * dim;
    memset(out[i], 0, dim * sizeof **out);
  }

  for (size_t i = 0; i < n_queries; i++) {
    /* scores of whole tiles; those outside begin .. end are not looked at */
    float *row = scores + i * context->score_stride;
    const size_t tile = begin[i] / CONTEXT_KEY_TILE, last = (end[i] + CONTEXT_KEY_TILE - 1) / CONTEXT_KEY_TILE;
    const size_t n = end[i] - begin[i];
    k->attention_scores(query[i], cache_at(context, context->keys, cache + tile * CONTEXT_KEY_TILE * dim),
                        context->half_precision, last - tile, dim, scale, row);
    row += begin[i] % CONTEXT_KEY_TILE;
    const float sum = k->exp_sum(row, k->max(row, n), n);
    k->attention_mix(row, cache_at(context, context->values, cache + begin[i] * dim), context->half_precision, n, dim,
                     out[i]);
    k->scale(out[i], 1 / sum, dim);
  }
}

void attention_run(ellm_context *context, uint32_t layer, uint32_t first, size_t n_tokens) {
  const model_config *c = &context->model->config;
  const uint32_t group = c->n_heads / c->n_kv_heads;
  attention_job job = {.context = context, .layer = layer, .first = first, .n_tokens = n_tokens};
  if (c->sliding_window > 0 && layer >= c->window_first_layer) job.window = c->sliding_window;
  job.heads_at_once = group < ATTENTION_QUERIES ? group : ATTENTION_QUERIES;
  job.n_head_chunks = (group + job.heads_at_once - 1) / job.heads_at_once;
  job.tokens_at_once = ATTENTION_QUERIES / job.heads_at_once;
  job.n_chunks = (n_tokens + job.tokens_at_once - 1) / job.tokens_at_once;
  pool_for(compute_pool(context->model->compute), c->n_kv_heads * job.n_head_chunks * job.n_chunks, attend, &job);
}
