/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a word problem in the text of a solution. */
#ifndef ELLM_EVAL_GSM8K_EXTRACT_H
#define ELLM_EVAL_GSM8K_EXTRACT_H

#include "base/memory.h"
#include "base/status.h"

/* The answer in a completion, cleaned for comparison, appended to `out`; *found
 * is false if there is none. Strict: after "The answer is"; else the last number. */
ellm_status gsm8k_extract(const char *completion, size_t bytes, bool strict, ellm_buffer *out, bool *found,
                          ellm_error *err);

/* The clean-up: without ',' and '$', without all up to the last "#### ", without a '.' at the end. */
ellm_status gsm8k_clean(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err);

#endif
