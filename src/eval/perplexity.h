/* SPDX-License-Identifier: Apache-2.0 */
/* Perplexity by four published protocols; exact rules in docs/EVALUATION.md. */
#ifndef ELLM_EVAL_PERPLEXITY_H
#define ELLM_EVAL_PERPLEXITY_H

#include "eval/run.h"
#include "eval/statistics.h"

/* ellm_eval_perplexity with a request and options of the full size, and a result of the caller's. */
ellm_status eval_perplexity(ellm_model *model, const ellm_perplexity_request *request, const ellm_eval_options *options,
                            ellm_perplexity_result *result, ellm_error *err);
void eval_perplexity_free(ellm_perplexity_result *result);

/* The text as (a) and (c) read it: without one last newline, with special tokens. *ids is malloc'ed. */
ellm_status perplexity_encode(ellm_model *model, const char *text, size_t bytes, uint32_t **ids, size_t *n_ids,
                              ellm_error *err);
/* BOS if the model adds it to a text, else -1: add_bos_token of tokenizer_config.json decides, as in the files that
 * llama.cpp runs; where it is not given, whether the post-processor put BOS before `ids`. */
ellm_status perplexity_bos(ellm_model *model, const uint32_t *ids, size_t n_ids, int64_t *bos, ellm_error *err);
/* n_ctx or its default; ELLM_ERR_USAGE when the model's context is smaller. */
ellm_status perplexity_context(ellm_model *model, uint32_t n_ctx, uint32_t *out, ellm_error *err);

#endif
