/* SPDX-License-Identifier: Apache-2.0 */
/* See gguf_tokens.h. */
#include "source/gguf_tokens.h"

#include <stdlib.h>

#define KEY GGUF_TOKENIZER_KEY

/* A list beside the tokens, where the key is there. */
static ellm_status find_list(const gguf_metadata *m, const char *key, gguf_value_type element, uint64_t n,
                             const gguf_value **out, ellm_error *err) {
  if (gguf_find(m, key) == NULL) return ELLM_OK;
  ELLM_TRY(gguf_get_array(m, key, element, out, err));
  if ((*out)->n == n) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s has %llu elements, there are %llu tokens", m->path, key,
                   (unsigned long long)(*out)->n, (unsigned long long)n);
}

ellm_status gguf_tokens_find(const gguf_metadata *m, gguf_tokens *tokens, ellm_error *err) {
  const gguf_value *list;
  ELLM_TRY(gguf_get_array(m, KEY "tokens", GGUF_VALUE_STRING, &list, err));
  ELLM_TRY(find_list(m, KEY "token_type", GGUF_VALUE_I32, list->n, &tokens->types, err));
  ELLM_TRY(find_list(m, KEY "scores", GGUF_VALUE_F32, list->n, &tokens->scores, err));
  tokens->n = list->n; /* each takes 8 bytes of the file at least */
  tokens->tokens = malloc((size_t)list->n * sizeof *tokens->tokens + 1);
  if (tokens->tokens == NULL) return ellm_fail_memory(err, (size_t)list->n * sizeof *tokens->tokens, "a vocabulary");
  gguf_array_strings(list, tokens->tokens);
  return ELLM_OK;
}
