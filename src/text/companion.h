/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another room makes of a tokenizer when it is first asked for, and keeps with it: the one part of a tokenizer that
 * changes after creation, under a lock of its own. There is one kind of companions.
 */
#ifndef ELLM_TEXT_COMPANION_H
#define ELLM_TEXT_COMPANION_H

#include "base/status.h"

typedef struct tokenizer_companion tokenizer_companion;
typedef ellm_status (*companion_make_fn)(const ellm_tokenizer *tokenizer, void **made, ellm_error *err);
typedef void (*companion_free_fn)(void *made);

ellm_status tokenizer_companion_create(tokenizer_companion **companion, ellm_error *err); /* nothing in it yet */
void tokenizer_companion_destroy(tokenizer_companion *companion);

/* What was made, by `make` for the first who asks; it goes with the tokenizer, by `free_made`. From any thread. */
ellm_status tokenizer_companion_get(const ellm_tokenizer *tokenizer, companion_make_fn make,
                                    companion_free_fn free_made, void **made, ellm_error *err);

#endif
