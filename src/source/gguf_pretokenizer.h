/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a byte-level BPE tokenizer cuts a text is only a name in GGUF files ("tokenizer.ggml.pre"), which stands for the
 * tokenizer.json of the model that it is called after. This is the table of those names.
 */
#ifndef ELLM_SOURCE_GGUF_PRETOKENIZER_H
#define ELLM_SOURCE_GGUF_PRETOKENIZER_H

#include "gguf/metadata.h"

/* Static. Texts are values of tokenizer.json. */
typedef struct gguf_pretokenizer {
  const char *name;
  const char *normalizer;
  const char *json;      /* the pre-tokenizer */
  bool ignore_merges;    /* a word that is a piece is that piece, whatever the merges give */
  bool adds_bos;         /* where the file does not say it */
} gguf_pretokenizer;

/* NULL: none of this name. */
const gguf_pretokenizer *gguf_pretokenizer_find(gguf_string name);
/* All names, "a, b and c", for messages. */
const char *gguf_pretokenizer_names(void);

#endif
