/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSM8K: word problems, answered greedily after examples that think aloud. The
 * rules of lm-evaluation-harness's gsm8k_cot are in docs/EVALUATION.md.
 */
#ifndef ELLM_EVAL_GSM8K_H
#define ELLM_EVAL_GSM8K_H

#include "eval/run.h"
#include "eval/statistics.h"

/* ellm_eval_gsm8k with a request and options of the full size, and a result of the caller's. */
ellm_status eval_gsm8k(ellm_model *model, const ellm_gsm8k_request *request, const ellm_eval_options *options,
                       ellm_gsm8k_result *result, ellm_error *err);

#endif
