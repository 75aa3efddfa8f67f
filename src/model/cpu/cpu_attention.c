/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal grouped-query attention over pages. A thread takes one KV head and a
 * few rows; of these it takes a few queries of one sequence at a time over the
 * same stretch of keys and values, so that these are read, and turned to floats,
 * once for all of them. Each query's sums go over its own positions in ascending
 * order, run of pages after run of pages, so that results depend neither on how
 * queries are dealt out nor on where pages lie.
 */
#include "model/cpu/cpu_attention.h"

#include <string.h>

#include "model/cpu/cpu_team.h"

enum { ROWS = 8 /* that a thread takes at a time */ };

_Static_assert((int)CONFIG_MAX_HEAD_DIM <= (int)KERNEL_MAX_HEAD_DIM, "sums of the largest head");

/* ------------------------------------------------------------------- storing */

/* An element a head dimension to one lane of a page. */
static void store_key(const cpu_backend *c, const float *key, size_t page, size_t lane) {
  const size_t dim = c->shape.config->head_dim;
  uint8_t *bytes = (uint8_t *)c->keys + page * cpu_page_bytes(c);
  if (c->shape.cache == KERNEL_CACHE_Q8) {
    int8_t q[CONFIG_MAX_HEAD_DIM];
    c->key_scales[page * PAGE_POSITIONS + lane] = c->k->q8_from_f32(key, dim, q);
    uint8_t *out = bytes + 4 * lane;
    for (size_t d = 0; d < dim; d++) out[d / 4 * (4 * PAGE_POSITIONS) + d % 4] = (uint8_t)(q[d] + KERNEL_Q8_ZERO);
  } else if (c->shape.cache == KERNEL_CACHE_F16) {
    uint16_t halves[CONFIG_MAX_HEAD_DIM], *out = (uint16_t *)(void *)bytes + lane;
    c->k->f16_from_f32(key, halves, dim);
    for (size_t d = 0; d < dim; d++) out[d * PAGE_POSITIONS] = halves[d];
  } else {
    float *out = (float *)(void *)bytes + lane;
    for (size_t d = 0; d < dim; d++) out[d * PAGE_POSITIONS] = key[d];
  }
}

static void store_value(const cpu_backend *c, const float *value, size_t page, size_t lane) {
  const size_t dim = c->shape.config->head_dim, bytes = cpu_page_bytes(c);
  void *out = (uint8_t *)c->values + page * bytes + lane * (bytes / PAGE_POSITIONS);
  if (c->shape.cache == KERNEL_CACHE_Q8)
    c->value_scales[page * PAGE_POSITIONS + lane] = c->k->q8_from_f32(value, dim, out);
  else if (c->shape.cache == KERNEL_CACHE_F16) c->k->f16_from_f32(value, out, dim);
  else memcpy(out, value, dim * sizeof *value);
}

static void store(const cpu_backend *c, uint32_t layer) {
  const model_config *config = c->shape.config;
  const size_t dim = config->head_dim, q = (size_t)config->n_heads * dim, kv = (size_t)config->n_kv_heads * dim;
  for (size_t row = 0; row < c->n; row++) {
    const float *key = c->buffer[BUFFER_QKV] + row * c->stride[BUFFER_QKV] + q + c->heads.kv_first * dim;
    const float *value = key + kv;
    const size_t lane = c->rows[row].position % PAGE_POSITIONS;
    for (uint32_t head = c->heads.kv_first; head < c->heads.kv_end; head++, key += dim, value += dim) {
      const size_t page = cpu_page_index(c, (size_t)layer * config->n_kv_heads + head, c->rows[row].page);
      store_key(c, key, page, lane);
      store_value(c, value, page, lane);
    }
  }
}

/* ----------------------------------------------------------------- attending */

