/* SPDX-License-Identifier: Apache-2.0 */
/* Marked texts: special tokens of messages are text, those of the template are not, all else is as without markers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/encode.h"
#include "text/marked.h"
#include "text/text_testing.h"

/* A tokenizer of single letters with special tokens: <s> (3 letters), <sx>, ! (one), @@ (not special), and N, which
 * is looked for in normalized text. */
static const char letters[] =
    "{'version': '1.0', 'normalizer': %s, 'pre_tokenizer': null, 'decoder': null, 'post_processor': null,"
    " 'added_tokens': ["
    "  {'id': 10, 'content': '<s>', 'single_word': false, 'lstrip': false, 'rstrip': false, 'normalized': false,"
    "   'special': true},"
    "  {'id': 11, 'content': '<sx>', 'single_word': false, 'lstrip': false, 'rstrip': true, 'normalized': false,"
    "   'special': true},"
    "  {'id': 14, 'content': '!', 'single_word': false, 'lstrip': false, 'rstrip': false, 'normalized': false,"
    "   'special': true},"
    "  {'id': 13, 'content': '@@', 'single_word': false, 'lstrip': false, 'rstrip': false, 'normalized': false,"
    "   'special': false},"
    "  {'id': 12, 'content': '[n]', 'single_word': false, 'lstrip': false, 'rstrip': false, 'normalized': %s,"
    "   'special': true}],"
    " 'model': {'type': 'BPE', 'unk_token': null, 'byte_fallback': false, 'vocab': {'<': 0, 's': 1, '>': 2, 'x': 3,"
    "  '@': 4, '[': 5, 'n': 6, ']': 7, 'a': 8, '<s': 9, '<s>': 10, '<sx>': 11, '[n]': 12, '@@': 13},"
    "  'merges': ['< s']}}";

static ellm_tokenizer *make_tokenizer(const char *normalizer, const char *normalized) {
  char text[4096];
  ellm_error err = {0};
  ellm_tokenizer *tokenizer = NULL;
  assert_true(snprintf(text, sizeof text, letters, normalizer, normalized) < (int)sizeof text);
  char *json = json_of(text);
  if (tokenizer_of_bytes(json, strlen(json), &tokenizer, &err) != ELLM_OK) fail_msg("%s", err.message);
  free(json);
  return tokenizer;
}

/* The ids of template text with a message in the middle. */
static void expect_ids(const ellm_tokenizer *tokenizer, const char *before, const char *message, const char *after,
                       const char *expected) {
  ellm_error err = {0};
  ellm_buffer text = {0};
  text_marker marker;
  uint32_t *ids = NULL;
  size_t n = 0;
  char got[256] = "";
  assert_true(text_marker_choose(message, strlen(message), &marker, 1));
  assert_true(ellm_buffer_append(&text, before, strlen(before)));
  if (text_mark_special(tokenizer, &marker, message, strlen(message), &text, &err) != ELLM_OK)
    fail_msg("%s", err.message);
  assert_true(ellm_buffer_append(&text, after, strlen(after)));
  if (text_encode_marked(tokenizer, &marker, (const char *)text.data, text.size, &ids, &n, &err) != ELLM_OK)
    fail_msg("%s", err.message);
  for (size_t i = 0; i < n; i++) snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u", i ? " " : "", ids[i]);
  if (strcmp(got, expected) != 0) fail_msg("%s|%s|%s: %s, not %s", before, message, after, got, expected);
  free(ids);
  ellm_buffer_free(&text);
}

static void tokens_of_messages_are_text(void **state) {
  (void)state;
  ellm_tokenizer *t = make_tokenizer("null", "false");
  expect_ids(t, "<s>", "a", "<sx>", "10 8 11");
  expect_ids(t, "<s>", "<s>", "<s>", "10 9 2 10");       /* "<s" is one piece: no marker between its letters */
  expect_ids(t, "<s>", "a<sx>a", "!", "10 8 9 3 2 8 14");
  expect_ids(t, "", "<s<s>>", "", "9 9 2 2");             /* nothing comes to be by taking out */
  expect_ids(t, "", "<<s><s>", "<s>", "0 9 2 9 2 10");
  expect_ids(t, "!", "a!a", "!", "14 8 8 14");            /* of one character; the model has no such letter */
  expect_ids(t, "", "[n]", "[n]", "5 6 7 12");
  expect_ids(t, "@@", "@@", "@@", "13 13 13");            /* not special: as in any text */
  expect_ids(t, "<s>", "", "<s>", "10 10");
  ellm_tokenizer_free(t);
}

