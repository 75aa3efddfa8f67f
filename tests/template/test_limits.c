/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: what is refused, with which line and column; that nothing a
 * template does takes long, much memory or the whole stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

static const char variables_text[] =
    "{\"s\": \"text\", \"l\": [3, 1, 2], \"n\": null, \"d\": {\"a\": 1}, \"big\": 9223372036854775807}";

/* Create and render; the status of what failed, its message in err. */
static ellm_status run(const char *source, size_t bytes, const json_t *variables, ellm_error *err) {
  chat_template *t = NULL;
  char *text = NULL;
  size_t text_bytes;
  ellm_status status = chat_template_create(source, bytes, "origin", &t, err);
  if (status == ELLM_OK) status = chat_template_render(t, variables, NULL, &text, &text_bytes, err);
  else assert_null(t);
  if (status != ELLM_OK) assert_null(text);
  free(text);
  chat_template_free(t);
  return status;
}

typedef struct refusal { const char *source, *problem; } refusal;

static void check(const refusal *rows, size_t n_rows) {
  json_t *variables;
  ellm_error err = {0};
  size_t failed = 0;
  assert_int_equal(json_parse(variables_text, strlen(variables_text), "variables", &variables, &err), ELLM_OK);
  for (size_t i = 0; i < n_rows; i++) {
    err.message[0] = '\0';
    const ellm_status status = run(rows[i].source, strlen(rows[i].source), variables, &err);
    if (status == ELLM_ERR_INPUT && strncmp(err.message, "origin: chat template: ", 23) == 0 &&
        strcmp(err.message + 23, rows[i].problem) == 0)
      continue;
    print_error("%.200s\n  expected: %s\n  got (%d):  %s\n", rows[i].source, rows[i].problem, (int)status, err.message);
    failed++;
  }
  json_decref(variables);
  assert_int_equal(failed, 0);
}

#define CHECK(rows) check(rows, sizeof rows / sizeof *rows)

static void test_syntax(void **state) {
  static const refusal rows[] = {
      {"{{", "line 1 column 1: the end of this tag is missing"},
      {"a\n b{% if 1", "line 2 column 3: the end of this tag is missing"},
      {"{# x", "line 1 column 1: the end of this comment is missing"},
      {"{% raw %}{{", "line 1 column 1: the end of this raw block is missing"},
      {"\u00e9\u00e9{{ }}", "line 1 column 6: an expression is missing before '}}'"},
      {"{{ 1 +", "line 1 column 1: the end of this tag is missing"},
      {"{{ 1 + }}", "line 1 column 8: unexpected '}}'"},
      {"{{ (1 }}", "line 1 column 7: unexpected '}'"},
      {"{{ 1 2 }}", "line 1 column 6: '}}' is expected, not the number 2"},
      {"{{ a $ }}", "line 1 column 6: an unexpected character"},
      {"{{ 'a }}", "line 1 column 4: the end of this string is missing"},
      {"{{ '\\x4' }}", "line 1 column 8: an escape with too few digits"},
      {"{{ '\\ud83d' }}", "line 1 column 11: an escape that is not a character"},
      {"{{ 9223372036854775808 }}", "line 1 column 4: an integer beyond 64 bits"},
      {"{% if 1 %}x", "line 1 column 12: the template ends where 'elif' is expected"},
      {"{% endif %}", "line 1 column 4: the tag 'endif' is not supported here"},
      {"{% for 1 in l %}", "line 1 column 8: a name to assign to is expected, not the number 1"},
      {"{% for x of l %}", "line 1 column 10: 'in' is expected, not 'of'"},
      {"{% break %}", "line 1 column 4: 'break' outside of a loop"},
      {"{% for x in l %}{% macro f() %}{% continue %}{% endmacro %}{% endfor %}",
       "line 1 column 35: 'continue' outside of a loop"},
      {"{% set loop = 1 %}{% for x in l %}{% set loop = 1 %}{% endfor %}",
       "line 1 column 42: 'loop' cannot be assigned to within a loop"},
      {"{% macro f(a=1, b) %}{% endmacro %}",
       "line 1 column 17: a parameter without a default after one with a default"},
      {"{{ f(a=1, 2) }}", "line 1 column 11: an argument in a place where it cannot be"},
      {"{{ a. }}", "line 1 column 7: a name or a number is expected after '.'"},
      {"{{ 1 is number is number is }}", "line 1 column 16: tests cannot be chained with is"}};
  (void)state;
  CHECK(rows);
}

