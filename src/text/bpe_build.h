/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a model of byte pair encoding from its parts, whatever file they
 * come from: bpe_build_begin, bpe_build_piece for each piece, bpe_build_merges,
 * bpe_build_merge for all merges by rank, bpe_build_end (in any case). After an
 * error the model is to be freed. Errors begin with `origin`.
 */
#ifndef ELLM_TEXT_BPE_BUILD_H
#define ELLM_TEXT_BPE_BUILD_H

#include "text/bpe.h"

typedef struct bpe_builder {
  bpe_model *bpe;
  const char *origin;
  ellm_buffer joined;
  uint32_t rank;      /* of the next merge */
  size_t next;        /* index of the piece that it gives if merges continue as pieces do */
} bpe_builder;

/* Both parts of a merge. Ids are found when it is built. */
typedef struct merge_parts { const char *text[2]; size_t bytes[2]; uint32_t id[2]; } merge_parts;

/* `bpe` holds nothing but options (fuse_unk, byte_fallback, ignore_merges). `expected` is how many pieces (merges)
 * there may be; more are fine. */
ellm_status bpe_build_begin(bpe_builder *b, bpe_model *bpe, const char *origin, size_t expected, ellm_error *err);
/* Valid UTF-8; an id below VOCAB_ID_LIMIT that no other piece has. */
ellm_status bpe_build_piece(bpe_builder *b, const char *piece, size_t bytes, uint32_t id, ellm_error *err);
/* All pieces are there. `unk`: the one for unknown characters, or NULL. */
ellm_status bpe_build_merges(bpe_builder *b, const char *unk, size_t expected, ellm_error *err);
/* The next n merges. Some dozens at a time are fastest: what each leads to in memory is fetched before it is needed, all
 * the more after vocab_expect for both parts of each. */
ellm_status bpe_build_merge(bpe_builder *b, merge_parts *merges, size_t n, ellm_error *err);
void bpe_build_end(bpe_builder *b);
void bpe_free(bpe_model *bpe);

#endif
