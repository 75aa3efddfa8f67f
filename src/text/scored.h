/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models whose pieces have scores and no merges: those of SentencePiece, and "Unigram" of tokenizer.json.
 *
 *   BPE      of all neighbours whose joined text is a piece, those of the highest score are joined, the leftmost of
 *            equals, until none is left
 *   UNIGRAM  the text is cut into the pieces with the largest sum of scores
 *
 * The type of a piece says how text becomes it: NORMAL pieces by the model, USER_DEFINED ones wherever they are in
 * the text, BYTE ones for bytes of characters that are no piece, UNUSED ones only on the way to others, UNKNOWN and
 * CONTROL ones never. Where two programs differ in how they add, the one that is to be equalled is named.
 */
#ifndef ELLM_TEXT_SCORED_H
#define ELLM_TEXT_SCORED_H

#include "text/bpe.h"
#include "text/prefix_tree.h"

typedef enum scored_kind { SCORED_NONE = 0, SCORED_BPE, SCORED_UNIGRAM } scored_kind;

/* The numbers are those of sentencepiece_model.proto and of GGUF files. */
typedef enum piece_type {
  PIECE_NORMAL = 1, PIECE_UNKNOWN = 2, PIECE_CONTROL = 3, PIECE_USER_DEFINED = 4, PIECE_UNUSED = 5, PIECE_BYTE = 6
} piece_type;

enum { SCORED_MAX_PIECE = 1024 }; /* bytes */

typedef struct scored_model {
  scored_kind kind;
  bool sentencepiece;        /* sums are float, as there; else double, as in `tokenizers` */
  bool byte_fallback;
  bool cut;                  /* BPE: a text may be cut before each U+2581 that follows another character */
  bool has_unused;
  vocab pieces;              /* piece i has id i */
  double *scores;            /* [capacity] */
  uint8_t *types;            /* [capacity], piece_type */
  uint32_t *ranks;           /* BPE: [pieces.count], less is joined first; UINT32_MAX: is not joined */
  size_t capacity;
  uint32_t unk;              /* or VOCAB_NONE */
  uint32_t byte_ids[256];    /* or VOCAB_NONE */
  double least;              /* score of a NORMAL piece */
  prefix_tree *user_defined; /* NULL: there are none */
  prefix_tree texts;         /* UNIGRAM: what text may become */
} scored_model;

/* Scratch memory of one call; zero-initialize. */
typedef struct scored_scratch {
  void *memory;
  size_t bytes;
  uint32_t *splits;   /* BPE: [pieces.count], of UNUSED pieces: where the text that became it was last joined */
  bool after_unknown; /* the last id is the unknown piece */
} scored_scratch;
void scored_scratch_free(scored_scratch *scratch);

/* Building one: scored_begin with kind and sentencepiece set, scored_add for each piece in the order of ids,
 * scored_finish. After an error the model is to be freed. Errors (ELLM_ERR_INPUT) begin with `origin`. */
ellm_status scored_begin(scored_model *m, size_t expected, ellm_error *err);
/* Valid UTF-8 of 1 to SCORED_MAX_PIECE bytes (no lower limit in a model of `tokenizers`), a finite score. */
ellm_status scored_add(scored_model *m, const char *piece, size_t bytes, double score, piece_type type,
                       const char *origin, ellm_error *err);
/* unk and byte_fallback are set. */
ellm_status scored_finish(scored_model *m, const char *origin, ellm_error *err);
void scored_free(scored_model *m);

/* ---- for the files that encode ---- */

bool scored_is_mark(const char *text, size_t bytes); /* does it begin with U+2581? */
/* At least so many bytes of scratch->memory. False: no memory. */
bool scored_scratch_reserve(scored_scratch *scratch, size_t bytes);
/* An id. */
ellm_status scored_append(scored_scratch *scratch, uint32_t id, id_list *ids, ellm_error *err);
/* The ids of text that is not a piece: its bytes, or the unknown piece, once for several in a row. */
ellm_status scored_append_unknown(const scored_model *m, scored_scratch *scratch, const char *text, size_t bytes,
                                  id_list *ids, ellm_error *err);

#endif
