/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: files that evaluations read. The first byte chooses: questions with answers as JSON lines, HellaSwag in
 * either form, pages of a text, and the lines of GSM8K with what is looked for in completions. What is accepted must
 * be what choice_read.h and pages.h promise.
 */
#include <stdlib.h>
#include <string.h>

#include "eval/choice_read.h"
#include "eval/gsm8k_extract.h"
#include "eval/lines.h"
#include "eval/pages.h"
#include "eval/wikitext.h"
#include "text/utf8.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_status(ellm_status status, const ellm_error *err) {
  want(status == ELLM_OK || (status == ELLM_ERR_INPUT && err->message[0] != '\0'));
}

static void check_set(ellm_choice_set *set) {
  want(set->count > 0);
  for (size_t i = 0; i < set->count; i++) {
    const choice_item *item = &set->items[i];
    want(item->n >= 2 && item->n <= CHOICE_MOST && item->n <= set->most && item->label < item->n);
    for (size_t k = 0; k < item->n; k++) {
      const choice_text *c = &item->choices[k];
      want(utf8_is_valid(c->query, strlen(c->query)) && utf8_is_valid(c->continuation, strlen(c->continuation)));
      want(c->characters >= 1 && c->characters <= strlen(c->continuation) + 1);
    }
  }
  choice_set_free(set);
}

static void read_choices(const char *text, size_t bytes, bool hellaswag) {
  ellm_choice_set set;
  ellm_error err = {0};
  const ellm_status status = hellaswag ? choice_read_hellaswag(text, bytes, "fuzz", &set, &err)
                                       : choice_read_lines(text, bytes, "fuzz", &set, &err);
  check_status(status, &err);
  if (status == ELLM_OK) check_set(&set);
}

/* Pages lie one behind the other; what is detokenized is not longer, but for " N " that becomes " 1 ". */
static void read_pages(const char *text, size_t bytes) {
  eval_pages pages = {0};
  ellm_buffer rows = {0};
  ellm_error err = {0};
  const ellm_status status = eval_pages_find(text, bytes, "fuzz", &pages, &err);
  check_status(status, &err);
  for (size_t i = 0; status == ELLM_OK && i < pages.count; i++) {
    ellm_buffer plain = {0};
    const eval_page *page = &pages.items[i];
    want(page->words <= page->bytes + 1);
    want(wikitext_detokenize(page->text, page->bytes, &plain, &err) == ELLM_OK && plain.size <= page->bytes);
    ellm_buffer_free(&plain);
  }
  eval_pages_free(&pages);
  want(wikitext_join_rows(text, bytes, &rows, &err) == ELLM_OK && rows.size <= 3 * bytes + 2);
  ellm_buffer_free(&rows);
}

static void extract(const char *text, size_t bytes) {
  for (int strict = 0; strict < 2; strict++) {
    ellm_buffer answer = {0};
    ellm_error err = {0};
    bool found;
    want(gsm8k_extract(text, bytes, strict, &answer, &found, &err) == ELLM_OK);
    want(answer.size <= bytes && (found || answer.size == 0));
    ellm_buffer_free(&answer);
  }
}

static void read_questions(const char *text, size_t bytes) {
  json_lines lines = {.text = text, .bytes = bytes, .origin = "fuzz"};
  ellm_error err = {0};
  for (json_t *line;;) {
    const ellm_status status = json_lines_next(&lines, &line, &err);
    check_status(status, &err);
    if (status != ELLM_OK || line == NULL) break;
    const json_t *answer = json_object_get(line, "answer");
    if (json_is_string(answer)) extract(json_string_value(answer), json_string_length(answer));
    json_decref(line);
  }
  extract(text, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  char *text = copy_of(data + 1, size - 1);
  if (text == NULL) return 0;
  switch (data[0] % 4) {
    case 0: read_choices(text, size - 1, false); break;
    case 1: read_choices(text, size - 1, true); break;
    case 2: read_pages(text, size - 1); break;
    default: read_questions(text, size - 1);
  }
  free(text);
  return 0;
}
