/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal grouped-query attention over pages. A thread takes one KV head and a
 * few rows; each query's sums go over its own positions in ascending order, run
 * of pages after run of pages, so that results depend neither on how queries are
 * dealt out nor on where pages lie.
 */
#include "model/cpu/cpu_attention.h"

#include <string.h>

enum { ROWS = 8 /* that a thread takes at a time */ };

/* ------------------------------------------------------------------- storing */

/* An element a head dimension to one lane of a page. */
static void store_key(const cpu_backend *c, const float *key, size_t page, size_t lane) {
  uint16_t halves[CONFIG_MAX_HEAD_DIM];
  const size_t dim = c->shape.config->head_dim;
  if (c->shape.half_precision) {
    uint16_t *out = (uint16_t *)c->keys + page + lane;
    c->k->f16_from_f32(key, halves, dim);
    for (size_t d = 0; d < dim; d++) out[d * PAGE_POSITIONS] = halves[d];
  } else {
    float *out = (float *)c->keys + page + lane;
    for (size_t d = 0; d < dim; d++) out[d * PAGE_POSITIONS] = key[d];
  }
}

static void store_value(const cpu_backend *c, const float *value, size_t at) {
  const size_t dim = c->shape.config->head_dim;
  if (c->shape.half_precision) c->k->f16_from_f32(value, (uint16_t *)c->values + at, dim);
  else memcpy((float *)c->values + at, value, dim * sizeof *value);
}

static void store(const cpu_backend *c, uint32_t layer) {
  const model_config *config = c->shape.config;
  const size_t dim = config->head_dim, q = (size_t)config->n_heads * dim, kv = (size_t)config->n_kv_heads * dim;
  for (size_t row = 0; row < c->n; row++) {
    const float *key = c->buffer[BUFFER_QKV] + row * c->stride[BUFFER_QKV] + q, *value = key + kv;
    const size_t lane = c->rows[row].position % PAGE_POSITIONS;
    for (uint32_t head = 0; head < config->n_kv_heads; head++, key += dim, value += dim) {
      const size_t page = cpu_page_offset(c, (size_t)layer * config->n_kv_heads + head, c->rows[row].page);
      store_key(c, key, page, lane);
      store_value(c, value, page + lane * dim);
    }
  }
}

/* ----------------------------------------------------------------- attending */

typedef struct attention_job {
  const cpu_backend *c;
  uint32_t layer;
  const layer_facts *facts;
  size_t n_chunks;
} attention_job;

/* Where element `at` of keys or values lies. */
static const void *cache_at(const cpu_backend *c, const void *cache, size_t at) {
  return (const uint8_t *)cache + at * cpu_element_bytes(c);
}

/* One query over positions begin .. end - 1 of the KV head whose pages begin at element `head`. */
static void attend_query(const cpu_backend *c, const page_run *runs, const float *query, size_t head, uint32_t begin,
                         uint32_t end, const layer_facts *facts, float *scores, float *out) {
  const bool half = c->shape.half_precision;
  const size_t dim = c->shape.config->head_dim, page = cpu_page_elements(c);
  const uint32_t first = begin / PAGE_POSITIONS, last = pages_of(end);
  /* scores of whole pages; those of positions outside begin .. end are not looked at */
  float *at_scores = scores;
  for (uint32_t at = 0, r = 0; at < last; at += runs[r++].n) {
    const uint32_t from = at > first ? at : first, to = at + runs[r].n < last ? at + runs[r].n : last;
    if (from >= to) continue;
    c->k->attention_scores(query, cache_at(c, c->keys, head + (runs[r].first + from - at) * page), half, to - from, dim,
                           facts->score_scale, at_scores);
    at_scores += (size_t)(to - from) * PAGE_POSITIONS;
  }
  scores += begin % PAGE_POSITIONS;
  if (facts->score_soft_cap != 0) c->k->soft_cap(scores, facts->score_soft_cap, end - begin);
  const float sum = c->k->exp_sum(scores, c->k->max(scores, end - begin), end - begin);
  memset(out, 0, dim * sizeof *out);
  for (uint32_t at = 0, r = 0; at < end; at += runs[r++].n * PAGE_POSITIONS) {
    const uint32_t past = at + runs[r].n * PAGE_POSITIONS;
    const uint32_t from = at > begin ? at : begin, to = past < end ? past : end;
    if (from >= to) continue;
    c->k->attention_mix(scores + (from - begin),
                        cache_at(c, c->values, head + runs[r].first * page + (size_t)(from - at) * dim), half,
                        to - from, dim, out);
  }
  c->k->scale(out, 1 / sum, dim);
}

/* Item: KV heads times chunks of rows. */
static void attend(void *user, size_t item, int thread) {
  const attention_job *job = user;
  const cpu_backend *c = job->c;
  const model_config *config = c->shape.config;
  const size_t dim = config->head_dim, group = config->n_heads / config->n_kv_heads;
  const size_t kv_head = item / job->n_chunks, first = item % job->n_chunks * ROWS;
  const size_t past = c->n - first < ROWS ? c->n : first + ROWS;
  const size_t head = cpu_page_offset(c, (size_t)job->layer * config->n_kv_heads + kv_head, 0);
  float *scores = c->scores + (size_t)thread * c->score_stride;
  const uint32_t window = job->facts->window;
  for (size_t row = first; row < past; row++) {
    const uint32_t end = c->rows[row].position + 1;
    const uint32_t begin = window > 0 && end > window ? end - window : 0;
    for (size_t h = kv_head * group; h < (kv_head + 1) * group; h++)
      attend_query(c, c->rows[row].runs, c->buffer[BUFFER_QKV] + row * c->stride[BUFFER_QKV] + h * dim, head, begin,
                   end, job->facts, scores, c->buffer[BUFFER_MIXED] + row * c->stride[BUFFER_MIXED] + h * dim);
  }
}

void cpu_attention(backend *b, uint32_t layer, const layer_facts *facts) {
  const cpu_backend *c = cpu_of(b);
  attention_job job = {.c = c, .layer = layer, .facts = facts};
  store(c, layer);
  job.n_chunks = (c->n + ROWS - 1) / ROWS;
  pool_for(compute_pool(c->compute), c->shape.config->n_kv_heads * job.n_chunks, attend, &job);
}