static void test_outside_of_the_subset(void **state) {
  static const refusal rows[] = {
      {"{% include 'x' %}", "line 1 column 4: the tag 'include' is not supported here"},
      {"\n\n  {% extends 'x' %}", "line 3 column 6: the tag 'extends' is not supported here"},
      {"{% import 'x' as y %}", "line 1 column 4: the tag 'import' is not supported here"},
      {"{% block b %}{% endblock %}", "line 1 column 4: the tag 'block' is not supported here"},
      {"{% do f() %}", "line 1 column 4: the tag 'do' is not supported here"},
      {"{% for x in l recursive %}{% endfor %}", "line 1 column 15: a recursive loop is not supported"},
      {"{{ s | urlize }}", "line 1 column 8: the filter 'urlize' is not supported"},
      {"{{ l | map('nosuch') | list }}", "line 1 column 8: the filter 'nosuch' is not supported"},
      {"{{ s is escaped }}", "line 1 column 9: the test 'escaped' is not supported"},
      {"{{ lipsum() }}", "line 1 column 4: 'lipsum' is not supported"},
      {"{{ s.encode() }}", "line 1 column 6: str.encode is not supported"},
      {"{{ '{0}'.format(1) }}", "line 1 column 10: str.format is not supported"},
      {"{{ '%s' % 1 }}", "line 1 column 9: formatting a string by % is not supported"},
      {"{{ '%s' | format(1) }}", "line 1 column 11: the filter 'format' is not supported"},
      {"{{ s.zfill(3) }}", "line 1 column 6: str.zfill is not supported"},
      {"{{ s.isdigit() }}", "line 1 column 6: str.isdigit is not supported"},
      {"{{ d.items }}", "line 1 column 4: the text of a value of type method is not supported"},
      {"{{ l | map('abs') }}", "line 1 column 4: the text of a value of type generator is not supported"},
      {"{{ strftime_now('%Y') }}", "line 1 column 16: strftime_now(): the time is not known here"}};
  (void)state;
  CHECK(rows);
}

/* Where no branch is around, in macros, and where it is reached. */
static void test_unknown_filters(void **state) {
  static const refusal rows[] = {
      {"{% if no %}{% macro m() %}{{y|zz}}{% endmacro %}{% endif %}ok",
       "line 1 column 31: the filter 'zz' is not supported"},
      {"{% if no %}{% macro m(a=b|zz) %}{% endmacro %}{% endif %}ok",
       "line 1 column 27: the filter 'zz' is not supported"},
      {"{% macro m() %}{{y|zz}}{% endmacro %}ok", "line 1 column 20: the filter 'zz' is not supported"},
      {"{% macro c() %}{{caller()}}{% endmacro %}{% if no %}{% call c() %}{{ a|zz }}{% endcall %}{% endif %}ok",
       "line 1 column 72: the filter 'zz' is not supported"},
      {"{% if no|zz %}a{% endif %}ok", "line 1 column 10: the filter 'zz' is not supported"},
      {"{% if no is zz %}a{% endif %}ok", "line 1 column 13: the test 'zz' is not supported"},
      {"{% if no %}{% else %}{{ a|zz }}{% endif %}ok", "line 1 column 27: the filter 'zz' is not supported"},
      {"{{ a|zz }}", "line 1 column 6: the filter 'zz' is not supported"},
      {"{{ a is zz }}", "line 1 column 9: the test 'zz' is not supported"},
      {"{{ 'ok' if a|zz else 1 }}", "line 1 column 14: the filter 'zz' is not supported"},
      {"{{ 'ok' if no is zz else 1 }}", "line 1 column 18: the test 'zz' is not supported"},
      {"{{ no and a|zz }}ok", "line 1 column 13: the filter 'zz' is not supported"},
      {"{% for t in [] %}{{ t|zz }}{% endfor %}ok", "line 1 column 23: the filter 'zz' is not supported"},
      {"{{ ['a']|map('zz')|list }}ok", "line 1 column 10: the filter 'zz' is not supported"},
      {"{{ a | b.c }}", "line 1 column 8: the filter 'b' is not supported"},
      {"{% if 0 %}{{ a | b. }}{% endif %}", "line 1 column 21: a name is expected after '.'"},
      {"{{ a | zz if 1 }}{{ b | yy }}", "line 1 column 25: the filter 'yy' is not supported"},
  };
  (void)state;
  CHECK(rows);
}

