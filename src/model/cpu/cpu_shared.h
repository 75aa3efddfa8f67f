/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder work on: a backend of processors. */
#ifndef ELLM_MODEL_CPU_CPU_SHARED_H
#define ELLM_MODEL_CPU_CPU_SHARED_H

#include "model/backend.h"
#include "model/rope.h"
#include "model/team.h"

/* What a backend computes for; all of it outlives the backend. */
typedef struct cpu_backend_shape {
  const model_config *config;
  const rope_tables *ropes;
  const weight_matrix *embedding;
  ellm_activations activations;   /* in use, never AUTO */
  kernel_cache cache;             /* type of keys and values */
  const ellm_team *team;          /* NULL: alone */
} cpu_backend_shape;

typedef struct cpu_experts cpu_experts;

typedef struct cpu_backend {
  backend base;                   /* first: a backend * is one of these */
  cpu_backend_shape shape;
  compute *compute;
  const kernel_table *k;

  team_heads heads;               /* computed here: all of them, except members of a team */
  uint32_t *cuts;                 /* [n_ranks + 1] of a team's member: `first` of a gather */

  /* Pages: keys [layer][kv head][page][head_dim][PAGE_POSITIONS], so that a vector holds one element of 16 keys;
   * values [layer][kv head][page][PAGE_POSITIONS][head_dim]. A run of pages is one stretch of memory for each head.
   * In 8 bits head_dim is rounded up to a multiple of 4, and four elements of a key lie together:
   * [.. / 4][PAGE_POSITIONS][4], plus KERNEL_Q8_ZERO. Their scales: [layer][kv head][page][PAGE_POSITIONS]. */
  uint32_t n_pages;
  void *keys, *values;
  uint16_t *key_scales, *value_scales; /* NULL but in 8 bits */

  /* The batch: [row][stride], strides multiples of 16, zero beyond the columns. */
  const batch_row *rows;          /* of `begin` */
  size_t n;                       /* rows at work */
  uint32_t wanted[BACKEND_MAX_ROWS]; /* which of rows[], from `select` on */
  float *buffer[BACKEND_BUFFERS];
  size_t stride[BACKEND_BUFFERS];
  uint32_t columns[BACKEND_BUFFERS];
  float *cos_sin;                 /* [row][ropes->stride] */
  void *scratch;                  /* kernel_activations of any product; NULL with f32 activations */
  cpu_experts *experts;           /* what layers with experts need; NULL: there are none */
  float *staged;                  /* [CPU_STAGED_ROWS][vocab_size]: logits whose places are apart */
  size_t score_stride;            /* scores of one query */
  float *scores;                  /* [thread][KERNEL_MAX_QUERIES][score_stride] */
  uint8_t *queries;               /* [thread][query_bytes]: kernel_activations; NULL but with a cache of 8 bits */
  size_t query_bytes;
} cpu_backend;

enum { CPU_STAGED_ROWS = 16 };

static inline cpu_backend *cpu_of(backend *b) { return (cpu_backend *)b; }

typedef void (*cpu_row_fn)(void *user, size_t row, int thread);
/* fn for rows 0 .. n - 1, on the threads where there are several: a row takes a few microseconds. */
void cpu_for_rows(const cpu_backend *c, size_t n, cpu_row_fn fn, void *user);

/* Bytes of the keys, or the values, of one head in a page, scales not counted. */
static inline size_t cpu_page_bytes(const cpu_backend *c) {
  static const size_t element[] = {[KERNEL_CACHE_F32] = 4, [KERNEL_CACHE_F16] = 2, [KERNEL_CACHE_Q8] = 1};
  return PAGE_POSITIONS * kernel_cache_row(c->shape.cache, c->shape.config->head_dim) * element[c->shape.cache];
}
/* The place of page `page` of a head among all of them; heads counted through all layers. */
static inline size_t cpu_page_index(const cpu_backend *c, size_t head, uint32_t page) {
  return head * c->n_pages + page;
}

static inline size_t cpu_round_up(size_t n) { return (n + 15) / 16 * 16; }

/* Digits of activations; 0: they are floats. */
static inline unsigned cpu_digits(const cpu_backend *c) {
  return c->shape.activations == ELLM_ACTIVATIONS_F32 ? 0 : c->shape.activations == ELLM_ACTIVATIONS_I8 ? 1 : 2;
}

#endif
