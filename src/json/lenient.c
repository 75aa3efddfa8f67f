/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the text finds the numbers that jansson refuses, a second one writes them as marked strings. */
#include "json/lenient.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Between the quotation marks, as JSON writes JSON_MARK (json/mark.h). */
#define MARK "\\u0000number "
enum { MORE_BYTES = sizeof MARK - 1 + 2 };

static bool is_number_part(char c) {
  return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

/* Bytes of the word at text[0 .. n): a number, NaN, Infinity or -Infinity; 0 if it is none. */
static size_t word_length(const char *text, size_t n) {
  static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const size_t length = strlen(names[i]);
    if (n >= length && memcmp(text, names[i], length) == 0) return length;
  }
  if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) return 0;
  size_t length = 1;
  while (length < n && is_number_part(text[length])) length++;
  return length;
}

/* Is it of JSON's grammar: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? *is_integer: neither of the last two. */
static bool is_json_number(const char *word, size_t n, bool *is_integer) {
  size_t i = 0;
  *is_integer = true;
  if (i < n && word[i] == '-') i++;
  const size_t digits = i;
  while (i < n && word[i] >= '0' && word[i] <= '9') i++;
  if (i == digits || (word[digits] == '0' && i > digits + 1)) return false;
  if (i < n && word[i] == '.') {
    *is_integer = false;
    const size_t first = ++i;
    while (i < n && word[i] >= '0' && word[i] <= '9') i++;
    if (i == first) return false;
  }
  if (i < n && (word[i] == 'e' || word[i] == 'E')) {
    *is_integer = false;
    if (++i < n && (word[i] == '+' || word[i] == '-')) i++;
    const size_t first = i;
    while (i < n && word[i] >= '0' && word[i] <= '9') i++;
    if (i == first) return false;
  }
  return i == n;
}

/* Does jansson have no value for it? `word` is followed by a byte that is no part of it, a NUL at the latest. */
static bool out_of_range(const char *word, size_t n) {
  bool is_integer;
  if (word[0] == 'N' || word[0] == 'I' || (n > 1 && word[1] == 'I')) return true;
  if (!is_json_number(word, n, &is_integer)) return false; /* jansson says what is wrong with it */
  if (n < 19 && is_integer) return false;
  errno = 0;
  if (is_integer) {
    (void)strtoll(word, NULL, 10);
    return errno == ERANGE;
  }
  return fabs(strtod(word, NULL)) == HUGE_VAL;
}

/* Returns the number of words outside strings that are out of range. Where out is not NULL the text goes there, those
 * words as marked strings; *out_bytes is its length then. */
static size_t rewrite(const char *text, size_t n, char *out, size_t *out_bytes) {
  size_t found = 0, written = 0;
  bool in_string = false;
  for (size_t i = 0; i < n;) {
    size_t length = 1;
    bool marked = false;
    if (in_string) {
      if (text[i] == '\\' && i + 1 < n) length = 2;
      else if (text[i] == '"') in_string = false;
    } else if (text[i] == '"') {
      in_string = true;
    } else {
      const size_t word = word_length(text + i, n - i);
      if (word > 0) {
        length = word;
        marked = out_of_range(text + i, word);
      }
    }
    found += marked;
    if (out != NULL) {
      if (marked) memcpy(out + written, "\"" MARK, sizeof MARK), written += sizeof MARK;
      memcpy(out + written, text + i, length);
      written += length;
      if (marked) out[written++] = '"';
    }
    i += length;
  }
  if (out_bytes != NULL) *out_bytes = written;
  return found;
}

ellm_status json_parse_lenient(const void *text, size_t bytes, const char *origin, json_t **root, ellm_error *err) {
  *root = NULL;
  char *copy = malloc(bytes + 1); /* with a NUL, for strtod */
  if (copy == NULL) return ellm_fail_memory(err, bytes, origin);
  if (bytes > 0) memcpy(copy, text, bytes);
  copy[bytes] = '\0';
  const size_t found = rewrite(copy, bytes, NULL, NULL);
  ellm_status status = ELLM_OK;
  if (found > 0) {
    char *marked = found < SIZE_MAX / 2 / MORE_BYTES ? malloc(bytes + found * MORE_BYTES) : NULL;
    if (marked == NULL) status = ellm_fail_memory(err, bytes, origin);
    else rewrite(copy, bytes, marked, &bytes);
    free(copy);
    copy = marked;
  }
  if (status == ELLM_OK) status = json_parse_with(0, copy, bytes, origin, root, err);
  free(copy);
  return status;
}