static void test_errors_of_values(void **state) {
  static const refusal rows[] = {
      {"{{ raise_exception('no ' ~ s) }}", "line 1 column 19: the template refuses this: no text"},
      {"{{ missing.a }}", "line 1 column 12: 'missing' is undefined"},
      {"{{ d.x.y }}", "line 1 column 8: 'x' is undefined"},
      {"{{ l[9].y }}", "line 1 column 9: a value is undefined"},
      {"{{ missing() }}", "line 1 column 11: 'missing' is undefined"},
      {"{{ 'a' + missing }}", "line 1 column 8: 'missing' is undefined"},
      {"{{ 'a' + n }}", "line 1 column 8: '+' between str and NoneType"},
      {"{{ 1 < 'a' }}", "line 1 column 6: 'int' and 'str' have no order"},
      {"{{ 1 in 5 }}", "line 1 column 6: argument of type 'int' is not iterable"},
      {"{{ {[1]: 2} }}", "line 1 column 5: unhashable type: 'list'"},
      {"{% for x in 5 %}{% endfor %}", "line 1 column 13: 'int' object is not iterable"},
      {"{% set a, b = [1] %}", "line 1 column 8: 1 values to unpack into 2 names"},
      {"{% set s.a = 1 %}", "line 1 column 10: an attribute can be set of a namespace only, not of str"},
      {"{{ l.append(1) }}", "line 1 column 12: 'append' is undefined"},
      {"{{ n | length }}", "line 1 column 8: object of type 'NoneType' has no len()"},
      {"{{ missing | tojson }}", "line 1 column 14: a value of type Undefined cannot be JSON"},
      {"{{ big + 1 }}", "line 1 column 8: an integer beyond 64 bits"},
      {"{{ 1 // 0 }}", "line 1 column 6: division by zero"},
      {"{{ s.split('') }}", "line 1 column 11: split(): an empty separator"},
      {"{{ s.upper(1) }}", "line 1 column 11: a change of case takes at most 0 arguments, not 1"},
      {"{{ l | join(q=1) }}", "line 1 column 8: join has no argument 'q'"},
      {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "line 1 column 35: the macro 'f' takes 1 arguments, not 2"},
      {"{{ l[::0] }}", "line 1 column 5: the step of a slice is zero"}};
  (void)state;
  CHECK(rows);
}

