/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens in the metadata of a GGUF file: texts, types and scores, as far as they are there. */
#ifndef ELLM_SOURCE_GGUF_TOKENS_H
#define ELLM_SOURCE_GGUF_TOKENS_H

#include <string.h>

#include "gguf/metadata.h"

#define GGUF_TOKENIZER_KEY "tokenizer.ggml."

typedef enum gguf_token_type {
  GGUF_TOKEN_NORMAL = 1, GGUF_TOKEN_UNKNOWN = 2, GGUF_TOKEN_CONTROL = 3, GGUF_TOKEN_USER_DEFINED = 4,
  GGUF_TOKEN_UNUSED = 5, GGUF_TOKEN_BYTE = 6
} gguf_token_type;

typedef struct gguf_tokens {
  gguf_string *tokens;      /* [n], in the file; not always UTF-8 */
  uint64_t n;
  const gguf_value *types;  /* of integers, [n]; NULL: all are ordinary */
  const gguf_value *scores; /* of F32, [n]; NULL: there are none */
} gguf_tokens;

/* ELLM_ERR_INPUT where there are no tokens, or lists differ in length. free(tokens->tokens), also after an error;
 * *tokens is zero before. */
ellm_status gguf_tokens_find(const gguf_metadata *m, gguf_tokens *tokens, ellm_error *err);

static inline bool gguf_string_is(gguf_string string, const char *text) {
  return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

#endif
