/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perplexity by llama.cpp's protocol: disjoint chunks of n_ctx ids, each from
 * an empty context, the labels n_ctx/2 + 1 .. n_ctx - 1 scored. Formulas:
 * docs/EVALUATION.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/memory.h"
#include "model/score.h"

void ellm_perplexity_free(ellm_perplexity *result) {
  if (!result) return;
  free(result->chunk_nll);
  memset(result, 0, sizeof *result);
}

static ellm_status run_chunks(scorer *s, const uint32_t *ids, uint32_t n_ctx, int64_t bos, ellm_progress_fn progress,
                              void *user, uint32_t *chunk, double *log_probs, ellm_perplexity *result,
                              ellm_error *err) {
  const size_t first = n_ctx / 2 + 1, labels = n_ctx - first;
  score_moments all = {0};
  for (size_t c = 0; c < result->n_chunks; c++) {
    char running[48] = "";
    if (c) snprintf(running, sizeof running, "perplexity %.3f", exact_exp(score_mean(&all)));
    ellm_progress step = {"score", running, c, result->n_chunks};
    if (progress && !progress(user, &step)) return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
    memcpy(chunk, ids + c * n_ctx, n_ctx * sizeof *ids);
    if (bos >= 0) chunk[0] = (uint32_t)bos;
    ELLM_TRY(scorer_run(s, chunk, n_ctx, first, log_probs, NULL, NULL, err));
    score_moments own = {0};
    for (size_t i = 0; i < labels; i++) {
      score_moments_add(&own, -log_probs[i]);
      score_moments_add(&all, -log_probs[i]);
    }
    result->chunk_nll[c] = score_mean(&own);
  }
  ellm_progress step = {"score", "", result->n_chunks, result->n_chunks};
  if (progress) progress(user, &step);
  result->scored_tokens = all.count;
  result->perplexity = exact_exp(score_mean(&all));
  result->standard_error = result->perplexity * score_mean_error(&all);
  return ELLM_OK;
}

ellm_status ellm_perplexity_a(ellm_model *model, const uint32_t *ids, size_t n_ids, uint32_t n_ctx, int64_t bos,
                              size_t n_chunks, ellm_progress_fn progress, void *user, ellm_perplexity *result,
                              ellm_error *err) {
  memset(result, 0, sizeof *result);
  if (n_ctx < 4) return ellm_fail(err, ELLM_ERR_USAGE, "perplexity: chunks of %u tokens, need 4", (unsigned)n_ctx);
  if (bos > UINT32_MAX) return ellm_fail(err, ELLM_ERR_USAGE, "perplexity: BOS is no token id");
  const size_t available = n_ids / n_ctx;
  if (available == 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "perplexity: %zu tokens are fewer than one chunk of %u", n_ids,
                     (unsigned)n_ctx);
  result->n_chunks = n_chunks && n_chunks < available ? n_chunks : available;
  result->chunk_nll = calloc(result->n_chunks, sizeof *result->chunk_nll);
  uint32_t *chunk = calloc(n_ctx, sizeof *chunk);
  double *log_probs = calloc(n_ctx, sizeof *log_probs);
  scorer *s = NULL;
  ellm_status status = result->chunk_nll && chunk && log_probs
                           ? ELLM_OK
                           : ellm_fail_memory(err, n_ctx * (sizeof *chunk + sizeof *log_probs), "perplexity");
  if (status == ELLM_OK) status = scorer_create(model, n_ctx - 1, 0, &s, err);
  if (status == ELLM_OK)
    status = run_chunks(s, ids, n_ctx, bos, progress, user, chunk, log_probs, result, err);
  scorer_free(s);
  free(log_probs);
  free(chunk);
  if (status != ELLM_OK) ellm_perplexity_free(result);
  return status;
}