static void test_limits_of_rendering(void **state) {
  static const refusal rows[] = {
      {"{{ range(1000000000) | list }}", "line 1 column 9: range() of more than 100000 numbers"},
      {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
       "line 1 column 32: more steps are needed than allowed"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "line 1 column 19: nested more than 400 deep"},
      {"{% macro f() %}{% call f() %}{% endcall %}{{ caller }}{% endmacro %}{{ f() }}",
       "line 1 column 24: nested more than 400 deep"},
      {"{{ 'x' * 1000000000000 }}", "line 1 column 8: a value of more than 16777216 elements"},
      {"{% set x = 'x' * 1048576 %}{% for i in range(17) %}{{ x }}{% endfor %}",
       "line 1 column 55: more than 16777216 bytes of output"},
      /* output that waits in macros counts, however it is distributed */
      {"{% macro f(n) %}{{ 'x' * 1048576 }}{% if n %}{{ f(n - 1) | length }}{% endif %}{% endmacro %}{{ f(20) }}",
       "line 1 column 20: more than 16777216 bytes of output"},
      {"{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
       "line 1 column 76: a text of more than 16777216 bytes"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
       "line 1 column 75: more steps are needed than allowed"},
      {"{% set ns = namespace(x=[]) %}{% for i in range(500) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
       "line 1 column 94: nested more than 400 deep"},
      {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "line 1 column 49: nested more than 400 deep"},
      {"{% set ns = namespace(x=l) %}{% for i in range(500) %}{% set ns.x = ns.x | map('string') %}{% endfor %}{{ ns.x "
       "| list }}",
       "line 1 column 114: nested more than 400 deep"},
      /* long texts cost steps: 17 million characters are looked at 100,000 times */
      {"{% set x = 'x' * 16777216 %}{% for i in range(100000) %}{{ 'y' in x }}{% endfor %}",
       "line 1 column 64: more steps are needed than allowed"},
      {"{% set x = '\u00e9' * 8388608 %}{% for i in range(100000) %}{% if x[8388607] %}{% endif %}{% endfor %}",
       "line 1 column 63: more steps are needed than allowed"}};
  (void)state;
  CHECK(rows);
}

/* Where it is reached depends on the size of pointers. */
static void test_memory(void **state) {
  static const char source[] =
      "{% for i in range(100000) %}{% for j in range(100) %}{% set x = {'a': 1} %}{% endfor %}{% endfor %}";
  json_t *none = json_object();
  ellm_error err;
  (void)state;
  assert_int_equal(run(source, strlen(source), none, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "more than 268435456 bytes of values are needed"));
  json_decref(none);
}

/* `n` times `unit`, then `middle`, then `n` times `end`. */
static char *nested(const char *unit, size_t n, const char *middle, const char *end) {
  const size_t bytes = n * (strlen(unit) + strlen(end)) + strlen(middle) + 16;
  char *text = malloc(bytes), *at = text;
  assert_non_null(text);
  for (size_t i = 0; i < n; i++) at += sprintf(at, "%s", unit);
  at += sprintf(at, "%s", middle);
  for (size_t i = 0; i < n; i++) at += sprintf(at, "%s", end);
  return text;
}

static void expect_too_deep(const char *before, const char *unit, const char *middle, const char *end,
                            const char *after) {
  ellm_error err;
  json_t *none = json_object();
  for (size_t n = 20; n <= 20000; n *= 1000) {
    char *inside = nested(unit, n, middle, end);
    const size_t bytes = strlen(before) + strlen(inside) + strlen(after);
    char *source = malloc(bytes + 1);
    assert_non_null(source);
    sprintf(source, "%s%s%s", before, inside, after);
    const ellm_status status = run(source, bytes, none, &err);
    if (n == 20) {
      if (status != ELLM_OK) print_error("%s: %s\n", source, err.message);
      assert_int_equal(status, ELLM_OK);
    } else {
      assert_int_equal(status, ELLM_ERR_INPUT);
      assert_true(strstr(err.message, "deep") != NULL);
    }
    free(source);
    free(inside);
  }
  json_decref(none);
}

