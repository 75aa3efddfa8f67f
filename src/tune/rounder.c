/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/rounder.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { STRIP_WEIGHTS = 1 << 21, MOST_STRIP_ROWS = 1024, RATE_ROWS = 256 };

/* The scale of a row is the root of its mean square, so that one step suits all rows, times its factor
 * (tune/chances.h). */
static void set_row_scales(rounder *r, const float *factors) {
  const weight_matrix *matrix = r->matrix;
  for (uint64_t row = 0, n; row < matrix->rows; row += n) {
    n = matrix->rows - row < r->strip_rows ? matrix->rows - row : r->strip_rows;
    tune_matrix_floats(matrix, row, (size_t)n, r->weights);
    rounding_row_scales(r->weights, (size_t)n, matrix->columns, r->row_scales + row);
  }
  for (uint64_t row = 0; factors != NULL && row < matrix->rows; row++)
    r->row_scales[row] = bf16_from_float(float_from_bf16(r->row_scales[row]) * factors[row]);
}

ellm_status rounder_open(thread_pool *pool, const tune_matrix *m, const input_columns *columns, rounder *out,
                         ellm_error *err) {
  const weight_matrix *matrix = m->matrix;
  *out = (rounder){.pool = pool, .matrix = matrix, .columns = columns};
  size_t n = STRIP_WEIGHTS / matrix->columns;
  n = n > MOST_STRIP_ROWS ? MOST_STRIP_ROWS : n < 32 ? 32 : n / 32 * 32;
  out->strip_rows = n < matrix->rows ? n : matrix->rows;
  const size_t weights = out->strip_rows * (size_t)matrix->columns;
  out->row_scales = malloc(matrix->rows * sizeof *out->row_scales);
  out->weights = malloc(weights * sizeof *out->weights);
  out->codes = malloc(weights * sizeof *out->codes);
  out->damage = malloc(out->strip_rows * sizeof *out->damage);
  if (out->row_scales == NULL || out->weights == NULL || out->codes == NULL || out->damage == NULL) {
    rounder_close(out);
    return ellm_fail_memory(err, weights * 8, "rounding a matrix");
  }
  set_row_scales(out, m->row_factors);
  out->scales = (quant_scales){.step = 1, .rows = out->row_scales, .columns = columns->scale};
  return ELLM_OK;
}

void rounder_close(rounder *r) {
  free(r->row_scales);
  free(r->weights);
  free(r->codes);
  free(r->damage);
  *r = (rounder){0};
}

/* rows[0 .. n) of the matrix, from r->weights to r->codes and r->damage. */
static ellm_status round_rows(rounder *r, const quant_scales *scales, size_t n, const rates *costs, ellm_error *err) {
  const rounding how = {.columns = r->columns, .scales = scales, .rates = costs};
  return rounding_rows(r->pool, &how, r->weights, n, r->codes, r->damage, err);
}

static float row_scale(const rounder *r, uint64_t row) { return float_from_bf16(r->row_scales[row]); }

/* About n rows, evenly spread: their codes counted, their damage by the square of their scales summed. *seen: rows. */
static ellm_status sample(rounder *r, size_t n, const rates *costs, rates_histogram *counts, double *damage,
                          uint64_t *seen, ellm_error *err) {
  const uint64_t rows = r->matrix->rows;
  if (n > rows) n = (size_t)rows;
  memset(counts, 0, sizeof *counts);
  *damage = 0;
  *seen = n;
  uint16_t *scales = malloc(r->strip_rows * sizeof *scales);
  if (scales == NULL) return ellm_fail_memory(err, r->strip_rows * sizeof *scales, "rounding a matrix");
  ellm_status status = ELLM_OK;
  for (size_t first = 0, m; first < n && status == ELLM_OK; first += m) {
    m = n - first < r->strip_rows ? n - first : r->strip_rows;
    for (size_t i = 0; i < m; i++) {
      const uint64_t row = (first + i) * rows / n;
      tune_matrix_floats(r->matrix, row, 1, r->weights + i * r->matrix->columns);
      scales[i] = r->row_scales[row];
    }
    quant_scales of_rows = r->scales;
    of_rows.rows = scales;
    status = round_rows(r, &of_rows, m, costs, err);
    if (status != ELLM_OK) break;
    rates_count(counts, r->codes, m * r->matrix->columns);
    for (size_t i = 0; i < m; i++) {
      const double scale = (double)float_from_bf16(scales[i]);
      *damage += r->damage[i] / (scale * scale);
    }
  }
  free(scales);
  return status;
}

ellm_status rounder_set(rounder *r, double step, double lambda, ellm_error *err) {
  rates_histogram counts;
  double damage;
  uint64_t seen;
  r->scales.step = (float)step;
  r->lambda = lambda;
  if (!(lambda > 0)) return ELLM_OK;
  /* costs of what nearest rounding gives, then of what those costs give: more would change little */
  ELLM_TRY(sample(r, RATE_ROWS, NULL, &counts, &damage, &seen, err));
  rates_from_histogram(&counts, lambda, &r->rates);
  ELLM_TRY(sample(r, RATE_ROWS, &r->rates, &counts, &damage, &seen, err));
  rates_from_histogram(&counts, lambda, &r->rates);
  return ELLM_OK;
}

static const rates *costs_of(const rounder *r) { return r->lambda > 0 ? &r->rates : NULL; }

ellm_status rounder_sample(rounder *r, size_t rows, rounder_estimate *out, ellm_error *err) {
  rates_histogram counts;
  uint64_t seen;
  ELLM_TRY(sample(r, rows, costs_of(r), &counts, &out->damage, &seen, err));
  const double share = (double)r->matrix->rows / (double)seen;
  out->entropy_bits = rates_entropy_bits(&counts) * share;
  out->damage *= share;
  out->n_codes = 0;
  for (size_t i = 0; i < RATES_COUNTS; i++) out->n_codes += counts.count[i] != 0;
  return ELLM_OK;
}

ellm_status rounder_strip(rounder *r, uint64_t first, size_t n, double *damage, ellm_error *err) {
  const quant_scales scales = quant_scales_from(&r->scales, first, 0);
  tune_matrix_floats(r->matrix, first, n, r->weights);
  ELLM_TRY(round_rows(r, &scales, n, costs_of(r), err));
  for (size_t i = 0; damage != NULL && i < n; i++) {
    const double scale = (double)row_scale(r, first + i);
    *damage += r->damage[i] / (scale * scale);
  }
  return ELLM_OK;
}

void rounder_strip_weights(const rounder *r, uint64_t first, size_t n, uint16_t *out) {
  const size_t columns = r->matrix->columns;
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < columns; c++)
      out[i * columns + c] = bf16_from_float(quant_weight(&r->scales, r->codes[i * columns + c], first + i, c));
}

ellm_status rounder_weights(rounder *r, uint16_t *out, ellm_error *err) {
  for (uint64_t row = 0; row < r->matrix->rows; row += r->strip_rows) {
    const uint64_t left = r->matrix->rows - row;
    const size_t n = left < r->strip_rows ? (size_t)left : r->strip_rows;
    ELLM_TRY(rounder_strip(r, row, n, NULL, err));
    rounder_strip_weights(r, row, n, out + row * r->matrix->columns);
  }
  return ELLM_OK;
}