/* Queries of one sequence, by ascending positions. */
typedef struct queries {
  const cpu_backend *c;
  const layer_facts *facts;
  const page_run *runs;
  size_t pages;                        /* the place of the KV head's first page */
  size_t n;
  const float *query[KERNEL_MAX_QUERIES];
  float *out[KERNEL_MAX_QUERIES];
  uint32_t begin[KERNEL_MAX_QUERIES], end[KERNEL_MAX_QUERIES]; /* positions that each looks at */
  float *scores[KERNEL_MAX_QUERIES];   /* from the page of begin[0] on; later the weights */
} queries;

/* Scores of whole pages; those of positions that a query does not look at are left alone later. */
static void score(const queries *s, uint8_t *memory) {
  const cpu_backend *c = s->c;
  const size_t dim = c->shape.config->head_dim, bytes = cpu_page_bytes(c);
  const uint32_t first = s->begin[0] / PAGE_POSITIONS, last = pages_of(s->end[s->n - 1]);
  const float scale = s->facts->score_scale;
  kernel_activations digits;
  float *scores[KERNEL_MAX_QUERIES];
  memcpy(scores, s->scores, sizeof scores);
  if (c->shape.cache == KERNEL_CACHE_Q8) {
    kernel_activations_init(&digits, memory, dim, s->n, 2);
    for (size_t i = 0; i < s->n; i++) c->k->quantize_activations(s->query[i], NULL, &digits, i);
  }
  for (uint32_t at = 0, r = 0; at < last; at += s->runs[r++].n) {
    const uint32_t from = at > first ? at : first, to = at + s->runs[r].n < last ? at + s->runs[r].n : last;
    if (from >= to) continue;
    const size_t page = s->pages + s->runs[r].first + from - at;
    const uint8_t *keys = (const uint8_t *)c->keys + page * bytes;
    if (c->shape.cache == KERNEL_CACHE_Q8)
      c->k->attention_scores_q8(&digits, s->n, keys, c->key_scales + page * PAGE_POSITIONS, to - from, scale, scores);
    else
      c->k->attention_scores(s->query, s->n, keys, c->shape.cache == KERNEL_CACHE_F16, to - from, dim, scale, scores);
    for (size_t i = 0; i < s->n; i++) scores[i] += (size_t)(to - from) * PAGE_POSITIONS;
  }
}

/* Adds the values of positions begin .. end - 1 to what queries i .. i + n - 1 mix. */
static void mix(const queries *s, size_t i, size_t n, uint32_t begin, uint32_t end) {
  const cpu_backend *c = s->c;
  const size_t dim = c->shape.config->head_dim, row = cpu_page_bytes(c) / PAGE_POSITIONS;
  const uint32_t first = s->begin[0] / PAGE_POSITIONS * PAGE_POSITIONS;
  for (uint32_t at = 0, r = 0; at < end; at += s->runs[r++].n * PAGE_POSITIONS) {
    const uint32_t past = at + s->runs[r].n * PAGE_POSITIONS;
    const uint32_t from = at > begin ? at : begin, to = past < end ? past : end;
    if (from >= to) continue;
    const size_t place = (s->pages + s->runs[r].first) * PAGE_POSITIONS + (from - at);
    float *weights[KERNEL_MAX_QUERIES];
    for (size_t q = 0; q < n; q++) {
      weights[q] = s->scores[i + q] + (from - first);
      if (c->value_scales != NULL) c->k->multiply_bf16(weights[q], c->value_scales + place, to - from);
    }
    c->k->attention_mix((const float *const *)weights, n, (const uint8_t *)c->values + place * row, c->shape.cache,
                        to - from, dim, s->out + i);
  }
}

