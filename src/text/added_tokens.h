/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Added tokens: strings that are recognized in the text
 * before anything else. Those with normalized: false are looked for in the raw
 * text, the others in the normalized pieces between them, by their own
 * normalized form. Of several that start at a place the longest counts.
 */
#ifndef ELLM_TEXT_ADDED_TOKENS_H
#define ELLM_TEXT_ADDED_TOKENS_H

#include "text/normalize.h"
#include "text/vocab.h"

enum { ADDED_TOKEN_MAX_BYTES = 1024 }; /* the search looks at no more at each place */

typedef struct added_token {
  uint32_t id;
  char *content;             /* NUL-terminated */
  size_t content_bytes;
  char *pattern;             /* what is looked for: content, normalized if it is to be; owned if not == content */
  size_t pattern_bytes;
  bool single_word, lstrip, rstrip, normalized, special;
} added_token;

/* Tokens sorted by pattern; those that begin with byte b are order[first[b]] to
 * order[first[b + 1] - 1]. */
typedef struct token_matcher { uint32_t *order; size_t count; uint32_t first[257]; } token_matcher;

typedef struct added_tokens {
  added_token *items;
  size_t count, capacity;
  token_matcher raw, normalized;
} added_tokens;

/* One more token, in the order in which they are listed; `token` gives id, content and properties, the content is
 * copied. */
ellm_status added_tokens_append(added_tokens *added, const added_token *token, const char *origin, ellm_error *err);
/* All tokens are there. Ids must be those that the `tokenizers` library would give: the vocabulary's where it has the
 * string, else following on it. A token that is listed again keeps its first id and has the properties of its last
 * listing; empty ones are dropped. */
ellm_status added_tokens_build(added_tokens *added, const vocab *pieces, const normalizer *n, const char *origin,
                               ellm_error *err);
void added_tokens_free(added_tokens *added);

/* A stretch of text (token NULL) or an added token with what it strips. */
typedef struct added_segment { const added_token *token; size_t start, end; } added_segment;
typedef struct added_cursor {
  size_t search, done;
  size_t space_start, space_end; /* white space that rstrip has looked at */
  added_segment queued;
} added_cursor;

/* The next segment of a text; zero-initialize the cursor. False at the end. */
bool added_next(const added_tokens *added, const token_matcher *matcher, bool special_as_text, const char *text,
                size_t bytes, added_cursor *cursor, added_segment *segment);

#endif
