/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/chances.h"

#include <stdlib.h>

#include "base/exact_math.h"
#include "base/memory.h"

static const double units = (double)((uint64_t)1 << 40); /* of a sum, in 1 */
/* p (1 - p) of a token that was never thought of at all */
static const double least_importance = 1e-9, shrunk_exponent = -0.25, most_factor = 4;
enum { SLICE = 4096 }; /* tokens of the vocabulary that a thread takes at a time */

ellm_status chances_create(size_t vocab_size, token_chances *out, ellm_error *err) {
  *out = (token_chances){.n = vocab_size, .sum = calloc(vocab_size, sizeof *out->sum)};
  return out->sum != NULL ? ELLM_OK : ellm_fail_memory(err, vocab_size * sizeof *out->sum, "chances of tokens");
}

void chances_free(token_chances *c) {
  free(c->sum);
  *c = (token_chances){0};
}

typedef struct adding {
  token_chances *to;
  const kernel_table *kernels;
  float *const *rows;
  size_t n_rows;
} adding;

/* A row of logits becomes probabilities. */
static void to_probabilities(void *user, size_t i, int thread) {
  const adding *a = user;
  float *row = a->rows[i];
  (void)thread;
  const float sum = a->kernels->exp_sum(row, a->kernels->max(row, a->to->n), a->to->n);
  a->kernels->scale(row, 1 / sum, a->to->n);
}

static void add_slice(void *user, size_t slice, int thread) {
  const adding *a = user;
  const size_t first = slice * SLICE, left = a->to->n - first, end = first + (left < SLICE ? left : SLICE);
  (void)thread;
  for (size_t r = 0; r < a->n_rows; r++) {
    const float *p = a->rows[r];
    for (size_t i = first; i < end; i++) {
      const float importance = p[i] * (1 - p[i]); /* below 0 by rounding: p is at most 1 and a little */
      a->to->sum[i] += importance > 0 ? (uint64_t)(importance * (float)units) : 0;
    }
  }
}

void chances_add(token_chances *c, compute *on, float *const *rows, size_t n_rows) {
  adding a = {c, compute_kernels(on), rows, n_rows};
  pool_for(compute_pool(on), n_rows, to_probabilities, &a);
  pool_for(compute_pool(on), (c->n + SLICE - 1) / SLICE, add_slice, &a);
  c->positions += n_rows;
}

void chances_row_factors(const token_chances *c, float *out) {
  const double scale = 1 / units / (double)c->positions;
  double mean = 0;
  for (size_t i = 0; i < c->n; i++) mean += exact_log((double)c->sum[i] * scale + least_importance);
  mean /= (double)c->n;
  for (size_t i = 0; i < c->n; i++) {
    const double log_importance = exact_log((double)c->sum[i] * scale + least_importance);
    const double factor = exact_exp(shrunk_exponent * (log_importance - mean));
    out[i] = (float)(factor > most_factor ? most_factor : factor < 1 / most_factor ? 1 / most_factor : factor);
  }
}
