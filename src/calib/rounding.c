/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding with error feedback (docs/QUANTIZATION.md): columns are rounded in a fixed order, and the error of each is
 * added, with its factors, to the columns that are not yet rounded.
 *
 * A task is 32 rows, one per lane, because rows do not depend on each other. Adding every error to all later columns at
 * once would pass over the whole row for each column. So places (columns in that order) go in strips of 12, the size of
 * a tile of panel_product. First the errors of all earlier places are added to the strip's weights, as a matrix
 * product. Then the strip is rounded place by place, and each error is added to the remaining places of the strip. Both
 * ways each sum is one chain of fma over ascending places, so the result does not depend on the size of strips.
 */
#include "calib/rounding.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { ROWS = KERNEL_PANEL_COLUMNS, STRIP = KERNEL_PANEL_ROWS };

void rounding_row_scales(const float *weights, size_t n_rows, size_t n_columns, uint16_t *rows) {
  for (size_t row = 0; row < n_rows; row++, weights += n_columns) {
    double sum[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < n_columns; i++) sum[i % 4] += (double)weights[i] * (double)weights[i];
    const double rms = sqrt(((sum[0] + sum[1]) + (sum[2] + sum[3])) / (double)(n_columns > 0 ? n_columns : 1));
    rows[row] = rms == 0 ? QUANT_SCALE_ONE : bf16_from_float((float)(rms < 0x1p-100 ? 0x1p-100 : rms));
  }
}

typedef struct rounding_job {
  const kernel_table *kernels;
  const rounding *how;
  const float *weights;
  size_t n_rows;
  int32_t *codes;
  double *damage;
  float *errors; /* [thread][place][ROWS] */
  size_t errors_stride;
} rounding_job;

/* 32 rows, and the strip that is being rounded: the weights, and the targets, which are the weights plus the errors
 * that were fed back. A code is chosen for the target; the error that is passed on is that of the weight. */
typedef struct rows_state {
  size_t n_rows, first;
  float row[ROWS], inverse[ROWS]; /* factor of a row, 1 / (step * factor) */
  double damage[ROWS];
  float target[STRIP][ROWS], weight[STRIP][ROWS];
} rows_state;

/* Nearest integers, ties to even, of numbers below 2^22 in size: 1.5 * 2^23 + t is between 2^23 and 2^24, where
 * floats are the integers, so the addition rounds t to one, and taking the number away again is exact. */
static void round_nearest(const float *t, float *q) {
  const float rounder = 0x1.8p23f;
  for (size_t r = 0; r < ROWS; r++) q[r] = (t[r] + rounder) - rounder;
}

/*
 * The code nearer to zero, unless the value is beyond it by more than its threshold. Let W be the square of pivot
 * times scale at this place, M the mean of W over all places, L(a) the bits of code a. Of a value at a + f steps,
 * 0 <= f < 1, code a costs W f^2 + lambda M L(a), and a + 1 costs W (1 - f)^2 + lambda M L(a + 1). The second is less
 * where f > 1/2 + lambda (L(a + 1) - L(a)) / 2 * M / W: `cost` holds the factor in the middle, `slack` is M / W.
 */
static void round_by_rate(const rates *cost, float slack, const float *t, float *q) {
  for (size_t r = 0; r < ROWS; r++) {
    const int32_t inner = (int32_t)t[r];
    const int32_t size = inner < 0 ? -inner : inner;
    const float *table = t[r] < 0 ? cost->down : cost->up;
    const float beyond = fabsf(t[r] - (float)inner);
    const float threshold = 0.5f + table[size < RATES_MOST ? size : RATES_MOST] * slack;
    q[r] = (float)(beyond > threshold ? (t[r] < 0 ? inner - 1 : inner + 1) : inner);
  }
}

