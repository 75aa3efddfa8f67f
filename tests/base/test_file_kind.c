/* SPDX-License-Identifier: Apache-2.0 */
/* What the first bytes of a file say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/file_kind.h"

static void says(const char *bytes, size_t n, const char *part) {
  const char *advice = file_kind_advice(bytes, n);
  if (part == NULL) {
    assert_null(advice);
    return;
  }
  assert_non_null(advice);
  if (strstr(advice, part) == NULL) fail_msg("advice: %s\nwanted: %s", advice, part);
}
#define SAYS(text, part) says(text, sizeof(text) - 1, part)

static void test_kinds(void **state) {
  (void)state;
  SAYS("version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull");
  SAYS("<!doctype html>\n<html>", "an HTML page");
  SAYS("\n  <!DOCTYPE HTML PUBLIC", "an HTML page");
  SAYS("<HTML lang=", "an HTML page");
  SAYS("GGUF\3\0\0\0", "a GGUF file");
  SAYS("PK\3\4\0\0\10\10", "a PyTorch file");
  SAYS("\200\2}q\1", "a PyTorch file");
  SAYS("\20\0\0\0\0\0\0\0{\"a\"", "name its folder");
}

static void test_nothing_known(void **state) {
  (void)state;
  SAYS("", NULL);
  SAYS("   ", NULL);
  SAYS("GGU", NULL);
  SAYS("<htm", NULL);
  SAYS("version https://git-lf", NULL);
  SAYS("{\"model_type\": \"llama\"}", NULL);
  SAYS("\211ELLM\r\n\032", NULL);
  SAYS("\20\0\0\0\0\0\0\0", NULL);      /* cut before the brace */
  SAYS("\20\0\0\0\0\0\0\1{\"a\"", NULL); /* too long a header */
}

static void test_check(void **state) {
  (void)state;
  ellm_error err = {0};
  assert_int_equal(file_kind_check("x", 1, "f", &err), ELLM_OK);
  assert_int_equal(file_kind_check("GGUF", 4, "in/m.gguf", &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "in/m.gguf: a GGUF file: "));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_kinds), cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_check)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
