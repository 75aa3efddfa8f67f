/* SPDX-License-Identifier: Apache-2.0 */
/* Error messages are one printable line, whole characters, never longer than their buffer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void plain(void **state) {
  (void)state;
  ellm_error err;
  assert_int_equal(ellm_fail(&err, ELLM_ERR_INPUT, "%s: tensor %d is %.1f", "a.file", 7, 1.5), ELLM_ERR_INPUT);
  assert_int_equal(err.status, ELLM_ERR_INPUT);
  assert_string_equal(err.message, "a.file: tensor 7 is 1.5");
  assert_int_equal(ellm_fail(NULL, ELLM_ERR_USAGE, "%d", 1), ELLM_ERR_USAGE);
  assert_int_equal(ellm_fail_errno(NULL, ENOENT, "open", "x"), ELLM_ERR_IO);
}

static void message_of_itself(void **state) {
  (void)state;
  ellm_error err;
  ellm_fail(&err, ELLM_ERR_IO, "inner");
  ellm_fail(&err, ELLM_ERR_INPUT, "outer: %s", err.message);
  assert_string_equal(err.message, "outer: inner");
}

static void unprintable(void **state) {
  (void)state;
  static const struct {
    const char *in, *out;
  } cases[] = {
      {"a\nb\tc\r\x1b[1m\x7f", "a?b?c??[1m?"},
      {"h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80", "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc3(", "?("},                         /* a lead byte alone */
      {"\x80\xbf", "??"},                      /* continuations alone */
      {"\xc0\x80 \xe0\x80\x80", "?? ???"},     /* too long forms */
      {"\xed\xa0\x80", "???"},                 /* a surrogate */
      {"\xf4\x90\x80\x80\xff", "?????"},       /* beyond U+10FFFF */
      {"x\xe2\x82", "x??"},                    /* cut short */
      {"\xc2\x9b" "2J", "?2J"},                /* C1 control */
      {"a\xe2\x80\xae" "b\xe2\x80\xa8", "a?b?"}, /* right-to-left override, line separator */
      {"\xc2\xa0\xe2\x80\x94", "\xc2\xa0\xe2\x80\x94"},
  };
  ellm_error err;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ellm_fail(&err, ELLM_ERR_INPUT, "%s", cases[i].in);
    assert_string_equal(err.message, cases[i].out);
  }
}

static void truncation(void **state) {
  (void)state;
  struct {
    ellm_error err;
    char guard[64];
  } box;
  char text[4096];
  for (size_t before = 470; before < 500; before++) { /* a 4-byte character across every end */
    memset(&box, 0x55, sizeof box);
    memset(text, 'a', sizeof text);
    memcpy(text + before, "\xf0\x9f\x98\x80", 4);
    text[sizeof text - 1] = '\0';
    ellm_fail(&box.err, ELLM_ERR_INPUT, "%s", text);
    const size_t length = strlen(box.err.message);
    assert_in_range(length, sizeof box.err.message - 5, sizeof box.err.message - 1);
    assert_memory_equal(box.err.message, text, length);
    assert_false(length > before && length < before + 4);
    for (size_t i = 0; i < sizeof box.guard; i++) assert_int_equal(box.guard[i], 0x55);
  }
}

static void kinds(void **state) {
  (void)state;
  ellm_error err;
  assert_int_equal(ellm_fail_errno(&err, ENOSPC, "write", "dir/out.ellm"), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "cannot write dir/out.ellm: "));
  assert_non_null(strstr(err.message, "space"));
  assert_int_equal(ellm_fail_memory(&err, 123456, "the cache"), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "123456"));
  assert_non_null(strstr(err.message, "the cache"));
}

static void public_names(void **state) {
  (void)state;
  assert_string_equal(ellm_version(), "0.1.0");
  assert_string_equal(ellm_dtype_name(ELLM_F32), "F32");
  assert_string_equal(ellm_dtype_name(ELLM_BF16), "BF16");
  assert_string_equal(ellm_dtype_name(ELLM_F8_E5M2), "F8_E5M2");
  assert_string_equal(ellm_dtype_name((ellm_dtype)15), "?");
  assert_string_equal(ellm_dtype_name((ellm_dtype)-1), "?");
  static const size_t sizes[] = {4, 2, 2, 8, 1, 1, 2, 2, 4, 4, 8, 8, 1, 1, 1, 0};
  for (int i = 0; i < 16; i++) assert_int_equal(ellm_dtype_size((ellm_dtype)i), sizes[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain),      cmocka_unit_test(message_of_itself), cmocka_unit_test(unprintable),
      cmocka_unit_test(truncation), cmocka_unit_test(kinds),             cmocka_unit_test(public_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
