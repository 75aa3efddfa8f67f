/* SPDX-License-Identifier: Apache-2.0 */
/* What a tokenizer_config.json says beside a `tokenizer.model`; sentencepiece.h has the rules. */
#ifndef ELLM_TEXT_SENTENCEPIECE_CONFIG_H
#define ELLM_TEXT_SENTENCEPIECE_CONFIG_H

#include <jansson.h>

#include "text/tokenizer_parts.h"

typedef struct sentencepiece_config {
  json_t *root; /* NULL: there is no such file */
  const char *origin;
} sentencepiece_config;

/* `text` NULL: there is none. */
ellm_status sentencepiece_config_read(const void *text, size_t bytes, const char *origin, sentencepiece_config *config,
                                      ellm_error *err);
void sentencepiece_config_free(sentencepiece_config *config);

/* Adds the tokens beyond the vocabulary and what is before and after a text to parts whose model is made. `bos` and
 * `eos` are the pieces that the model names. */
ellm_status sentencepiece_config_apply(const sentencepiece_config *config, const char *bos, size_t bos_bytes,
                                       const char *eos, size_t eos_bytes, tokenizer_parts *parts, ellm_error *err);

#endif
