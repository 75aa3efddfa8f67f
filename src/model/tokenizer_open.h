/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer among the small files of a source: tokenizer.json, else a SentencePiece model with what the
 * tokenizer_config.json beside it says. */
#ifndef ELLM_MODEL_TOKENIZER_OPEN_H
#define ELLM_MODEL_TOKENIZER_OPEN_H

#include "source/source.h"

/* Is there one of these files? */
bool source_has_tokenizer(const tensor_source *from);
/* Free with ellm_tokenizer_free. ELLM_ERR_INPUT where there is none, or it is damaged or not supported. */
ellm_status source_tokenizer(const tensor_source *from, ellm_tokenizer **tokenizer, ellm_error *err);

#endif
