/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much the rows of an output matrix matter, token by token.
 *
 * An error d of a token's logit changes the model's distribution p by a divergence of p (1 - p) d^2 / 2 (second order
 * of KL, the logits' errors being independent). So the row of a token that the model hardly ever thinks of may be
 * coarse, and p (1 - p), averaged over a calibration text, says how coarse. At a given number of bits the sum of
 * importance x step^2 is smallest where step is proportional to importance^(-1/2). Half of that on a scale of
 * logarithms is taken, and no more than two octaves either way: a text of some thousand tokens knows little of most of a
 * vocabulary, and what users write is not what it says. docs/QUANTIZATION.md has what was measured.
 *
 * Sums are integers, so the order of the tokens does not matter, nor how many sequences are evaluated together.
 */
#ifndef ELLM_TUNE_CHANCES_H
#define ELLM_TUNE_CHANCES_H

#include "base/status.h"
#include "model/matrix.h"

typedef struct token_chances {
  size_t n;              /* tokens of the vocabulary; 0: none */
  uint64_t positions;    /* that were added */
  uint64_t *sum;         /* [n] of p (1 - p), in units of 2^-40 */
} token_chances;

/* Zeroed; free with chances_free, also after a failure. */
ellm_status chances_create(size_t vocab_size, token_chances *out, ellm_error *err);
void chances_free(token_chances *c);

/* Adds positions, given by their logits, finite numbers: rows[i][n], n_rows <= 2^20 of them, which are destroyed. */
void chances_add(token_chances *c, compute *on, float *const *rows, size_t n_rows);

/* Factors of row scales, about 1, larger for what matters less: out[n]. At least one position has been added. */
void chances_row_factors(const token_chances *c, float *out);

#endif
