/* SPDX-License-Identifier: Apache-2.0 */
/* Order, factor and scales of columns. */
#include "calib/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/exact_math.h"
#include "base/memory.h"
#include "calib/cholesky.h"

enum { STRIP = KERNEL_PANEL_ROWS };

static ellm_status columns_create(size_t n, bool feedback, input_columns *out, ellm_error *err) {
  memset(out, 0, sizeof *out);
  const size_t strips = n / STRIP + (n % STRIP != 0);
  size_t elements = 0, squared = 0;
  if (n > UINT32_MAX || (feedback && (!ellm_mul_size(strips, strips + 1, &squared) ||
                                      !ellm_mul_size(squared / 2, STRIP * STRIP, &elements))))
    return ellm_fail_memory(err, n, "columns");
  out->n = n;
  out->order = ellm_aligned_calloc(n, sizeof *out->order);
  out->scale = ellm_aligned_calloc(n + 3, sizeof *out->scale);
  out->pivot = ellm_aligned_calloc(n, sizeof *out->pivot);
  out->slack = ellm_aligned_calloc(n, sizeof *out->slack);
  if (feedback) out->strips = ellm_aligned_calloc(elements, sizeof *out->strips);
  const bool all = out->order != NULL && out->scale != NULL && out->pivot != NULL && out->slack != NULL;
  if (all && (out->strips != NULL || !feedback)) return ELLM_OK;
  columns_free(out);
  return ellm_fail_memory(err, elements * sizeof(float), "factors of moments");
}

void columns_free(input_columns *c) {
  ellm_aligned_free(c->order);
  ellm_aligned_free(c->scale);
  ellm_aligned_free(c->pivot);
  ellm_aligned_free(c->slack);
  ellm_aligned_free(c->strips);
  memset(c, 0, sizeof *c);
}

/* BF16 of a factor, within what a scale may be. */
static uint16_t scale_bits(double factor) {
  const double least = 0x1p-60, most = 0x1p60;
  return bf16_from_float((float)(factor < least ? least : factor > most ? most : factor));
}

/*
 * A column of massive activations outweighs the others a hundred times and more, and its codes would become so many times
 * larger than theirs that they leave the range of codes. No column's factor is below 2^-5 of the mean: a column that
 * weighs 400 times the others does 160 times their damage then, which is a tenth more for a matrix of 1,536 columns.
 */
static const double least_factor = 0x1p-5;

/* Scales and slack from the pivots. */
static void choose_scales(input_columns *c, double power) {
  double mean_log = 0, mean_square = 0;
  for (size_t p = 0; p < c->n; p++) mean_log += exact_log((double)c->pivot[p]) / (double)c->n;
  for (size_t p = 0; p < c->n; p++) {
    const double factor = exact_exp(-power * (exact_log((double)c->pivot[p]) - mean_log));
    c->scale[c->order[p]] = scale_bits(factor > least_factor ? factor : least_factor);
    const double weight = (double)float_from_bf16(c->scale[c->order[p]]) * (double)c->pivot[p];
    mean_square += weight * weight / (double)c->n;
  }
  for (size_t p = 0; p < c->n; p++) {
    const double weight = (double)float_from_bf16(c->scale[c->order[p]]) * (double)c->pivot[p];
    c->slack[p] = (float)(mean_square / (weight * weight));
  }
  for (size_t i = c->n; i < c->n + (4 - c->n % 4) % 4; i++) c->scale[i] = scale_bits(1);
}

typedef struct heavy_column { float weight; uint32_t column; } heavy_column;

static int heavier_first(const void *a, const void *b) {
  const heavy_column *left = a, *right = b;
  if (left->weight != right->weight) return left->weight > right->weight ? -1 : 1;
  return left->column < right->column ? -1 : 1;
}

static ellm_status order_columns(const square_matrix *h, uint32_t *order, ellm_error *err) {
  heavy_column *heavy = malloc(h->n * sizeof *heavy);
  if (heavy == NULL) return ellm_fail_memory(err, h->n * sizeof *heavy, "columns");
  for (size_t i = 0; i < h->n; i++) heavy[i] = (heavy_column){h->at[i * (h->stride + 1)], (uint32_t)i};
  qsort(heavy, h->n, sizeof *heavy, heavier_first);
  for (size_t i = 0; i < h->n; i++) order[i] = heavy[i].column;
  free(heavy);
  return ELLM_OK;
}

