/* SPDX-License-Identifier: Apache-2.0 */
/* What an ellm_tokenizer is made of; for the files of this folder only. */
#ifndef ELLM_TEXT_TOKENIZER_H
#define ELLM_TEXT_TOKENIZER_H

#include "text/tokenizer_parts.h"

#define ID_IS_ADDED (UINT32_C(1) << 31)

/* Immutable after creation, except the companion. */
struct ellm_tokenizer {
  tokenizer_parts parts;
  vocab added_by_content;   /* ids are indices into parts.added.items */
  uint32_t *by_id;          /* 0: none; index + 1 of a piece of the model; ID_IS_ADDED | index of an added token */
  size_t id_limit;          /* largest id + 1 */
  struct tokenizer_companion *companion; /* companion.h */
};

/* The string that decoding starts from, or NULL for an id without one and for
 * special tokens that are to be skipped. */
const char *tokenizer_decoded_piece(const ellm_tokenizer *tokenizer, uint32_t id, bool skip_special, size_t *bytes);

#endif
