/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal grouped-query attention over the KV cache. A thread takes one KV head
 * and a few tokens; each query's sums go over its own positions in ascending
 * order, so that results do not depend on how queries are dealt out.
 */
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

void attention_store(ellm_context *context, uint32_t layer, size_t n_tokens) {
  const model_config *c = &context->model->config;
  const kernel_table *k = compute_kernels(context->model->compute);
  const size_t dim = c->head_dim, q = (size_t)c->n_heads * dim, kv = (size_t)c->n_kv_heads * dim;
  for (size_t t = 0; t < n_tokens; t++) {
    const float *key = context->qkv + t * context->qkv_stride + q, *value = key + kv;
    const size_t slot = (size_t)context->places[t].position + context->places[t].shift;
    const size_t tile = slot / CONTEXT_KEY_TILE, lane = slot % CONTEXT_KEY_TILE;
    for (uint32_t head = 0; head < c->n_kv_heads; head++, key += dim, value += dim) {
      const size_t at = context_head_offset(context, layer, head);
      store_key(key, dim, context->half_precision, k, context->keys, at + tile * dim * CONTEXT_KEY_TILE + lane);
      if (context->half_precision) k->f16_from_f32(value, (uint16_t *)context->values + at + slot * dim, dim);
      else memcpy((float *)context->values + at + slot * dim, value, dim * sizeof *value);
    }
  }
}

typedef struct attention_job {
  ellm_context *context;
  uint32_t layer;
  const layer_facts *facts;
  size_t n_tokens, n_chunks;
} attention_job;

/* Element `at` of keys or values. */
static const void *cache_at(const ellm_context *context, const void *cache, size_t at) {
  return (const uint8_t *)cache + at * (context->half_precision ? sizeof(uint16_t) : sizeof(float));
}

/* One query over positions begin .. end - 1 of the head whose elements begin at `head`: those before the fork in their
 * own slots, the others in the branch's. */
static void attend_query(const ellm_context *context, const token_place *place, const float *query, float scale,
                         size_t head, uint32_t begin, uint32_t end, float *scores, float *out) {
  const kernel_table *k = compute_kernels(context->model->compute);
  const bool half = context->half_precision;
  const size_t dim = context->model->config.head_dim, n = end - begin;
  /* scores of whole tiles; those of positions outside begin .. end are not looked at */
  const size_t tile = begin / CONTEXT_KEY_TILE, last = (end + CONTEXT_KEY_TILE - 1) / CONTEXT_KEY_TILE;
  const size_t fork = place->fork / CONTEXT_KEY_TILE, middle = fork < tile ? tile : fork < last ? fork : last;
  if (middle > tile)
    k->attention_scores(query, cache_at(context, context->keys, head + tile * CONTEXT_KEY_TILE * dim), half,
                        middle - tile, dim, scale, scores);
  if (middle < last)
    k->attention_scores(
        query, cache_at(context, context->keys, head + (middle * CONTEXT_KEY_TILE + place->shift) * dim), half,
        last - middle, dim, scale, scores + (middle - tile) * CONTEXT_KEY_TILE);
  scores += begin % CONTEXT_KEY_TILE;
  const float sum = k->exp_sum(scores, k->max(scores, n), n);
  const size_t split = middle * CONTEXT_KEY_TILE;
  const size_t own = split <= begin ? 0 : split < end ? split - begin : n; /* positions before the fork */
  memset(out, 0, dim * sizeof *out);
  if (own > 0) k->attention_mix(scores, cache_at(context, context->values, head + begin * dim), half, own, dim, out);
  if (own < n)
    k->attention_mix(scores + own,
                     cache_at(context, context->values, head + ((size_t)begin + own + place->shift) * dim), half,
                     n - own, dim, out);
  k->scale(out, 1 / sum, dim);
}

/* A KV head and a few tokens: all query heads that share it, so that its keys and values stay in cache. */
static void attend(void *user, size_t item, int thread) {
  const attention_job *job = user;
  const ellm_context *context = job->context;
  const model_config *c = &context->model->config;
  const size_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads;
  const size_t kv_head = item / job->n_chunks, token = item % job->n_chunks * ATTENTION_TOKENS;
  const size_t left = job->n_tokens - token, n = left < ATTENTION_TOKENS ? left : ATTENTION_TOKENS;
  float *scores = context->scores + (size_t)thread * context->score_stride;
  for (size_t t = token; t < token + n; t++) {
    const token_place *place = &context->places[t];
    const uint32_t end = place->position + 1;
    const uint32_t window = job->facts->window; /* 0: everything before is seen */
    const uint32_t begin = window > 0 && end > window ? end - window : 0;
    for (size_t h = kv_head * group; h < (kv_head + 1) * group; h++)
      attend_query(context, place, context->qkv + t * context->qkv_stride + h * dim, job->facts->score_scale,
                   context_head_offset(context, job->layer, (uint32_t)kv_head), begin, end, scores,
                   context->mixed + t * context->q_stride + h * dim);
  }
}

void attention_run(ellm_context *context, uint32_t layer, size_t n_tokens) {
  const model_config *c = &context->model->config;
  attention_job job = {.context = context, .layer = layer, .facts = &c->layers[layer], .n_tokens = n_tokens};
  job.n_chunks = (n_tokens + ATTENTION_TOKENS - 1) / ATTENTION_TOKENS;
  pool_for(compute_pool(context->model->compute), c->n_kv_heads * job.n_chunks, attend, &job);
}