/* Place p of the columns is row and column last - p of the reversed matrix. */
typedef struct reverse_job {
  const square_matrix *h;
  square_matrix *reversed;
  input_columns *c;
  float damping; /* to add */
} reverse_job;

static void reverse_task(void *user, size_t place, int thread) {
  const reverse_job *job = user;
  const square_matrix *h = job->h;
  const size_t last = job->reversed->n - 1, column = job->c->order[place];
  float *row = job->reversed->at + (last - place) * job->reversed->stride + last;
  (void)thread;
  for (size_t k = 0; k <= place; k++) {
    const size_t other = job->c->order[k], low = column < other ? column : other, high = column < other ? other : column;
    *(row - k) = h->at[low * h->stride + high];
  }
  *(row - place) += job->damping;
}

static void strip_task(void *user, size_t strip, int thread) {
  const reverse_job *job = user;
  const size_t last = job->reversed->n - 1;
  float *out = job->c->strips + (size_t)(columns_strip(job->c, strip) - job->c->strips);
  (void)thread;
  for (size_t i = 0; i < STRIP && strip * STRIP + i < job->c->n; i++) {
    const size_t place = strip * STRIP + i;
    const float *row = job->reversed->at + (last - place) * job->reversed->stride + last;
    const float inverse = 1.0f / *(row - place);
    job->c->pivot[place] = *(row - place);
    for (size_t k = 0; k < place; k++) out[k * STRIP + i] = *(row - k) * inverse;
  }
}

static ellm_status factor(thread_pool *pool, reverse_job *job, const char *what, ellm_error *err) {
  square_matrix *reversed = job->reversed;
  const size_t n = job->c->n;
  for (size_t i = 0; i < reversed->n - n; i++) reversed->at[i * (reversed->stride + 1)] = 1.0f; /* padding comes last */
  pool_for(pool, n, reverse_task, job);
  ELLM_TRY(cholesky_factor(pool, reversed, what, err));
  pool_for(pool, (n + STRIP - 1) / STRIP, strip_task, job);
  return ELLM_OK;
}

ellm_status columns_from_moments(thread_pool *pool, const moments *m, const columns_options *options, const char *what,
                                 input_columns *out, ellm_error *err) {
  const size_t n = m->sum.n;
  memset(out, 0, sizeof *out);
  ELLM_TRY(moments_check(m, what, err));
  double mean = 0;
  for (size_t i = 0; i < n; i++) mean += (double)m->sum.at[i * (m->sum.stride + 1)] / (double)n;
  ELLM_TRY(columns_create(n, true, out, err));
  square_matrix reversed = {0};
  reverse_job job = {&m->sum, &reversed, out, (float)(options->damping * mean)};
  ellm_status status = order_columns(&m->sum, out->order, err);
  if (status == ELLM_OK) status = square_matrix_create(m->sum.stride, &reversed, err);
  if (status == ELLM_OK) status = factor(pool, &job, what, err);
  square_matrix_free(&reversed);
  if (status != ELLM_OK) {
    columns_free(out);
    return status;
  }
  const float scale = m->tokens > 0 ? (float)(1 / sqrt((double)m->tokens)) : 1.0f; /* sums to means */
  for (size_t p = 0; p < n; p++) out->pivot[p] *= scale;
  choose_scales(out, options->power);
  return ELLM_OK;
}

ellm_status columns_from_squares(const double *squares, size_t n, uint64_t tokens, const columns_options *options,
                                 const char *what, input_columns *out, ellm_error *err) {
  double mean = 0;
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(squares[i])) return ellm_fail(err, ELLM_ERR_INPUT, "%s: moments of column %zu are not finite", what, i);
    mean += squares[i] / (double)n;
  }
  if (!(mean > 0) || !(mean < 1e37) || tokens == 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: moments are %s", what, mean > 0 && tokens > 0 ? "too large" : "all zero");
  ELLM_TRY(columns_create(n, false, out, err));
  for (size_t i = 0; i < n; i++) {
    out->order[i] = (uint32_t)i;
    out->pivot[i] = (float)sqrt((squares[i] + options->damping * mean) / (double)tokens);
  }
  choose_scales(out, options->power);
  return ELLM_OK;
}

ellm_status columns_unknown(size_t n, input_columns *out, ellm_error *err) {
  ELLM_TRY(columns_create(n, false, out, err));
  for (size_t i = 0; i < n; i++) {
    out->order[i] = (uint32_t)i;
    out->pivot[i] = 1.0f;
  }
  choose_scales(out, 0);
  return ELLM_OK;
}
