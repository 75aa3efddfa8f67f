/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quantization knows of the input of a matrix: how much each column counts,
 * in which order columns are rounded, how an error in one column is made good in
 * those that follow, and the scale of each column. Matrices that read the same
 * input (q, k, v; gate, up) share one.
 *
 * With H = E[x x^T] and the columns in their order, H = R R^T with R upper
 * triangular. The error of a row of outputs is
 *
 *   e H e^T = sum over places p of R[p][p]^2 (e[p] + sum over k < p of e[k] R[k][p] / R[p][p])^2
 *
 * where e = w - w'. Going through the places in ascending order, the bracket is
 * smallest when w'[p] is what comes nearest to x[p] = w[p] + sum of e[k] R[k][p] / R[p][p].
 * This is Babai's nearest plane, and what GPTQ does with the inverse of H
 * (arXiv 2507.18553); here nothing is inverted. R is the Cholesky factor of the
 * matrix with its columns in reverse order. 1 / R[p][p] is the diagonal of the
 * Cholesky factor of the inverse that GPTQ uses.
 *
 * Scales of columns. At fine steps the bracket is spread evenly over a step s[p], so
 * place p adds R[p][p]^2 s[p]^2 / 12 to the damage, and a code takes const - log2 s[p]
 * bits. For a given sum of bits, that is a given product of all s[p], the sum of
 * R[p][p]^2 s[p]^2 is least where its terms are equal: s[p] ~ 1 / R[p][p], the power 1
 * below. Without feedback R[p][p]^2 is E[x^2], and the same argument asks for a power
 * of 1; at 3 to 4 bits 1/2 is better, as was measured (docs/QUANTIZATION.md, "Scales").
 */
#ifndef ELLM_CALIB_COLUMNS_H
#define ELLM_CALIB_COLUMNS_H

#include "calib/moments.h"

typedef struct columns_options {
  double damping; /* added to the diagonal of H, times its mean */
  double power;   /* of a column's weight in its scale: scale ~ R[p][p]^-power, or E[x^2]^(-power / 2) */
} columns_options;
#define COLUMNS_DEFAULTS ((columns_options){.damping = 0.01, .power = 1.0})
#define COLUMNS_QUICK_DEFAULTS ((columns_options){.damping = 1e-4, .power = 0.5})

/* Read-only once made; may be used by several threads. */
typedef struct input_columns {
  size_t n;
  uint32_t *order;   /* [n] the column at each place */
  uint16_t *scale;   /* [n rounded up to 4] BF16, by column; geometric mean about 1 */
  float *pivot;      /* [n] R[p][p], by place: the weight of an error in that place */
  float *slack;      /* [n] 1 / (pivot * scale)^2 by place, times the mean of (pivot * scale)^2 */
  float *strips;     /* R[k][p] / R[p][p] for 12 places p at a time: [strip][k < 12 (strip + 1)][12]; NULL: no feedback */
} input_columns;

/* From second moments; `what` names the matrix in messages. ELLM_ERR_INPUT: moments that are not finite or, with the
 * damping, not positive definite. Needs one more matrix of the moments' size for a while; what it leaves takes half of one. */
ellm_status columns_from_moments(thread_pool *pool, const moments *m, const columns_options *options, const char *what,
                                 input_columns *out, ellm_error *err);
/* From squares alone, summed over `tokens` inputs: no feedback, places are columns. ELLM_ERR_INPUT: not finite. */
ellm_status columns_from_squares(const double *squares, size_t n, uint64_t tokens, const columns_options *options,
                                 const char *what, input_columns *out, ellm_error *err);
/* Of an input that nothing is known about: all columns count alike, all scales are 1. */
ellm_status columns_unknown(size_t n, input_columns *out, ellm_error *err);
void columns_free(input_columns *c); /* fine for one that is all zero */

/* The factors of one strip of 12 places. */
static inline const float *columns_strip(const input_columns *c, size_t number) {
  return c->strips + number * (number + 1) / 2 * KERNEL_PANEL_ROWS * KERNEL_PANEL_ROWS;
}

#endif
