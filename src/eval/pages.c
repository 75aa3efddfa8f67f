/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/pages.h"

#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "eval/lines.h"
#include "eval/wikitext.h"

void eval_pages_free(eval_pages *pages) {
  free(pages->items);
  ellm_buffer_free(&pages->owner);
  *pages = (eval_pages){0};
}

static bool add_page(eval_pages *pages, size_t *capacity, eval_page page) {
  if (pages->count == *capacity) {
    size_t more = *capacity ? 2 * *capacity : 64;
    eval_page *grown = realloc(pages->items, more * sizeof *grown);
    if (!grown) return false;
    pages->items = grown;
    *capacity = more;
  }
  pages->items[pages->count++] = page;
  return true;
}

/* Texts go into `owner` one after the other; pointers are set when it no longer moves. */
static ellm_status pages_of_lines(const char *text, size_t bytes, const char *origin, eval_pages *pages,
                                  ellm_error *err) {
  json_lines lines = {.text = text, .bytes = bytes, .origin = origin};
  size_t capacity = 0;
  json_t *root;
  for (;;) {
    ELLM_TRY(json_lines_next(&lines, &root, err));
    if (!root) break;
    const json_t *page = json_object_get(root, "page");
    if (!json_is_string(page)) {
      json_decref(root);
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"page\" is not a text", origin, lines.line);
    }
    size_t n = json_string_length(page);
    bool good = ellm_buffer_append(&pages->owner, json_string_value(page), n) &&
                add_page(pages, &capacity, (eval_page){NULL, n, 0});
    json_decref(root);
    if (!good) return ellm_fail_memory(err, bytes, "pages");
  }
  size_t at = 0;
  for (size_t i = 0; i < pages->count; i++) {
    pages->items[i].text = pages->owner.data ? (const char *)pages->owner.data + at : "";
    at += pages->items[i].bytes;
  }
  return ELLM_OK;
}

static ellm_status pages_of_text(const char *text, size_t bytes, eval_pages *pages, ellm_error *err) {
  wikitext_page *found;
  size_t n, capacity = 0;
  bool good = true;
  ELLM_TRY(wikitext_find_pages(text, bytes, &found, &n, err));
  for (size_t i = 0; good && i < n; i++)
    good = add_page(pages, &capacity, (eval_page){text + found[i].start, found[i].bytes, 0});
  if (n == 0) good = add_page(pages, &capacity, (eval_page){text, bytes, 0});
  free(found);
  return good ? ELLM_OK : ellm_fail_memory(err, n * sizeof(eval_page), "pages");
}

ellm_status eval_pages_find(const char *text, size_t bytes, const char *origin, eval_pages *pages, ellm_error *err) {
  ELLM_TRY(bytes && text[0] == '{' ? pages_of_lines(text, bytes, origin, pages, err)
                                   : pages_of_text(text, bytes, pages, err));
  for (size_t i = 0; i < pages->count; i++)
    pages->items[i].words = wikitext_words(pages->items[i].text, pages->items[i].bytes);
  return ELLM_OK;
}
