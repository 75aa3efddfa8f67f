/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grammars as entrollm.h has them, and matchers: how far one text is. A grammar is shared; what it has found out about
 * itself is under its lock. A matcher is for one thread at a time and holds its grammar.
 */
#ifndef ELLM_GRAMMAR_GRAMMAR_H
#define ELLM_GRAMMAR_GRAMMAR_H

#include "base/status.h"
#include "grammar/vocabulary.h"

typedef struct grammar_matcher grammar_matcher;

/* Before the first byte. Free with grammar_matcher_free. */
ellm_status grammar_matcher_create(const ellm_grammar *grammar, grammar_matcher **matcher, ellm_error *err);
void grammar_matcher_free(grammar_matcher *matcher);

/* The ids that can come next: a bit each in mask[grammar_mask_words], written over. *more: there are any. *ends: the text
 * can end here. ELLM_ERR_INPUT where neither is so (no token goes on, or only deeper than the limit), or the grammar is
 * too ambiguous. */
ellm_status grammar_matcher_next(grammar_matcher *matcher, uint64_t *mask, bool *more, bool *ends, ellm_error *err);
size_t grammar_mask_words(const ellm_grammar *grammar);
/* Go on with an id of the mask, or with bytes; *possible (may be NULL for an id): they can come. After bytes that cannot
 * nothing can. */
ellm_status grammar_matcher_accept(grammar_matcher *matcher, uint32_t id, ellm_error *err);
ellm_status grammar_matcher_bytes(grammar_matcher *matcher, const char *text, size_t bytes, bool *possible, bool *ends,
                                  ellm_error *err);

/* Is it one for this tokenizer? */
ellm_status grammar_check_tokenizer(const ellm_grammar *grammar, const ellm_tokenizer *tokenizer, ellm_error *err);

#endif
