/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A matrix of a model at some step: its codes, what they cost, what they damage, the weights that they stand for.
 * Rows are independent of each other, so they are rounded in strips, in bounded memory, and a sample of them tells
 * about all.
 */
#ifndef ELLM_TUNE_ROUNDER_H
#define ELLM_TUNE_ROUNDER_H

#include "calib/rounding.h"
#include "tune/matrices.h"

typedef struct rounder {
  thread_pool *pool;
  const weight_matrix *matrix;
  const input_columns *columns;
  uint16_t *row_scales;     /* [rows] BF16 */
  quant_scales scales;      /* of the first row on; step as it was set last */
  double lambda;            /* of rate-aware rounding; 0: to nearest */
  rates rates;
  size_t strip_rows;        /* rows of a strip */
  float *weights;           /* [strip_rows][columns] */
  int32_t *codes;           /* [strip_rows][columns] */
  double *damage;           /* [strip_rows] */
} rounder;

/* What a sample of rows says of the whole matrix. */
typedef struct rounder_estimate {
  double entropy_bits; /* of all codes */
  double damage;       /* sum over all rows of the mean squared error of their outputs, each by its row's scale */
  size_t n_codes;      /* different ones that were seen */
} rounder_estimate;

/* Row scales are computed here, by one pass over the matrix. `columns` is of its input; all outlive the rounder. */
ellm_status rounder_open(thread_pool *pool, const tune_matrix *m, const input_columns *columns, rounder *out,
                         ellm_error *err);
void rounder_close(rounder *r); /* fine for one that is all zero */

/* Steps are relative: to the root of the mean square of a row, times its factor. With lambda above 0 a sample of rows is rounded to see
 * what codes cost. */
ellm_status rounder_set(rounder *r, double step, double lambda, ellm_error *err);
/* From about `rows` rows, evenly spread. */
ellm_status rounder_sample(rounder *r, size_t rows, rounder_estimate *out, ellm_error *err);
/* Rows [first, first + n), n <= strip_rows, to r->codes; *damage (may be NULL) is increased. */
ellm_status rounder_strip(rounder *r, uint64_t first, size_t n, double *damage, ellm_error *err);
/* The weights of r->codes, n rows from `first` on, as BF16 to out[n][columns]. */
void rounder_strip_weights(const rounder *r, uint64_t first, size_t n, uint16_t *out);
/* The weights of all codes as BF16, row after row, to out: close enough to measure with, half the memory. */
ellm_status rounder_weights(rounder *r, uint16_t *out, ellm_error *err);

#endif
