/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of weights to codes, given the scales: with error feedback, rate-aware,
 * or to nearest, whatever `columns` and `rates` hold (calib/columns.h,
 * calib/rates.h). Nothing is clipped that a file can hold: codes are limited to
 * +-32,000 only.
 *
 * Rows do not depend on each other, so a matrix may be done strip by strip.
 */
#ifndef ELLM_CALIB_ROUNDING_H
#define ELLM_CALIB_ROUNDING_H

#include "calib/columns.h"
#include "calib/rates.h"
#include "quant/scales.h"

enum { ROUNDING_LARGEST = 32000 }; /* codes wait in files as int16; quantized_write takes all below 33,027 */

/* Root of the mean square of each row, as BF16 factors; 1 for a row of zeros. weights[row * columns + column]. */
void rounding_row_scales(const float *weights, size_t n_rows, size_t n_columns, uint16_t *rows);

typedef struct rounding {
  const input_columns *columns;
  const quant_scales *scales; /* of these rows; zero = 0; columns must be columns->scale */
  const rates *rates;         /* NULL: to nearest */
} rounding;

/* codes[row * n + column] of n_rows rows of finite weights, n = columns->n. damage[row], if not NULL: the mean squared
 * error of that row's output over the calibration tokens (with damping; of the weights themselves where the input is
 * unknown). Error feedback and damage use the weights that codes and scales give, to the last bit.
 * ELLM_ERR_IO without memory: 128 bytes a column and thread. */
ellm_status rounding_rows(thread_pool *pool, const rounding *how, const float *weights, size_t n_rows, int32_t *codes,
                          double *damage, ellm_error *err);

#endif
