/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte pair encoding: a word becomes symbols, one per character. Then the pair with the lowest rank is merged (the
 * leftmost of equals), again and again, until no pair has a rank.
 *
 * Invariant that makes long words cheap: two neighbouring symbols x, y can only
 * ever come together if some merge joins a piece that ends with x to one that
 * begins with y. Everywhere else the word is cut and its parts are merged one
 * by one, with the same result.
 */
#ifndef ELLM_TEXT_BPE_H
#define ELLM_TEXT_BPE_H

#include "text/vocab.h"

typedef struct bpe_model {
  vocab pieces;
  merge_table merges;
  uint32_t unk;              /* id of unk_token, or VOCAB_NONE */
  bool unk_missing;          /* unk_token names no piece: an unknown character is an error */
  bool fuse_unk, byte_fallback, ignore_merges;
  uint32_t byte_ids[256];    /* of <0x00>..<0xFF>, or VOCAB_NONE */
  uint32_t near_ids[0x800];  /* of one-character pieces, by code point */
  bool cut;                  /* words may be cut (see above) */
  uint64_t *joins;           /* bit set over hashed pairs of symbols that may come together */
} bpe_model;

/* Growing list of ids; zero-initialize, free(items). */
typedef struct id_list { uint32_t *items; size_t count, capacity; } id_list;
bool id_list_append(id_list *list, const uint32_t *ids, size_t count);

/* Scratch memory of one call, reused from word to word; zero-initialize. */
typedef struct bpe_scratch {
  id_list symbols;
  uint32_t *links;           /* previous, next, rank and merged id of each symbol of a long part */
  uint64_t *heap;
  size_t links_capacity, heap_capacity;
} bpe_scratch;
void bpe_scratch_free(bpe_scratch *scratch);

/* To build one: bpe_build.h. */

/* Append the ids of one word (valid UTF-8). */
ellm_status bpe_encode(const bpe_model *bpe, bpe_scratch *scratch, const char *word, size_t bytes, id_list *ids,
                       ellm_error *err);

#endif
