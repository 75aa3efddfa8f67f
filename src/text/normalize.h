/* SPDX-License-Identifier: Apache-2.0 */
/* The "normalizer" of tokenizer.json: Sequence, Prepend, Replace, NFC, NFD,
 * NFKC, NFKD, Strip, StripAccents, Lowercase, ByteLevel, Precompiled; and what
 * SentencePiece does with a text before it is encoded. */
#ifndef ELLM_TEXT_NORMALIZE_H
#define ELLM_TEXT_NORMALIZE_H

#include <jansson.h>

#include "text/charsmap.h"
#include "text/component.h"
#include "text/pieces.h"
#include "text/prefix_tree.h"
#include "text/regex.h"
#include "text/unicode.h"

typedef enum normalize_kind {
  NORMALIZE_PREPEND, NORMALIZE_REPLACE, NORMALIZE_FORM, NORMALIZE_STRIP, NORMALIZE_STRIP_ACCENTS, NORMALIZE_LOWERCASE,
  NORMALIZE_BYTE_LEVEL, NORMALIZE_PRECOMPILED, NORMALIZE_SENTENCEPIECE
} normalize_kind;

typedef struct normalize_step {
  normalize_kind kind;
  char *content;          /* PREPEND, REPLACE */
  size_t content_bytes;
  text_regex *pattern;    /* REPLACE */
  unicode_form form;
  bool left, right;       /* STRIP */
  charsmap *map;          /* PRECOMPILED; SENTENCEPIECE, where NULL is none */
  const prefix_tree *user_defined; /* SENTENCEPIECE: what stays as it is, not owned; NULL: nothing */
  bool prepend_space;     /* SENTENCEPIECE: a text begins with a space that is not in it */
  bool remove_spaces;     /* SENTENCEPIECE: at both ends, and of several all but one */
} normalize_step;

typedef struct normalizer {
  normalize_step steps[COMPONENT_MAX_STEPS];
  size_t count;
  bool blurs_origin;      /* a step after which `origin` is only known for the first character */
} normalizer;

ellm_status normalizer_load(const json_t *component, const char *origin, normalizer *n, ellm_error *err);
void normalizer_free(normalizer *n);

/* Normalize *text in place, using *spare; *origin (see pieces.h) follows. */
ellm_status normalize(const normalizer *n, regex_scratch *scratch, ellm_buffer *text, ellm_buffer *spare,
                      size_t *origin, ellm_error *err);

#endif
