/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer put together from its parts. */
#ifndef ELLM_TEXT_TOKENIZER_BUILD_H
#define ELLM_TEXT_TOKENIZER_BUILD_H

#include "text/tokenizer_parts.h"

/* Takes the parts over and zeroes *parts, also when it fails. Errors (ELLM_ERR_INPUT) begin with `origin`. */
ellm_status tokenizer_build(tokenizer_parts *parts, const char *origin, ellm_tokenizer **tokenizer, ellm_error *err);
void tokenizer_parts_free(tokenizer_parts *parts);

#endif
