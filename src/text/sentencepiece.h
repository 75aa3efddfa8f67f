/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokenizer.model`, the file that SentencePiece writes, as an origin of a tokenizer: models of type BPE and UNIGRAM.
 *
 * Control pieces and the unknown piece are special tokens here, as everywhere else: they are recognized in a text,
 * unless ELLM_ENCODE_SPECIAL_AS_TEXT says otherwise, and nothing is normalized across them. Then ids are those of the
 * `sentencepiece` library.
 *
 * Which ids are before and after a text is not in that file but in the tokenizer_config.json beside it:
 * add_bos_token (where it is not given: true of BPE models, false of others) and add_eos_token (false), bos_token and
 * eos_token (else the pieces that the model itself names); added_tokens_decoder lists tokens beyond the vocabulary.
 */
#ifndef ELLM_TEXT_SENTENCEPIECE_H
#define ELLM_TEXT_SENTENCEPIECE_H

#include "entrollm.h"

/* From the bytes of both files; `config` NULL: there is no tokenizer_config.json. `origin` names the first in errors,
 * `config_origin` the second. ELLM_ERR_INPUT says what is damaged or not supported. */
ellm_status sentencepiece_tokenizer(const void *model, size_t bytes, const char *origin, const void *config,
                                    size_t config_bytes, const char *config_origin, ellm_tokenizer **tokenizer,
                                    ellm_error *err);

#endif