static void attend_queries(const queries *s, uint8_t *memory) {
  const kernel_table *k = s->c->k;
  const size_t dim = s->c->shape.config->head_dim;
  const uint32_t first = s->begin[0] / PAGE_POSITIONS * PAGE_POSITIONS;
  /* positions that all of them look at */
  const uint32_t begin = s->begin[s->n - 1], end = s->end[0] > begin ? s->end[0] : begin;
  float sum[KERNEL_MAX_QUERIES];
  score(s, memory);
  for (size_t i = 0; i < s->n; i++) {
    float *scores = s->scores[i] + (s->begin[i] - first);
    const size_t n = s->end[i] - s->begin[i];
    if (s->facts->score_soft_cap != 0) k->soft_cap(scores, s->facts->score_soft_cap, n);
    sum[i] = k->exp_sum(scores, k->max(scores, n), n);
    memset(s->out[i], 0, dim * sizeof *s->out[i]);
    mix(s, i, 1, s->begin[i], begin < s->end[i] ? begin : s->end[i]);
  }
  mix(s, 0, s->n, begin, end);
  for (size_t i = 0; i < s->n; i++) {
    mix(s, i, 1, end, s->end[i]);
    k->scale(s->out[i], 1 / sum[i], dim);
  }
}

typedef struct attention_job {
  const cpu_backend *c;
  uint32_t layer;
  const layer_facts *facts;
  size_t n_chunks;
} attention_job;

/* Item: KV heads times chunks of rows. */
static void attend(void *user, size_t item, int thread) {
  const attention_job *job = user;
  const cpu_backend *c = job->c;
  const model_config *config = c->shape.config;
  const size_t dim = config->head_dim, group = config->n_heads / config->n_kv_heads;
  const size_t kv_head = c->heads.kv_first + item / job->n_chunks, first = item % job->n_chunks * ROWS;
  const size_t own_first = kv_head * group > c->heads.first ? kv_head * group : c->heads.first;
  const size_t own_end = (kv_head + 1) * group < c->heads.end ? (kv_head + 1) * group : c->heads.end;
  const size_t past = c->n - first < ROWS ? c->n : first + ROWS;
  const uint32_t window = job->facts->window;
  uint8_t *memory = c->queries != NULL ? c->queries + (size_t)thread * c->query_bytes : NULL;
  queries s = {.c = c,
               .facts = job->facts,
               .pages = cpu_page_index(c, (size_t)job->layer * config->n_kv_heads + kv_head, 0)};
  for (size_t i = 0; i < KERNEL_MAX_QUERIES; i++)
    s.scores[i] = c->scores + ((size_t)thread * KERNEL_MAX_QUERIES + i) * c->score_stride;
  for (size_t row = first; row < past; row++)
    for (size_t h = own_first; h < own_end; h++) {
      const batch_row *at = &c->rows[row];
      const uint32_t end = at->position + 1;
      if (s.n == KERNEL_MAX_QUERIES || (s.n > 0 && s.runs != at->runs)) {
        attend_queries(&s, memory);
        s.n = 0;
      }
      s.runs = at->runs;
      s.query[s.n] = c->buffer[BUFFER_QKV] + row * c->stride[BUFFER_QKV] + h * dim;
      s.out[s.n] = c->buffer[BUFFER_MIXED] + row * c->stride[BUFFER_MIXED] + h * dim;
      s.begin[s.n] = window > 0 && end > window ? end - window : 0;
      s.end[s.n++] = end;
    }
  attend_queries(&s, memory);
}

ellm_status cpu_attention(backend *b, uint32_t layer, const layer_facts *facts, ellm_error *err) {
  const cpu_backend *c = cpu_of(b);
  const model_config *config = c->shape.config;
  attention_job job = {.c = c, .layer = layer, .facts = facts};
  store(c, layer);
  job.n_chunks = (c->n + ROWS - 1) / ROWS;
  pool_for(compute_pool(c->compute), (c->heads.kv_end - c->heads.kv_first) * job.n_chunks, attend, &job);
  return cpu_gather(c, c->buffer[BUFFER_MIXED], c->n, c->stride[BUFFER_MIXED], config->n_heads, 1, config->head_dim, err);
}
