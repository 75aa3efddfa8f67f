/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second moments of what a matrix multiplies. For a matrix W and its inputs x,
 * the mean squared error of the outputs is e H e^T summed over the rows e of
 * W - W', with H = E[x x^T]. So H is all that quantization needs to know of a
 * calibration text. The quick way needs its diagonal alone.
 *
 * H is kept in float32. One chain of fma over 16,384 tokens is off by some 1e-6
 * of sqrt(H_ii H_jj), while the tokens themselves are a sample whose own error
 * is about 1e-2 and the damping that follows adds 1e-2 of the mean: float64
 * would cost twice the memory and half the speed for digits that nobody sees.
 * The diagonal's squares alone are summed in float64, which is free.
 *
 * Bits do not depend on threads, instruction set, or on how the tokens are cut
 * into batches; they do depend on the order of the tokens.
 */
#ifndef ELLM_CALIB_MOMENTS_H
#define ELLM_CALIB_MOMENTS_H

#include "calib/panels.h"

/* Tokens that are packed at a time, twice: deep enough that loading and storing the sums costs little. */
enum { MOMENTS_DEPTH = 256 };

typedef struct moments {
  uint64_t tokens;
  square_matrix sum;  /* of x x^T */
  panels panel;
} moments;

/* For inputs of `columns` >= 1 elements. Free with moments_free, also after a failure. */
ellm_status moments_create(size_t columns, moments *out, ellm_error *err);
void moments_free(moments *m); /* fine for one that is all zero */

/* Adds n_tokens inputs x[token * stride + column]. Not safe from several threads at once. */
void moments_add(moments *m, thread_pool *pool, const float *x, size_t n_tokens, size_t stride);

/* sum[column] += x^2 for n_tokens inputs x[token * stride + column], tokens ascending. */
void moments_add_squares(const float *x, size_t n_tokens, size_t stride, size_t columns, double *sum);

/* ELLM_ERR_INPUT if a sum is not finite (an input was NaN, infinite or huge); `what` names the matrix in the message. */
ellm_status moments_check(const moments *m, const char *what, ellm_error *err);

#endif