static void tokens_in_normalized_text(void **state) {
  (void)state;
  static const char lowercase[] = "{'type': 'Lowercase'}";
  ellm_tokenizer *t = make_tokenizer("null", "true");
  expect_ids(t, "[n]", "[n]a[n]", "[n]", "12 5 6 7 8 5 6 7 12");
  ellm_tokenizer_free(t);
  t = make_tokenizer(lowercase, "true");
  expect_ids(t, "[n]", "[n]", "[N]", "12 5 6 7 12");
  expect_ids(t, "[n]", "a[N]a", "[n]", "12 8 5 6 7 8 12"); /* normalization would make it one */
  expect_ids(t, "<s>", "[N]<s>", "<s>", "10 5 6 7 9 2 10");
  ellm_tokenizer_free(t);
}

static void the_marker_is_free(void **state) {
  (void)state;
  static const char used[] = "a\xF3\xB0\x80\x80z\xF3\xB0\x80\x82\xF3\xB0\x80"; /* U+F0000, U+F0002, a beginning */
  text_marker marker;
  assert_true(text_marker_choose("", 0, &marker, 1));
  assert_memory_equal(marker.bytes, "\xF3\xB0\x80\x80", TEXT_MARKER_BYTES);
  assert_true(text_marker_choose(used, sizeof used - 1, &marker, 1));
  assert_memory_equal(marker.bytes, "\xF3\xB0\x80\x81", TEXT_MARKER_BYTES);
  const size_t n = 0xFFFE;
  char *all = malloc(4 * n);
  assert_non_null(all);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t cp = 0xF0000 + i;
    const char one[4] = {(char)(0xF0 | cp >> 18), (char)(0x80 | (cp >> 12 & 63)), (char)(0x80 | (cp >> 6 & 63)),
                         (char)(0x80 | (cp & 63))};
    memcpy(all + 4 * (size_t)i, one, 4);
  }
  assert_false(text_marker_choose(all, 4 * n, &marker, 1));
  assert_true(text_marker_choose(all, 4 * (n - 1), &marker, 1));
  free(all);
}

/* Of ordinary text, and of a real tokenizer: the ids of ellm_tokenizer_encode. */
static void ordinary_text_is_as_ever(void **state) {
  (void)state;
  static const char *const texts[] = {
      "Once upon a time, there was a dog.\n\n  He said: \"Hi!\"", "", " ", "ä😀 漢字", "<|im_start", "a < b | c > d"};
  ellm_tokenizer *t = tokenizer_of_file("models/stories-4m/tokenizer.json");
  ellm_error err = {0};
  text_marker marker;
  assert_true(text_marker_choose("", 0, &marker, 1));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    uint32_t *plain, *marked;
    size_t n_plain, n_marked;
    ellm_buffer text = {0};
    const size_t bytes = strlen(texts[i]);
    assert_int_equal(text_mark_special(t, &marker, texts[i], bytes, &text, &err), ELLM_OK);
    assert_int_equal(text.size, bytes);
    assert_int_equal(ellm_tokenizer_encode(t, texts[i], bytes, ELLM_ENCODE_NO_POST, &plain, &n_plain, &err), ELLM_OK);
    assert_int_equal(text_encode_marked(t, &marker, text.data ? (const char *)text.data : "", text.size, &marked,
                                        &n_marked, &err), ELLM_OK);
    assert_int_equal(n_plain, n_marked);
    assert_memory_equal(plain, marked, n_plain * sizeof *plain);
    free(plain);
    free(marked);
    ellm_buffer_free(&text);
  }
  ellm_tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_of_messages_are_text),
      cmocka_unit_test(tokens_in_normalized_text),
      cmocka_unit_test(the_marker_is_free),
      cmocka_unit_test(ordinary_text_is_as_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
