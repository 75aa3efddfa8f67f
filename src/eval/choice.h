/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiple choice: which of several continuations of a text is likeliest.
 * HellaSwag is one such list; others come as JSON lines. The forms and the
 * rules of both protocols are in docs/EVALUATION.md.
 */
#ifndef ELLM_EVAL_CHOICE_H
#define ELLM_EVAL_CHOICE_H

#include "eval/choice_read.h"
#include "eval/run.h"
#include "eval/statistics.h"

/* ellm_eval_choice with options of the full size, and a result of the caller's. */
ellm_status eval_choice(ellm_model *model, const ellm_choice_set *set, ellm_choice_protocol protocol,
                        const ellm_eval_options *options, ellm_choice_result *result, ellm_error *err);
void eval_choice_free(ellm_choice_result *result);

#endif
