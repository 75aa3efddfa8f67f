/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular expressions of tokenizer.json. The `tokenizers` library runs them
 * with Oniguruma (Ruby syntax, Unicode 16); we run them with PCRE2. A pattern
 * is translated construct by construct into one that PCRE2 matches the same
 * way; a construct for which that is not certain is an error that names it.
 */
#ifndef ELLM_TEXT_REGEX_H
#define ELLM_TEXT_REGEX_H

#include "base/memory.h"
#include "base/status.h"

typedef struct text_regex text_regex; /* immutable, may be shared between threads */

enum { REGEX_WHERE_BYTES = 400 };

/* Either a literal string (not empty) or a pattern. `where` names it in errors (what is longer than
 * REGEX_WHERE_BYTES is cut). */
ellm_status regex_compile(const char *pattern, size_t bytes, bool literal, const char *where, text_regex **regex,
                          ellm_error *err);
void regex_free(text_regex *regex);
bool regex_matches_empty(const text_regex *regex); /* whether it can match the empty string */

/* Scratch memory for matching, one for each thread; zero-initialize. */
typedef struct regex_scratch { void *match_data, *match_context, *jit_stack; } regex_scratch;
void regex_scratch_free(regex_scratch *scratch);

/* Matches of one text from left to right; zero-initialize for each text. As in
 * Oniguruma's find_iter, an empty match right after a match does not count. */
typedef struct regex_position { size_t next, last_end; bool any; } regex_position;
/* ELLM_ERR_INPUT when a match takes too many steps. */
ellm_status regex_next(const text_regex *regex, regex_scratch *scratch, const char *text, size_t bytes,
                       regex_position *position, bool *found, size_t *start, size_t *end, ellm_error *err);

#endif
