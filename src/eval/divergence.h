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

/* The functions of entrollm.h with requests and options of the full size, and results of the caller's. */
ellm_status eval_divergence(ellm_model *model, ellm_model *reference, const ellm_divergence_request *request,
                            const ellm_eval_options *options, ellm_divergence_result *result, ellm_error *err);
ellm_status eval_divergence_saved(ellm_model *model, const char *path, const ellm_divergence_request *request,
                                  const ellm_eval_options *options, ellm_divergence_result *result, ellm_error *err);
void eval_divergence_free(ellm_divergence_result *result);

#endif
