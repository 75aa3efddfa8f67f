/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, pages and detokenization: small texts, and WikiText-2 test where it is at hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "json/json.h"
#include "eval/wikitext.h"

#define TEXTS ENTROLLM_SOURCE_DIR "/../shared/eval/wikitext2/"

static void check_detokenized(const char *page, const char *expected) {
  ellm_buffer out = {0};
  assert_int_equal(wikitext_detokenize(page, strlen(page), &out, NULL), ELLM_OK);
  assert_int_equal(out.size, strlen(expected));
  if (out.size) assert_memory_equal(out.data, expected, out.size);
  ellm_buffer_free(&out);
}

static void detokenize(void **state) {
  (void)state;
  check_detokenized("", "");
  check_detokenized("1 @,@ 000 @-@ ton , 3 @.@ 5 m ; a : b .", "1,000-ton, 3.5 m; a: b .");
  check_detokenized(" = = = Theatre = = = \n \n He ( 1 ) \n", " === Theatre ===\n\nHe (1)\n");
  check_detokenized("( a [ b ] { c  } \" d e \" ' f '", "( a [b] {c} \"d e\" 'f'");
  check_detokenized("( a ( b ) c )", "(a ( b) c )");            /* from the first ( to the first ) */
  check_detokenized("\"\xC2\xA0" "d\t\" \" open", "\"d\" \" open"); /* any white space; the odd one stays */
  check_detokenized("()", "()");
  check_detokenized("5 \xC2\xB0 N of the dogs ' 's end ! So ? s 's", "5\xC2\xB0N of the dogs''s end! So? s's");
}

static void words(void **state) {
  (void)state;
  assert_int_equal(wikitext_words("", 0), 1);
  assert_int_equal(wikitext_words("a b", 3), 2);
  assert_int_equal(wikitext_words(" a \n b\xC2\xA0", 8), 4);
}

static void rows(void **state) {
  (void)state;
  static const char text[] = " \n = A = \n\n b \n", *const expected = "\n\n = A = \n\n\n\n\n b \n";
  ellm_buffer out = {0};
  assert_int_equal(wikitext_join_rows(text, sizeof text - 1, &out, NULL), ELLM_OK);
  assert_int_equal(out.size, strlen(expected));
  assert_memory_equal(out.data, expected, out.size);
  ellm_buffer_free(&out);
  assert_int_equal(wikitext_join_rows("", 0, &out, NULL), ELLM_OK);
  assert_int_equal(out.size, 0);
  ellm_buffer_free(&out);
}

static void pages(void **state) {
  (void)state;
  static const char text[] = "before\n = One = \n x \n = = Part = = \n\n = Two = \n y";
  wikitext_page *list;
  size_t n;
  assert_int_equal(wikitext_find_pages(text, sizeof text - 1, &list, &n, NULL), ELLM_OK);
  assert_int_equal(n, 2);
  assert_int_equal(list[0].start, 7);
  assert_memory_equal(text + list[0].start + list[0].bytes, "\n = Two", 7);
  assert_int_equal(list[1].start + list[1].bytes, sizeof text - 1);
  free(list);
  assert_int_equal(wikitext_find_pages(" = = ", 5, &list, &n, NULL), ELLM_OK);
  assert_int_equal(n, 0);
  free(list);
}

static void wikitext2_test(void **state) {
  (void)state;
  if (!file_exists(TEXTS "wiki.test.raw") || !file_exists(TEXTS "wiki.test.pages.jsonl")) {
    print_message(TEXTS " is absent: skipped\n");
    skip();
  }
  uint8_t *raw, *lines;
  size_t raw_bytes, lines_bytes, n;
  ellm_error err;
  wikitext_page *list;
  assert_int_equal(file_read_all(TEXTS "wiki.test.raw", 1 << 24, &raw, &raw_bytes, &err), ELLM_OK);
  assert_int_equal(file_read_all(TEXTS "wiki.test.pages.jsonl", 1 << 24, &lines, &lines_bytes, &err), ELLM_OK);
  assert_int_equal(wikitext_find_pages((char *)raw, raw_bytes, &list, &n, &err), ELLM_OK);
  assert_int_equal(n, 62);
  char *line = (char *)lines;
  uint64_t n_words = 0, n_bytes = 0;
  for (size_t i = 0; i < n; i++) { /* the pages as published */
    json_t *root;
    char *end = strchr(line, '\n');
    assert_int_equal(json_parse(line, end ? (size_t)(end - line) : strlen(line), "pages", &root, &err), ELLM_OK);
    const json_t *page = json_object_get(root, "page");
    assert_int_equal(json_string_length(page), list[i].bytes);
    assert_memory_equal(json_string_value(page), raw + list[i].start, list[i].bytes);
    n_words += wikitext_words(json_string_value(page), list[i].bytes);
    n_bytes += list[i].bytes;
    json_decref(root);
    line = end ? end + 1 : line;
  }
  assert_int_equal(n_words, 241335);
  assert_int_equal(n_bytes, 1290527);
  free(list);
  free(raw);
  free(lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(detokenize), cmocka_unit_test(words), cmocka_unit_test(rows),
                                     cmocka_unit_test(pages), cmocka_unit_test(wikitext2_test)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
