/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers from tokenizer.json, and their end. */
#ifndef ELLM_TEXT_PRETOKENIZE_LOAD_H
#define ELLM_TEXT_PRETOKENIZE_LOAD_H

#include <jansson.h>

#include "text/component.h"
#include "text/pretokenize.h"

ellm_status pretokenizer_load(const json_t *component, const char *origin, pretokenizer *p, ellm_error *err);
/* Is the pair of normalizer and pre-tokenizer supported? Else ELLM_ERR_INPUT. */
ellm_status pretokenizer_check(const pretokenizer *p, const normalizer *n, const char *origin, ellm_error *err);
void pretokenizer_free(pretokenizer *p);

/* The fields that Metaspace has as pre-tokenizer and as decoder. */
ellm_status metaspace_load(const json_t *object, const component_place *place, uint32_t *replacement,
                           prepend_scheme *scheme, bool *split, ellm_error *err);

#endif
