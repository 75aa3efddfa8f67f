/* SPDX-License-Identifier: Apache-2.0 */
/* A BPE model from tokenizer.json. */
#ifndef ELLM_TEXT_BPE_JSON_H
#define ELLM_TEXT_BPE_JSON_H

#include <jansson.h>

#include "text/bpe.h"
#include "text/json_cut.h"

/* The field "model" of type BPE, whose "vocab" and "merges" are given as text; *bpe is zeroed before. */
ellm_status tokenizer_json_model(const json_t *model, const json_range *vocab_text, const json_range *merges_text,
                                 const char *origin, bpe_model *bpe, ellm_error *err);

#endif
