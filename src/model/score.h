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

/* ----------------------------------------------------------------- sequences */

/* Sees a row of logits: that of the position before label number `label` (an
 * index into the ids given to scorer_run). Called from several threads at once
 * for different rows. */
typedef void (*score_row_fn)(void *user, size_t label, const float *row, double log_sum);

/* One sequence, and memory for rows of logits. One thread at a time. */
typedef struct scorer scorer;

/* For sequences whose labels reach up to `n_ctx` ids before them. `more`: positions for scorer_run_all beside those of
 * one sequence, or 0: the model's pool is made that large. The model outlives it. */
ellm_status scorer_create(ellm_model *model, uint32_t n_ctx, size_t more, scorer **out, ellm_error *err);
void scorer_free(scorer *s);

/*
 * log_probs[i - first] = log p(ids[i] | ids[0..i)) for i = first .. n - 1, with
 * 1 <= first <= n; n - 1 <= n_ctx. Positions that the sequence before left in
 * the scorer and that are the same are not computed again. `row` may be NULL.
 */
ellm_status scorer_run(scorer *s, const uint32_t *ids, size_t n, size_t first, double *log_probs, score_row_fn row,
                       void *user, ellm_error *err);

/* One of several: scorer_run's arguments; first < n. */
typedef struct scored_sequence { const uint32_t *ids; size_t n, first; double *log_probs; } scored_sequence;
/* Positions that continuations of a common beginning take beside one of them. */
size_t scorer_more(const scored_sequence *sequences, size_t count);
/* scorer_run for all: the ids that they have in common before their labels are computed once, the others together as
 * far as the scorer has room. The same figures to the bit. */
ellm_status scorer_run_all(scorer *s, const scored_sequence *sequences, size_t count, ellm_error *err);
/* Labels whose rows are in memory at once; longer runs are cut into such pieces. */
size_t scorer_piece(const scorer *s);

/* ------------------------------------------------------------------- moments */

/* Sum and sum of squares of negative log-likelihoods, added one by one. */
typedef struct score_moments { uint64_t count; double sum, squares; } score_moments;
void score_moments_add(score_moments *m, double nll);
double score_mean(const score_moments *m);
/* Standard error of the mean as llama.cpp has it: sqrt((mean(v^2) - mean(v)^2) / (count - 1)), 0 if not positive. */
double score_mean_error(const score_moments *m);

#endif
