/* SPDX-License-Identifier: Apache-2.0 */
/* Log-probabilities of the ids of sequences, by the model. */
#ifndef ELLM_MODEL_SCORER_H
#define ELLM_MODEL_SCORER_H

#include "base/status.h"

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

#endif