static void test_nesting_of_the_source(void **state) {
  (void)state;
  expect_too_deep("{{ ", "(", "1", ")", " }}");
  expect_too_deep("{{ ", "[", "1", "]", " }}");
  expect_too_deep("{{ ", "- ", "1", "", " }}");
  expect_too_deep("{{ ", "1 if 1 else ", "1", "", " }}");
  expect_too_deep("{{ ", "x[", "1", "] or 1", " if 0 else 1 }}");
  expect_too_deep("{{ ", "1 if 0 if ", "1", "", " }}");
  expect_too_deep("", "{% if 1 %}", "x", "{% endif %}", "");
  expect_too_deep("", "{% for x in [1] %}", "x", "{% endfor %}", "");
  expect_too_deep("", "{% macro m() %}", "x", "{% endmacro %}", "");
  expect_too_deep("{% set ", "(", "x", ")", " = 1 %}");
}

/* Chains are long, not deep. */
static void test_long_chains(void **state) {
  static const char *const units[] = {"1 + ", "1 ~ ", "1 and ", "1 or ", "1 < ", "not ", "1 | abs + ", "2 * 1 - "};
  json_t *none = json_object();
  ellm_error err;
  (void)state;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    char *inside = nested(units[i], 5000, "9", ""), *source = malloc(strlen(inside) + 16);
    assert_non_null(source);
    const int bytes = sprintf(source, "{{ %s }}", inside);
    const ellm_status status = run(source, (size_t)bytes, none, &err);
    if (status != ELLM_OK) print_error("%s: %s\n", units[i], err.message);
    assert_int_equal(status, ELLM_OK);
    free(source);
    free(inside);
  }
  json_decref(none);
}

static void test_source(void **state) {
  json_t *none = json_object();
  ellm_error err;
  (void)state;
  char *large = malloc(CHAT_TEMPLATE_MAX_SOURCE + 1);
  assert_non_null(large);
  memset(large, 'x', CHAT_TEMPLATE_MAX_SOURCE + 1);
  assert_int_equal(run(large, CHAT_TEMPLATE_MAX_SOURCE, none, &err), ELLM_OK);
  assert_int_equal(run(large, CHAT_TEMPLATE_MAX_SOURCE + 1, none, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "origin: chat template: 1048577 bytes, at most 1048576 are read");
  /* as many tags as fit, and as many names */
  for (size_t i = 0; i + 3 <= CHAT_TEMPLATE_MAX_SOURCE; i += 3) memcpy(large + i, "{##", 3);
  assert_int_equal(run(large, CHAT_TEMPLATE_MAX_SOURCE, none, &err), ELLM_ERR_INPUT);
  size_t bytes = 0;
  for (unsigned i = 0; i < 9000; i++) bytes += (size_t)sprintf(large + bytes, "{{ a%u }}", i);
  assert_int_equal(run(large, bytes, none, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "more than 8192 different names"));
  free(large);
  assert_int_equal(run("{{ 1 }}\xff", 8, none, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "origin: chat template: not valid UTF-8");
  json_decref(none);
}

static void test_nesting_of_the_variables(void **state) {
  json_t *variables = json_object(), *inner = json_array();
  ellm_error err;
  (void)state;
  for (int i = 0; i < 90; i++) inner = json_pack("[o]", inner);
  json_object_set_new(variables, "x", inner);
  assert_int_equal(run("{{ x }}{{ x | tojson }}{{ x == x }}", 35, variables, &err), ELLM_OK);
  inner = json_array();
  for (int i = 0; i < 1000; i++) inner = json_pack("[o]", inner);
  json_object_set_new(variables, "x", inner);
  assert_int_equal(run("{{ y }}", 7, variables, &err), ELLM_OK); /* not looked at */
  assert_int_equal(run("{{ x }}", 7, variables, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message,
                      "origin: chat template: line 1 column 1: the variables are nested more than 100 deep");
  json_decref(variables);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_syntax),
      cmocka_unit_test(test_outside_of_the_subset),
      cmocka_unit_test(test_unknown_filters), cmocka_unit_test(test_errors_of_values),
      cmocka_unit_test(test_limits_of_rendering),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_nesting_of_the_source),
      cmocka_unit_test(test_long_chains),
      cmocka_unit_test(test_source),
      cmocka_unit_test(test_nesting_of_the_variables)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
