/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a text: of JSON lines, of a raw WikiText file, or the whole text as one. */
#ifndef ELLM_EVAL_PAGES_H
#define ELLM_EVAL_PAGES_H

#include "base/memory.h"

typedef struct eval_page {
  const char *text; /* in `owner` or in the text given */
  size_t bytes;
  uint64_t words;
} eval_page;

typedef struct eval_pages {
  eval_page *items;
  size_t count;
  ellm_buffer owner;
} eval_pages;

/* JSON lines {"page": TEXT} if the first character is '{'. `text` must outlive the pages. */
ellm_status eval_pages_find(const char *text, size_t bytes, const char *origin, eval_pages *pages, ellm_error *err);
void eval_pages_free(eval_pages *pages);

#endif
