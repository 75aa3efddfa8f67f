/* SPDX-License-Identifier: Apache-2.0 */
/* What the program says stays one printable line, whatever stands in names and in what servers send. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "program/buffer.h"
#include "program/failure.h"

static const char *said(const char *what) {
  static ellm_error err;
  assert_int_equal(prog_failure(&err, ELLM_ERR_INPUT, "%s", what), ELLM_ERR_INPUT);
  assert_int_equal(err.status, ELLM_ERR_INPUT);
  return err.message;
}

static void lines_are_printable(void **state) {
  (void)state;
  assert_string_equal(said("a\nb\tc\x1b[31md\x7f"), "a?b?c?[31md?");
  assert_string_equal(said("caf\xc3\xa9 \xe4\xb8\xad"), "caf\xc3\xa9 \xe4\xb8\xad");
  assert_string_equal(said("\xe2\x80\xaegpj.exe \xe2\x81\xa6x"), "?gpj.exe ?x"); /* reordered, isolated */
  assert_string_equal(said("one\xe2\x80\xa8two\xc2\x85three"), "one?two?three"); /* line separator, next line */
  assert_string_equal(said("\xff\xc3_\xed\xa0\x80"), "??_???");
}

static void long_lines_end_between_characters(void **state) {
  char text[1200];
  (void)state;
  for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 3);
  const char *message = said(text);
  assert_true(strlen(message) >= 490 && strlen(message) < 496 && strlen(message) % 2 == 0);
  assert_null(strchr(message, '?'));
}

static void causes(void **state) {
  ellm_error err;
  (void)state;
  assert_int_equal(prog_failure_errno(&err, ENOENT, "open", "a\nb"), ELLM_ERR_IO);
  assert_string_equal(err.message, "cannot open a?b: No such file or directory");
  assert_int_equal(prog_failure_memory(&err, 12, "x"), ELLM_ERR_IO);
  assert_string_equal(err.message, "out of memory (12 bytes for x)");
  prog_failure_memory(&err, 0, "x");
  assert_string_equal(err.message, "out of memory (for x)");
  prog_set_error(NULL, ELLM_ERR_IO, "nobody asks");
}

static void buffers(void **state) {
  prog_buffer b = {0};
  char line[2000];
  (void)state;
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\0';
  assert_true(prog_append(&b, "ab\0c", 4) && b.bytes == 4 && b.data[4] == '\0');
  assert_true(prog_print(&b, "%s-%d", line, 7)); /* longer than most lines */
  assert_int_equal(b.bytes, 4 + 1999 + 2);
  assert_string_equal(b.data + 4 + 1999, "-7");
  assert_false(prog_reserve(&b, SIZE_MAX)); /* memory that is not to be had: nothing is added from then on */
  assert_true(b.failed);
  assert_false(prog_print(&b, "more"));
  assert_int_equal(b.bytes, 4 + 1999 + 2);
  prog_buffer_clear(&b);
  assert_true(prog_print(&b, "again"));
  assert_string_equal(b.data, "again");
  prog_buffer_free(&b);
  assert_null(b.data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_printable),
      cmocka_unit_test(long_lines_end_between_characters),
      cmocka_unit_test(causes),
      cmocka_unit_test(buffers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
