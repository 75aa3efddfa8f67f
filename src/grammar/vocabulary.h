/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of all tokens of a vocabulary, as a tree: tokens that begin alike are looked at together. Made once for a
 * tokenizer and kept with it; immutable, shared, gone with the last that holds it. Special tokens are not in it, nor
 * are ids without bytes.
 */
#ifndef ELLM_GRAMMAR_VOCABULARY_H
#define ELLM_GRAMMAR_VOCABULARY_H

#include <stdatomic.h>

#include "base/status.h"

enum { VOCABULARY_LONGEST = 1024 }; /* bytes of a token; longer ones are left out */

/* Nodes are numbered as they are met going down: all below node i are (i, end). Node 0 is the root. */
typedef struct vocabulary_node {
  uint32_t end;
  uint32_t first;   /* its tokens are ids[first .. first of the next node) */
  uint16_t depth;   /* bytes from the root */
  uint8_t byte;     /* the last of them */
} vocabulary_node;

typedef struct vocabulary {
  atomic_uint holders;
  uint32_t n_ids;            /* ids of the tokenizer: largest + 1 */
  vocabulary_node *nodes;    /* [n_nodes], and one more that has `first` alone */
  uint32_t n_nodes;
  uint32_t *ids;             /* [n_tokens] in the order of the nodes */
  uint32_t n_tokens;
  uint32_t longest;          /* bytes of a token */
  uint8_t *bytes;            /* of token id: bytes[begin[id] .. begin[id + 1]) */
  uint32_t *begin;
} vocabulary;

/* That of a tokenizer; release it. ELLM_ERR_INPUT where ids have no text of their own. */
ellm_status vocabulary_of(const ellm_tokenizer *tokenizer, vocabulary **vocabulary, ellm_error *err);
vocabulary *vocabulary_hold(vocabulary *v);
void vocabulary_release(vocabulary *v);

#endif
