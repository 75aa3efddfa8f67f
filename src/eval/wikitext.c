/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows, pages and detokenization of WikiText. The rules of the detokenizer run
 * one after the other over the whole page, each seeing what those before it
 * left; two buffers take turns.
 */
#include "eval/wikitext.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"

/* The first place of `what` in text[at..bytes), or `bytes`. */
static size_t find(const char *text, size_t at, size_t bytes, const char *what, size_t what_bytes) {
  while (at + what_bytes <= bytes) {
    const char *hit = memchr(text + at, what[0], bytes - at - what_bytes + 1);
    if (!hit) break;
    at = (size_t)(hit - text);
    if (memcmp(hit, what, what_bytes) == 0) return at;
    at++;
  }
  return bytes;
}

/* One character, invalid bytes as U+FFFD. */
static uint32_t next_character(const char *text, size_t bytes, size_t *length) {
  uint32_t cp;
  utf8_next(text, bytes, &cp, length);
  return cp;
}

void text_strip(const char *text, size_t *start, size_t *end) {
  size_t length, last = *start;
  while (*start < *end && unicode_is_python_space(next_character(text + *start, *end - *start, &length)))
    *start += length;
  last = *start; /* end of the last character that is no space */
  for (size_t at = *start; at < *end; at += length)
    if (!unicode_is_python_space(next_character(text + at, *end - at, &length))) last = at + length;
  *end = last;
}

uint64_t wikitext_words(const char *page, size_t bytes) {
  uint64_t pieces = 1;
  bool in_space = false;
  size_t length;
  for (size_t at = 0; at < bytes; at += length) {
    bool space = unicode_is_python_space(next_character(page + at, bytes - at, &length));
    if (space && !in_space) pieces++;
    in_space = space;
  }
  return pieces;
}

/* ------------------------------------------------------------ rows and pages */

static size_t line_end(const char *text, size_t at, size_t bytes) {
  const char *newline = memchr(text + at, '\n', bytes - at);
  return newline ? (size_t)(newline - text) : bytes;
}

ellm_status wikitext_join_rows(const char *text, size_t bytes, ellm_buffer *out, ellm_error *err) {
  if (!ellm_buffer_reserve(out, 2 * bytes + 2)) return ellm_fail_memory(err, 2 * bytes, "the rows of the text");
  for (size_t at = 0, end; at < bytes; at = end + 1) {
    end = line_end(text, at, bytes);
    size_t start = at, stop = end;
    text_strip(text, &start, &stop);
    if ((at > 0 && !ellm_buffer_append(out, "\n\n", 2)) ||
        (start < stop && (!ellm_buffer_append(out, text + at, end - at) || !ellm_buffer_append(out, "\n", 1))))
      return ellm_fail_memory(err, 2 * bytes, "the rows of the text");
  }
  return ELLM_OK;
}

/* " = Title = ", not " = = Section = = ". */
static bool is_heading(const char *line, size_t bytes) {
  return bytes > 6 && memcmp(line, " = ", 3) == 0 && memcmp(line + bytes - 3, " = ", 3) == 0 && line[3] != '=' &&
         line[bytes - 4] != '=';
}

ellm_status wikitext_find_pages(const char *text, size_t bytes, wikitext_page **pages, size_t *n_pages,
                                ellm_error *err) {
  size_t count = 0, capacity = 0, end;
  wikitext_page *list = NULL;
  for (size_t at = 0; at < bytes; at = end + 1) {
    end = line_end(text, at, bytes);
    if (!is_heading(text + at, end - at)) continue;
    if (count == capacity) {
      capacity = capacity ? 2 * capacity : 64;
      wikitext_page *grown = realloc(list, capacity * sizeof *list);
      if (!grown) {
        free(list);
        return ellm_fail_memory(err, capacity * sizeof *list, "pages");
      }
      list = grown;
    }
    if (count) list[count - 1].bytes = at - 1 - list[count - 1].start;
    list[count++] = (wikitext_page){at, 0};
  }
  if (count) list[count - 1].bytes = bytes - list[count - 1].start;
  *pages = list;
  *n_pages = count;
  return ELLM_OK;
}

/* ------------------------------------------------------------ detokenization */

static bool replace_all(const char *from, const char *to, const ellm_buffer *in, ellm_buffer *out) {
  const char *text = (const char *)in->data;
  size_t from_bytes = strlen(from), to_bytes = strlen(to), at = 0;
  while (at < in->size) {
    size_t hit = find(text, at, in->size, from, from_bytes);
    if (!ellm_buffer_append(out, text + at, hit - at)) return false;
    if (hit == in->size) break;
    if (!ellm_buffer_append(out, to, to_bytes)) return false;
    at = hit + from_bytes;
  }
  return true;
}

/* No white space just inside a pair: from each opening character to the first closing one. */
static bool tighten(char open, char close, const ellm_buffer *in, ellm_buffer *out) {
  const char *text = (const char *)in->data;
  size_t at = 0;
  while (at < in->size) {
    size_t from = find(text, at, in->size, &open, 1);
    size_t to = from < in->size ? find(text, from + 1, in->size, &close, 1) : in->size;
    if (to == in->size) break;
    size_t start = from + 1, end = to;
    text_strip(text, &start, &end);
    if (!ellm_buffer_append(out, text + at, from + 1 - at) || !ellm_buffer_append(out, text + start, end - start) ||
        !ellm_buffer_append(out, &close, 1))
      return false;
    at = to + 1;
  }
  return ellm_buffer_append(out, text + at, in->size - at);
}

/* A pair of one character each where the second string is NULL. */
static const char *const rules[][2] = {
    {"s '", "s'"},    {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."},      {" : ", ": "},      {" ; ", "; "},
    {" . ", ". "},    {" ! ", "! "},  {" ? ", "? "},  {" , ", ", "},       {"()", NULL},       {"[]", NULL},
    {"{}", NULL},     {"\"\"", NULL}, {"''", NULL},   {"= = = =", "===="}, {"= = =", "==="},   {"= =", "=="},
    {" \xC2\xB0 ", "\xC2\xB0"},       {" \n", "\n"},  {"\n ", "\n"},       {" N ", " 1 "},     {" 's", "'s"}};

ellm_status wikitext_detokenize(const char *page, size_t bytes, ellm_buffer *out, ellm_error *err) {
  ellm_buffer buffers[2] = {{0}};
  size_t now = 0;
  if (bytes == 0) return ELLM_OK;
  bool good = ellm_buffer_append(&buffers[now], page, bytes);
  for (size_t i = 0; good && i < sizeof rules / sizeof *rules; i++, now = 1 - now) {
    buffers[1 - now].size = 0;
    good = rules[i][1] ? replace_all(rules[i][0], rules[i][1], &buffers[now], &buffers[1 - now])
                       : tighten(rules[i][0][0], rules[i][0][1], &buffers[now], &buffers[1 - now]);
  }
  good = good && ellm_buffer_append(out, buffers[now].data, buffers[now].size);
  ellm_buffer_free(&buffers[0]);
  ellm_buffer_free(&buffers[1]);
  return good ? ELLM_OK : ellm_fail_memory(err, bytes, "a page");
}
