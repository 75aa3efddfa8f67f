/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers with scores in the metadata of GGUF files (tokenizer.ggml.model llama and t5) as the `tokenizer.model`
 * that SentencePiece would have written. */
#ifndef ELLM_SOURCE_GGUF_SENTENCEPIECE_H
#define ELLM_SOURCE_GGUF_SENTENCEPIECE_H

#include "base/memory.h"
#include "source/gguf_tokens.h"

typedef struct gguf_sentencepiece_kind {
  const char *model;      /* tokenizer.ggml.model */
  const char *class_name; /* of Transformers */
  unsigned type;          /* model_type of SentencePiece */
  bool adds_space, adds_bos, adds_eos; /* where the file does not say it */
  int64_t bos, eos, unknown;           /* ids, likewise; -1: none */
} gguf_sentencepiece_kind;

/* Static; NULL: a model of this name has no scores. */
const gguf_sentencepiece_kind *gguf_sentencepiece_find(gguf_string model);

/* The file. ELLM_ERR_INPUT names keys that are missing, wrong or do not fit each other. */
ellm_status gguf_sentencepiece_write(const gguf_metadata *m, const gguf_sentencepiece_kind *kind,
                                     const gguf_tokens *tokens, ellm_buffer *out, ellm_error *err);

#endif