/* One place of 32 rows: codes, errors, damage. */
static void round_place(const rounding_job *job, rows_state *rows, size_t place, float *errors) {
  const input_columns *c = job->how->columns;
  const uint32_t column = c->order[place];
  const float *x = rows->target[place % STRIP], *w = rows->weight[place % STRIP];
  const float factor = float_from_bf16(c->scale[column]), inverse = 1.0f / factor, pivot = c->pivot[place];
  const float step = job->how->scales->step, most = ROUNDING_LARGEST;
  float t[ROWS], q[ROWS];
  for (size_t r = 0; r < ROWS; r++) {
    const float value = x[r] * rows->inverse[r] * inverse;
    t[r] = value > -most ? (value < most ? value : most) : -most;
  }
  if (job->how->rates != NULL)
    round_by_rate(job->how->rates, c->slack[place], t, q);
  else
    round_nearest(t, q);
  for (size_t r = 0; r < ROWS; r++) {
    const float near = q[r] * step * rows->row[r] * factor;
    const double miss = (double)(pivot * (x[r] - near));
    errors[r] = w[r] - near;
    rows->damage[r] += miss * miss;
  }
  int32_t *codes = job->codes + rows->first * c->n + column;
  for (size_t r = 0; r < rows->n_rows; r++) codes[r * c->n] = (int32_t)q[r];
}

static void round_strip(const rounding_job *job, rows_state *rows, size_t strip, float *errors) {
  const input_columns *c = job->how->columns;
  const size_t first = strip * STRIP, n = c->n - first < STRIP ? c->n - first : STRIP;
  for (size_t i = 0; i < n; i++) {
    const float *weights = job->weights + rows->first * c->n + c->order[first + i];
    for (size_t r = 0; r < rows->n_rows; r++) rows->weight[i][r] = weights[r * c->n];
  }
  memcpy(rows->target, rows->weight, sizeof rows->target);
  const float *factors = c->strips == NULL ? NULL : columns_strip(c, strip);
  if (factors != NULL) job->kernels->panel_product(first, factors, errors, rows->target[0], ROWS);
  for (size_t i = 0; i < n; i++) {
    float *error = errors + (first + i) * ROWS;
    round_place(job, rows, first + i, error);
    for (size_t later = i + 1; factors != NULL && later < n; later++)
      job->kernels->axpy(factors[(first + i) * STRIP + later], error, rows->target[later], ROWS);
  }
}

static void rows_task(void *user, size_t item, int thread) {
  const rounding_job *job = user;
  const quant_scales *scales = job->how->scales;
  rows_state rows = {.first = item * ROWS};
  rows.n_rows = job->n_rows - rows.first < ROWS ? job->n_rows - rows.first : ROWS;
  for (size_t r = 0; r < ROWS; r++) { /* rows that do not exist are zeros */
    rows.row[r] = r < rows.n_rows && scales->rows != NULL ? float_from_bf16(scales->rows[rows.first + r]) : 1.0f;
    rows.inverse[r] = 1.0f / (scales->step * rows.row[r]);
  }
  float *errors = job->errors + (size_t)thread * job->errors_stride;
  const size_t n = job->how->columns->n;
  for (size_t strip = 0; strip * STRIP < n; strip++) round_strip(job, &rows, strip, errors);
  for (size_t r = 0; r < rows.n_rows && job->damage != NULL; r++) job->damage[rows.first + r] = rows.damage[r];
}

ellm_status rounding_rows(thread_pool *pool, const rounding *how, const float *weights, size_t n_rows, int32_t *codes,
                          double *damage, ellm_error *err) {
  const size_t stride = (how->columns->n + STRIP) * ROWS, threads = (size_t)thread_pool_size(pool);
  rounding_job job = {kernels_best(), how, weights, n_rows, codes, damage, NULL, stride};
  job.errors = ellm_aligned_calloc(threads, stride * sizeof(float));
  if (job.errors == NULL) return ellm_fail_memory(err, threads * stride * sizeof(float), "errors of rounding");
  pool_for(pool, (n_rows + ROWS - 1) / ROWS, rows_task, &job);
  ellm_aligned_free(job.errors);
  return ELLM_OK;
}
