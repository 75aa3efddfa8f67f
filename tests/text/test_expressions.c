/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions against what the `tokenizers` library matches with them
 * (tests/golden/expressions.json): pieces of texts, and sets of characters over
 * all code points.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden.h"
#include "text/regex.h"
#include "text/utf8.h"

static json_t *golden(const char *field) {
  char path[1024];
  json_error_t problem;
  assert_true(golden_find("expressions.json", path, sizeof path) == 0);
  json_t *root = json_load_file(path, JSON_ALLOW_NUL, &problem);
  if (!root) fail_msg("%s: %s", path, problem.text);
  json_t *rows = json_incref(json_object_get(root, field));
  json_decref(root);
  assert_true(json_array_size(rows) > 50);
  return rows;
}

static text_regex *compile(const char *pattern) {
  text_regex *regex;
  ellm_error err = {0};
  if (regex_compile(pattern, strlen(pattern), false, "test", &regex, &err) != ELLM_OK) fail_msg("%s", err.message);
  return regex;
}

/* The ends of the pieces: each match is one, and each stretch between two. */
static void check_pieces(const text_regex *regex, const char *pattern, const json_t *text, const json_t *ends) {
  const size_t bytes = json_string_length(text);
  regex_scratch scratch = {0};
  regex_position position = {0};
  size_t start, end, at = 0, n = 0, got[200];
  bool found;
  ellm_error err = {0};
  for (;;) {
    if (regex_next(regex, &scratch, json_string_value(text), bytes, &position, &found, &start, &end, &err) != ELLM_OK) {
      fail_msg("%s: %s", pattern, err.message);
    }
    if (!found) break;
    if (start > at) got[n++] = start;
    if (end > start) got[n++] = end;
    at = end;
    assert_true(n < 199);
  }
  if (at < bytes) got[n++] = bytes;
  regex_scratch_free(&scratch);
  bool same = n == json_array_size(ends);
  for (size_t i = 0; same && i < n; ++i) same = got[i] == (size_t)json_integer_value(json_array_get(ends, i));
  if (!same) fail_msg("%s cuts \"%s\" otherwise", pattern, json_string_value(text));
}

static void test_pieces(void **state) {
  (void)state;
  json_t *rows = golden("expressions");
  for (size_t i = 0; i < json_array_size(rows); ++i) {
    const json_t *row = json_array_get(rows, i), *texts = json_object_get(row, "texts");
    const char *pattern = json_string_value(json_object_get(row, "pattern"));
    text_regex *regex = compile(pattern);
    assert_true(json_array_size(texts) > 0);
    for (size_t k = 0; k < json_array_size(texts); ++k) {
      const json_t *pair = json_array_get(texts, k);
      check_pieces(regex, pattern, json_array_get(pair, 0), json_array_get(pair, 1));
    }
    regex_free(regex);
  }
  json_decref(rows);
}

enum { LAST = 0x10FFFF };

/* All code points as text, and for each byte of it the code point that begins or, at the end of one, follows there. */
static char *all_characters(uint32_t **code_points, size_t *bytes) {
  char *text = malloc(4 * (size_t)(LAST + 1));
  *code_points = malloc((4 * (size_t)(LAST + 1) + 1) * sizeof **code_points);
  assert_true(text && *code_points);
  size_t n = 0;
  for (uint32_t cp = 0; cp <= LAST; cp = cp == 0xD7FF ? 0xE000 : cp + 1) {
    (*code_points)[n] = cp;
    n += utf8_encode(cp, text + n);
  }
  (*code_points)[n] = LAST + 1;
  *bytes = n;
  return text;
}

static uint64_t digest(uint64_t h, uint32_t number) {
  for (int i = 0; i < 4; ++i) h = (h ^ (number >> (8 * i) & 255)) * UINT64_C(0x100000001b3);
  return h;
}

static void test_sets(void **state) {
  (void)state;
  json_t *rows = golden("sets");
  uint32_t *code_points;
  size_t bytes;
  char *text = all_characters(&code_points, &bytes), pattern[100];
  for (size_t i = 0; i < json_array_size(rows); ++i) {
    const json_t *row = json_array_get(rows, i);
    regex_scratch scratch = {0};
    regex_position position = {0};
    size_t start, end, count = 0;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    bool found;
    ellm_error err = {0};
    snprintf(pattern, sizeof pattern, "%s++", json_string_value(json_object_get(row, "pattern")));
    text_regex *regex = compile(pattern);
    for (;;) {
      if (regex_next(regex, &scratch, text, bytes, &position, &found, &start, &end, &err) != ELLM_OK) {
        fail_msg("%s: %s", pattern, err.message);
      }
      if (!found) break;
      const uint32_t first = code_points[start], after = code_points[end];
      const uint32_t last = after == 0xE000 ? 0xD7FF : after - 1;
      count += last - first + 1 - (first < 0xD800 && last >= 0xE000 ? 0x800 : 0);
      h = digest(digest(h, first), last);
    }
    char hex[20];
    snprintf(hex, sizeof hex, "%016" PRIx64, h);
    if (count != (size_t)json_integer_value(json_object_get(row, "count")) ||
        strcmp(hex, json_string_value(json_object_get(row, "digest"))) != 0) {
      fail_msg("%s: %zu characters, digest %s", pattern, count, hex);
    }
    regex_free(regex);
    regex_scratch_free(&scratch);
  }
  free(text);
  free(code_points);
  json_decref(rows);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces), cmocka_unit_test(test_sets)};
  return cmocka_run_group_tests_name("regular expressions", tests, NULL, NULL);
}
