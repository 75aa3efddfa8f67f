/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSM8K: word problems, answered greedily after examples that think aloud. The
 * rules of lm-evaluation-harness's gsm8k_cot are in docs/EVALUATION.md.
 */
#ifndef ELLM_EVAL_GSM8K_H
#define ELLM_EVAL_GSM8K_H

#include "base/memory.h"
#include "eval/run.h"
#include "eval/statistics.h"

/* The answer in a completion, cleaned for comparison, appended to `out`; *found
 * is false if there is none. Strict: after "The answer is"; else the last number. */
ellm_status gsm8k_extract(const char *completion, size_t bytes, bool strict, ellm_buffer *out, bool *found,
                          ellm_error *err);

/* The clean-up: without ',' and '$', without all up to the last "#### ", without a '.' at the end. */
ellm_status gsm8k_clean(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err);

typedef struct gsm8k_request {
  const char *text; /* JSON lines {"question": TEXT, "answer": TEXT} */
  size_t bytes;
  const char *origin;
  const char *examples; /* what stands before every question; NULL: nothing */
  size_t examples_bytes;
  uint32_t max_new;     /* 0: 256 */
} gsm8k_request;

typedef struct gsm8k_result {
  eval_figure strict, flexible; /* shares of right answers */
  eval_figure mean_tokens;      /* generated for a question */
  uint32_t max_new, max_prompt; /* tokens; longer prompts lost their beginning */
  size_t n_items, n_cut, n_resumed; /* n_cut: such prompts */
} gsm8k_result;

/* options->limit: the first questions. */
ellm_status eval_gsm8k(ellm_model *model, const gsm8k_request *request, const eval_options *options,
                       gsm8k_result *result, ellm_error *err);

#endif
