/* SPDX-License-Identifier: Apache-2.0 */
/* The "pre_tokenizer" of tokenizer.json: Sequence, ByteLevel, Metaspace, Digits,
 * Split, Punctuation, Whitespace, WhitespaceSplit. */
#ifndef ELLM_TEXT_PRETOKENIZE_H
#define ELLM_TEXT_PRETOKENIZE_H

#include <jansson.h>

#include "text/component.h"
#include "text/normalize.h"
#include "text/pieces.h"
#include "text/regex.h"

typedef enum pretokenize_kind {
  PRETOKENIZE_BYTE_LEVEL, PRETOKENIZE_METASPACE, PRETOKENIZE_DIGITS, PRETOKENIZE_SPLIT, PRETOKENIZE_PUNCTUATION,
  PRETOKENIZE_WHITESPACE, PRETOKENIZE_WHITESPACE_SPLIT
} pretokenize_kind;

/* What becomes of a delimiter between two pieces. */
typedef enum split_behavior {
  SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_MERGED_WITH_PREVIOUS, SPLIT_MERGED_WITH_NEXT, SPLIT_CONTIGUOUS
} split_behavior;

typedef enum prepend_scheme { PREPEND_FIRST, PREPEND_NEVER, PREPEND_ALWAYS } prepend_scheme;

typedef struct pretokenize_step {
  pretokenize_kind kind;
  text_regex *pattern;        /* SPLIT; BYTE_LEVEL, NULL for use_regex false */
  split_behavior behavior;    /* SPLIT, PUNCTUATION, DIGITS */
  bool invert;                /* SPLIT */
  bool add_prefix_space;      /* BYTE_LEVEL */
  char replacement[4];        /* METASPACE */
  size_t replacement_bytes;
  prepend_scheme scheme;      /* METASPACE */
  bool split;                 /* METASPACE */
} pretokenize_step;

typedef struct pretokenizer {
  pretokenize_step steps[COMPONENT_MAX_STEPS];
  size_t count;
} pretokenizer;

/* Split the pieces of the state further; text may be rewritten. */
ellm_status pretokenize(const pretokenizer *p, regex_scratch *scratch, split_state *state, ellm_error *err);

#endif
