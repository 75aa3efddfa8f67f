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

void attention_store(ellm_context *context, uint32_t layer, uint32_t first, size_t n_tokens) {
  const model_config *c = &context->model->config;
  const kernel_table *k = compute_kernels(context->model->compute);
  const size_t dim = c->head_dim, q = (size_t)c->n_heads * dim, kv = (size_t)c->n_kv_heads * dim;
  for (size_t t = 0; t < n_tokens; t++) {
    const float *key = context->qkv + t * context->qkv_stride + q, *value = key + kv;
    for (uint32_t head = 0; head < c->n_kv_heads; head++, key += dim, value += dim) {
      const size_t at = context_head_offset(context, layer, head) + (first + t) * dim;
      if (context->half_precision) {
        k->f16_from_f32(key, (uint16_t *)context->keys + at, dim);
        k->f16_from_f32(value, (uint16_t *)context->values + at, dim);
      } else {
        memcpy((float *)context->keys + at, key, dim * sizeof *key);
        memcpy((float *)context->values + at, value, dim * sizeof *value);
      }
    }
  }
}

typedef struct attention_job {
  ellm_context *context;
  uint32_t layer, first, window; /* window 0: everything before is seen */
  size_t n_tokens, tokens_at_once, n_chunks;
  uint32_t heads_at_once, n_head_chunks; /* query heads of one KV head */
} attention_job;

/* Rows [from, to) of a head's keys or values as floats. */
static const float *cached_rows(const ellm_context *context, const void *cache, size_t head, uint32_t from,
                                uint32_t to, float *room) {
  const size_t dim = context->model->config.head_dim, at = head + from * dim;
  if (!context->half_precision) return (const float *)cache + at;
  compute_kernels(context->model->compute)->f32_from_f16((const uint16_t *)cache + at, room, (to - from) * dim);
  return room;
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
  float *room = context->rows + (size_t)thread * ATTENTION_ROWS * dim;
  const float scale = (float)(1 / sqrt((double)dim));
  float sums[ATTENTION_QUERIES];
  uint32_t begin[ATTENTION_QUERIES], end[ATTENTION_QUERIES]; /* positions that a query sees */
  const float *query[ATTENTION_QUERIES];
  float *out[ATTENTION_QUERIES];
  uint32_t lowest = UINT32_MAX, highest = 0;
  for (size_t i = 0; i < n_queries; i++) {
    const size_t t = token + i / n_heads, h = head + i % n_heads;
    end[i] = job->first + (uint32_t)t + 1;
    begin[i] = job->window > 0 && end[i] > job->window ? end[i] - job->window : 0;
    if (begin[i] < lowest) lowest = begin[i];
    if (end[i] > highest) highest = end[i];
    query[i] = context->qkv + t * context->qkv_stride + h * dim;
    out[i] = context->mixed + t * context->q_stride + h * dim;
    memset(out[i], 0, dim * sizeof **out);
  }

  for (uint32_t from = lowest; from < highest; from += ATTENTION_ROWS) {
    const uint32_t to = highest - from < ATTENTION_ROWS ? highest : from + ATTENTION_ROWS;
    const float *keys = cached_rows(context, context->keys, cache, from, to, room);
    for (size_t i = 0; i < n_queries; i++) {
      const uint32_t a = begin[i] > from ? begin[i] : from, b = end[i] < to ? end[i] : to;
      for (uint32_t p = a; p < b; p++)
        scores[i * context->score_stride + p] = k->dot(query[i], keys + (size_t)(p - from) * dim, dim) * scale;
    }
  }
  for (size_t i = 0; i < n_queries; i++) {
    float *row = scores + i * context->score_stride + begin[i];
    sums[i] = k->exp_sum(row, k->max(row, end[i] - begin[i]), end[i] - begin[i]);
  }
  for (uint32_t from = lowest; from < highest; from += ATTENTION_ROWS) {
    const uint32_t to = highest - from < ATTENTION_ROWS ? highest : from + ATTENTION_ROWS;
    const float *values = cached_rows(context, context->values, cache, from, to, room);
    for (size_t i = 0; i < n_queries; i++) {
      const uint32_t a = begin[i] > from ? begin[i] : from, b = end[i] < to ? end[i] : to;
      for (uint32_t p = a; p < b; p++)
        k->axpy(scores[i * context->score_stride + p], values + (size_t)(p - from) * dim, out[i], dim);
    }
  }
  for (size_t i = 0; i < n_queries; i++) k->scale(out[i], 1 / sums[i], dim);
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
