/* SPDX-License-Identifier: Apache-2.0 */
/* From text to ids. */
#ifndef ELLM_TEXT_ENCODE_H
#define ELLM_TEXT_ENCODE_H

#include "text/marked.h"

/* ellm_tokenizer_encode with ELLM_ENCODE_NO_POST of a text with markers. */
ellm_status text_encode_marked(const ellm_tokenizer *tokenizer, const text_marker *marker, const char *text,
                               size_t bytes, uint32_t **ids, size_t *n_ids, ellm_error *err);

#endif
