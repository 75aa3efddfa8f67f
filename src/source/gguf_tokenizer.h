/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer in the metadata of a GGUF file as the files of a checkpoint: tokenizer.json or tokenizer.model, and
 * tokenizer_config.json. */
#ifndef ELLM_SOURCE_GGUF_TOKENIZER_H
#define ELLM_SOURCE_GGUF_TOKENIZER_H

#include "base/memory.h"
#include "gguf/gguf.h"

/* Is there one? (tokenizer.ggml.model, which may be "no_vocab".) */
bool gguf_has_tokenizer(const gguf_metadata *m);

/* The file that gguf_tokenizer gives: "tokenizer.json" of model gpt2, "tokenizer.model" of those with scores. */
const char *gguf_tokenizer_name(const gguf_metadata *m);

/* Model gpt2: byte-level BPE, whose `pre` is in the table of gguf_pretokenizer.h. Models llama and t5: SentencePiece.
 * ELLM_ERR_INPUT names any other, and keys that are missing or do not fit each other. */
ellm_status gguf_tokenizer(const gguf_metadata *m, ellm_buffer *out, ellm_error *err);

/* tokenizer_config.json: special tokens and the chat template; of models with scores what is before and after a
 * text, too. */
ellm_status gguf_tokenizer_config(const gguf_metadata *m, ellm_buffer *out, ellm_error *err);

#endif
