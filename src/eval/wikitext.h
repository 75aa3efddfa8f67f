/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WikiText as the protocols read it: as rows joined by empty lines (b), and as
 * pages without the traces of its word tokenization (d). Texts are UTF-8.
 */
#ifndef ELLM_EVAL_WIKITEXT_H
#define ELLM_EVAL_WIKITEXT_H

#include "base/memory.h"

/* Rows joined by "\n\n", appended to `out`. A row is a line with its newline,
 * or nothing for a line of white space. */
ellm_status wikitext_join_rows(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err);

/* A page: bytes of the text it was found in. */
typedef struct wikitext_page { size_t start, bytes; } wikitext_page;

/* Pages of a raw file: each begins at a heading of the first level, " = Title
 * = ", and ends before the newline that precedes the next one; what stands
 * before the first heading belongs to none. *pages is malloc'ed. */
ellm_status wikitext_find_pages(const char *text, size_t bytes, wikitext_page **pages, size_t *n_pages,
                                ellm_error *err);

/* A page detokenized by the rules of lm-evaluation-harness, appended to `out`. */
ellm_status wikitext_detokenize(const char *page, size_t bytes, ellm_buffer *out, ellm_error *err);

/* Pieces of a page split at white space, as re.split(r"\s+") counts them. */
uint64_t wikitext_words(const char *page, size_t bytes);

/* [start, end) of a text without the white space around it (Python's strip). */
void text_strip(const char *text, size_t *start, size_t *end);

#endif
