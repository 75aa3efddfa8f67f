/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a model's next-token distributions are from a reference's: KL(p || q)
 * of the reference p and the model q over the tokens that perplexity (a)
 * scores. The reference is a model, or its logits saved before.
 */
#ifndef ELLM_EVAL_DIVERGENCE_H
#define ELLM_EVAL_DIVERGENCE_H

#include "eval/run.h"
#include "eval/statistics.h"

typedef struct divergence_request {
  const char *text; /* the file as it is */
  size_t bytes;
  const char *origin; /* its name, for errors */
  uint32_t n_ctx;     /* 0: the saved logits', else the smaller of 512 and the model's context */
} divergence_request;

typedef struct divergence_result {
  eval_figure kl;         /* mean, nats a token */
  eval_figure median, p90, p99;
  double max;
  eval_figure same_top;   /* share of tokens with the same most likely token */
  eval_figure perplexity, reference_perplexity;
  eval_figure ratio;      /* perplexity / reference_perplexity, from paired differences */
  uint64_t scored;
  uint32_t n_ctx;
  double *chunk_kl;       /* means; free with eval_divergence_free */
  size_t n_chunks, n_resumed;
} divergence_result;

/* Compare with an open model. options->limit: the first chunks. */
ellm_status eval_divergence(ellm_model *model, ellm_model *reference, const divergence_request *request,
                            const eval_options *options, divergence_result *result, ellm_error *err);
/* Compare with saved logits; without a limit, all chunks that are saved. */
ellm_status eval_divergence_saved(ellm_model *model, const char *path, const divergence_request *request,
                                  const eval_options *options, divergence_result *result, ellm_error *err);
void eval_divergence_free(divergence_result *result);

/* Save the logits of a reference over the first options->limit chunks. The file
 * appears when it is whole; an interrupted one stays as PATH.partial and is gone
 * on with (options->state is not used). */
ellm_status eval_save_reference(ellm_model *reference, const divergence_request *request, const char *path,
                                bool overwrite, const eval_options *options, ellm_error *err);

#endif
