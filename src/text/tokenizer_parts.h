/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tokenizer is made of, whatever file says it. An origin (tokenizer.json:
 * tokenizer_json.c; `tokenizer.model`: sentencepiece.c) fills the parts of a zeroed struct:
 *
 *   model          pieces with their ids and merges by rank, by way of bpe_build.h
 *   scored         or else pieces with scores, by way of scored.h
 *   normalizer,    steps in order; a step is plain data, see normalize.h,
 *   pretokenizer,  pretokenize.h, decode.h
 *   decoder
 *   post           ids before and after a text
 *   added          tokens looked for in the text, by added_tokens_append
 *
 * and tokenizer_build makes the tokenizer. What cannot be wrong in one part
 * alone (ids of added tokens against the vocabulary, a pre-tokenizer against the
 * normalizer) is checked there.
 */
#ifndef ELLM_TEXT_TOKENIZER_PARTS_H
#define ELLM_TEXT_TOKENIZER_PARTS_H

#include "entrollm.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decode.h"
#include "text/normalize.h"
#include "text/post_process.h"
#include "text/pretokenize.h"
#include "text/scored.h"

typedef struct tokenizer_parts {
  normalizer normalizer;
  pretokenizer pretokenizer;
  bpe_model model;
  scored_model scored;  /* of kind SCORED_NONE where `model` is meant */
  added_tokens added;
  post_processor post;
  decoder decoder;
} tokenizer_parts;

/* The vocabulary of the model that is meant. */
static inline const vocab *tokenizer_pieces(const tokenizer_parts *parts) {
  return parts->scored.kind != SCORED_NONE ? &parts->scored.pieces : &parts->model.pieces;
}

#endif
