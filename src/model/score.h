/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well a model predicts: log-probabilities of given tokens. Rows of logits
 * are made in pieces of bounded size and reduced at once, in double precision
 * and in one fixed order, so that a figure is the same for every thread count
 * and instruction set.
 */
#ifndef ELLM_MODEL_SCORE_H
#define ELLM_MODEL_SCORE_H

#include "base/status.h"

/* ------------------------------------------------------------ rows of logits */

/* log(sum(exp(row))), relative error of the sum below 1e-13 (not NaN inside). */
double score_log_sum_exp(const float *row, size_t n);
/* KL(p || q) of softmax(p) and softmax(q) in nats, from their rows and score_log_sum_exp of both. */
double score_divergence(const float *p, double p_log_sum, const float *q, double q_log_sum, size_t n);
/* The lowest of the largest logits' ids. */
uint32_t score_top(const float *row, size_t n);

/* ------------------------------------------------------------------- moments */

/* Sum and sum of squares of negative log-likelihoods, added one by one. */
typedef struct score_moments { uint64_t count; double sum, squares; } score_moments;
void score_moments_add(score_moments *m, double nll);
double score_mean(const score_moments *m);
/* Standard error of the mean as llama.cpp has it: sqrt((mean(v^2) - mean(v)^2) / (count - 1)), 0 if not positive. */
double score_mean_error(const score_moments *m);

#endif
