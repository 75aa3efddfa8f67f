/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a tokenizer from tokenizer.json; see tokenizer_json.c. */
#ifndef ELLM_TEXT_TOKENIZER_JSON_H
#define ELLM_TEXT_TOKENIZER_JSON_H

#include <jansson.h>

#include "text/json_cut.h"
#include "text/tokenizer_parts.h"

/* The field "model" of type BPE, whose "vocab" and "merges" are given as text; *bpe is zeroed before. */
ellm_status tokenizer_json_model(const json_t *model, const json_range *vocab_text, const json_range *merges_text,
                                 const char *origin, bpe_model *bpe, ellm_error *err);
/* The same of type Unigram; *m is zeroed before. */
ellm_status tokenizer_json_unigram(const json_t *model, const json_range *vocab_text, const char *origin,
                                   scored_model *m, ellm_error *err);

#endif
