/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Python's json module reads it: what is let through, what is still refused, what messages show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "json/lenient.h"

static json_t *good(const char *text) {
  json_t *root;
  ellm_error err = {0};
  if (json_parse_lenient(text, strlen(text), "f.json", &root, &err) != ELLM_OK) fail_msg("%s\n%s", text, err.message);
  return root;
}

static void refused(const char *text) {
  json_t *root;
  ellm_error err = {0};
  if (json_parse_lenient(text, strlen(text), "f.json", &root, &err) != ELLM_ERR_INPUT)
    fail_msg("not refused: %s", text);
  assert_null(root);
  assert_non_null(strstr(err.message, "f.json: not valid JSON"));
}

/* The value of "a" shown as errors show it. */
static void shown(const char *value, const char *wanted) {
  char text[1000], brief[80];
  strcat(strcat(strcpy(text, "{\"a\":"), value), "}");
  json_t *root = good(text);
  assert_string_equal(json_brief(json_object_get(root, "a"), brief), wanted);
  json_decref(root);
}

static void test_numbers(void **state) {
  (void)state;
  static const char *const without_value[] = {
      "NaN", "Infinity", "-Infinity", "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890",
      "1e400", "-1e400", "1.5E+999"};
  for (size_t i = 0; i < sizeof without_value / sizeof *without_value; i++) {
    shown(without_value[i], without_value[i]);
    char text[100];
    json_t *root = good(strcat(strcat(strcpy(text, "{\"a\":"), without_value[i]), ",\"b\":7}"));
    uint32_t b = 0;
    double number = 0;
    uint64_t whole = 0;
    bool truth = false;
    const char *words = NULL;
    ellm_error err = {0};
    assert_int_equal(json_get_u32(root, "b", true, "f.json", &b, &err), ELLM_OK);
    assert_int_equal(b, 7);
    assert_int_equal(json_get_double(root, "a", false, "f.json", &number, &err), ELLM_ERR_INPUT);
    assert_ptr_equal(strstr(err.message, "f.json: a is "), err.message);
    assert_ptr_equal(strstr(err.message, without_value[i]), err.message + 13);
    assert_int_equal(json_get_u64(root, "a", false, "f.json", &whole, &err), ELLM_ERR_INPUT);
    assert_int_equal(json_get_bool(root, "a", false, "f.json", &truth, &err), ELLM_ERR_INPUT);
    assert_int_equal(json_get_string(root, "a", false, "f.json", &words, &err), ELLM_ERR_INPUT);
    assert_non_null(strstr(err.message, "a string is expected"));
    json_decref(root);
  }
  char digits[401] = {0};
  memset(digits, '7', 400);
  shown(digits, "a number of many digits");
  shown("9223372036854775807", "9223372036854775807");
  shown("-9223372036854775808", "-9223372036854775808");
  shown("1.5", "1.5");
  shown("0.25", "0.25");
  shown("1e-400", "0.0");
}

static void test_strings_stay(void **state) {
  (void)state;
  shown("\"NaN\"", "\"NaN\"");
  shown("\"a \\\" NaN, 123456789012345678901234567890\"", "\"a \\\" NaN, 123456789012345678901234567890\"");
  shown("[\"\\\\\",NaN,\"Infinity\"]", "[\"\\\\\",\"\\u0000number NaN\",\"Infinity\"]");
  json_t *root = good("{\"NaN\":1}");
  assert_int_equal(json_integer_value(json_object_get(root, "NaN")), 1);
  json_decref(root);
}

static void test_equal_keys(void **state) {
  (void)state;
  json_t *root = good("{\"a\":1,\"b\":{\"c\":1,\"c\":2},\"a\":3}"), *strict = NULL;
  assert_int_equal(json_integer_value(json_object_get(root, "a")), 3);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "b"), "c")), 2);
  json_decref(root);
  assert_int_equal(json_parse("{\"a\":1,\"a\":2}", 13, "f.json", &strict, NULL), ELLM_ERR_INPUT);
  assert_int_equal(json_parse("{\"a\":NaN}", 9, "f.json", &strict, NULL), ELLM_ERR_INPUT);
  assert_int_equal(json_parse("{\"a\":18446744073709551616}", 26, "f.json", &strict, NULL), ELLM_ERR_INPUT);
}

static void test_still_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",           "{",        "nan",        "{\"a\":nan}",  "{\"a\":+1}",      "{\"a\":01}", "{NaN:1}", "{\"a\":1.}",
      "{\"a\":--1}", "{\"a\":1e}", "{\"a\":-}",  "{\"a\":xNaN}", "{\"a\":NaN NaN}", "{\"a\":1,}", "{\"a\":\"x}",
      "{\"a\":\"\\",   "{\"a\":0123456789012345678901234567890}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refused(bad[i]);
}

static void test_no_terminator(void **state) {
  (void)state;
  char *text = malloc(3); /* of its size: reading beyond it is seen */
  assert_non_null(text);
  memcpy(text, "NaN", 3);
  json_t *root;
  assert_int_equal(json_parse_lenient(text, 3, "f.json", &root, NULL), ELLM_OK);
  assert_string_equal(json_unreadable_number(root), "NaN");
  json_decref(root);
  memcpy(text, "123", 3);
  assert_int_equal(json_parse_lenient(text, 3, "f.json", &root, NULL), ELLM_OK);
  assert_int_equal(json_integer_value(root), 123);
  assert_null(json_unreadable_number(root));
  json_decref(root);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers),       cmocka_unit_test(test_strings_stay),  cmocka_unit_test(test_equal_keys),
      cmocka_unit_test(test_still_refused), cmocka_unit_test(test_no_terminator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
