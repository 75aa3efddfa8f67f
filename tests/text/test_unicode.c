/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties and normalization forms of every code point. The answers were
 * compared with those of the `tokenizers` library (0.23) one by one; here their
 * digests must stay what they were, also with another version of utf8proc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"

/* FNV-1a, 64 bits. */
static uint64_t digest(uint64_t h, const void *data, size_t bytes) {
  const uint8_t *at = data;
  for (size_t i = 0; i < bytes; ++i) h = (h ^ at[i]) * UINT64_C(0x100000001B3);
  return h;
}

static bool next_character(uint32_t *cp) {
  ++*cp;
  if (*cp == 0xD800) *cp = 0xE000;
  return *cp < 0x110000;
}

static void test_properties(void **state) {
  (void)state;
  static const struct {
    const char *name;
    bool (*has)(uint32_t);
    size_t count;
    uint64_t digest;
  } properties[] = {
    {"space", unicode_is_space, 25, UINT64_C(0xe6baea43206f95ec)},
    {"numeric", unicode_is_numeric, 1924, UINT64_C(0xd86bcd9510762082)},
    {"punctuation", unicode_is_punctuation, 726, UINT64_C(0xa1c8a6924d6d9cde)},
    {"word", unicode_is_word, 144667, UINT64_C(0xea7dd7fe3905cac7)},
    {"accent", unicode_is_accent, 2097, UINT64_C(0xea95d3559b694ae4)},
  };
  for (size_t i = 0; i < sizeof properties / sizeof properties[0]; ++i) {
    uint64_t h = 0;
    size_t count = 0;
    for (uint32_t cp = 0; next_character(&cp);) {
      if (!properties[i].has(cp)) continue;
      ++count;
      h = digest(h, &cp, sizeof cp);
    }
    if (count != properties[i].count || h != properties[i].digest) {
      fail_msg("%s: %zu characters, digest %#" PRIx64, properties[i].name, count, h);
    }
  }
}

static void test_lower_case(void **state) {
  (void)state;
  uint64_t h = 0;
  size_t changed = 0;
  for (uint32_t cp = 0; next_character(&cp);) {
    uint32_t lower[2] = {0, 0};
    size_t n = unicode_lowercase(cp, lower);
    assert_true(n == 1 || n == 2);
    changed += lower[0] != cp;
    h = digest(h, lower, n * sizeof *lower);
  }
  if (changed != 1488 || h != UINT64_C(0x2dc0ca6f7e826039)) fail_msg("%zu changed, digest %#" PRIx64, changed, h);
}

static void test_forms(void **state) {
  (void)state;
  static const uint64_t wanted[4] = {UINT64_C(0xff2d58b7bc01dccc), UINT64_C(0x40a8d84f56a73a7a),
                                     UINT64_C(0x3503e9a1ced3070e), UINT64_C(0x23ebce163435dc01)};
  for (int form = 0; form < 4; ++form) {
    uint64_t h = 0;
    ellm_buffer out = {0};
    for (uint32_t cp = 0; next_character(&cp);) {
      char text[4];
      out.size = 0;
      assert_true(unicode_normalize((unicode_form)form, text, utf8_encode(cp, text), &out));
      assert_true(utf8_is_valid((const char *)out.data, out.size));
      h = digest(h, out.data, out.size);
    }
    ellm_buffer_free(&out);
    if (h != wanted[form]) fail_msg("form %d: digest %#" PRIx64, form, h);
  }
}

/* What may stand before or after a character changes nothing but by Unicode's rules. */
static void test_sequences(void **state) {
  (void)state;
  static const struct { unicode_form form; const char *text, *wanted;
  } cases[] = {
      {UNICODE_NFC,
       "A\xcc\x8a"
       "a\xcc\x8a"
       "b",
       "\xc3\x85\xc3\xa5"
       "b"},
      {UNICODE_NFC,
       "\xcc\x81"
       "a",
       "\xcc\x81"
       "a"},
      {UNICODE_NFC, "a\xcc\xa3\xcc\x87\xcc\x81", "\xe1\xba\xa1\xcc\x87\xcc\x81"},
      {UNICODE_NFD, "\xe1\xba\xa9x", "a\xcc\x82\xcc\x89x"},
      {UNICODE_NFC, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
      {UNICODE_NFKC, "\xef\xac\x83\xe2\x91\xa0", "ffi1"},
      {UNICODE_NFKD, "\xef\xb7\xba",
       "\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7\xd9\x84\xd9\x84\xd9\x87 \xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 "
       "\xd9\x88\xd8\xb3\xd9\x84\xd9\x85"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    ellm_buffer out = {0};
    assert_true(unicode_normalize(cases[i].form, cases[i].text, strlen(cases[i].text), &out));
    assert_int_equal(out.size, strlen(cases[i].wanted));
    assert_memory_equal(out.data, cases[i].wanted, out.size);
    ellm_buffer_free(&out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_properties), cmocka_unit_test(test_lower_case), cmocka_unit_test(test_forms),
    cmocka_unit_test(test_sequences),
  };
  return cmocka_run_group_tests_name("Unicode", tests, NULL, NULL);
}
