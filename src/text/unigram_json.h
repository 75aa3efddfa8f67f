/* SPDX-License-Identifier: Apache-2.0 */
/* A Unigram model from tokenizer.json. */
#ifndef ELLM_TEXT_UNIGRAM_JSON_H
#define ELLM_TEXT_UNIGRAM_JSON_H

#include <jansson.h>

#include "text/json_cut.h"
#include "text/scored.h"

/* The field "model" of type Unigram, whose "vocab" is given as text; *m is zeroed before. */
ellm_status tokenizer_json_unigram(const json_t *model, const json_range *vocab_text, const char *origin,
                                   scored_model *m, ellm_error *err);

#endif
