/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: tests, what is after "is". */
#include "template/library/is_tests.h"

#include "template/library/builtins.h"
#include "template/run/contains.h"
#include "template/run/iterate.h"
#include "template/value/case.h"
#include "template/value/dict.h"
#include "template/value/operators.h"
#include "template/value/text.h"

typedef enum test {
  TEST_DEFINED,
  TEST_UNDEFINED,
  TEST_NONE,
  TEST_BOOLEAN,
  TEST_TRUE,
  TEST_FALSE,
  TEST_INTEGER,
  TEST_FLOAT,
  TEST_NUMBER,
  TEST_STRING,
  TEST_MAPPING,
  TEST_ITERABLE,
  TEST_SEQUENCE,
  TEST_CALLABLE,
  TEST_LOWER,
  TEST_UPPER,
  TEST_ODD,
  TEST_EVEN,
  TEST_DIVISIBLEBY,
  TEST_SAMEAS,
  TEST_EQUAL,
  TEST_NOT_EQUAL,
  TEST_LESS,
  TEST_LESS_EQUAL,
  TEST_GREATER,
  TEST_GREATER_EQUAL,
  TEST_IN
} test;

typedef struct test_name { const char *name; test which; } test_name;

static const test_name tests[] = {{"defined", TEST_DEFINED},   {"undefined", TEST_UNDEFINED},
                                  {"none", TEST_NONE},         {"boolean", TEST_BOOLEAN},
                                  {"true", TEST_TRUE},         {"false", TEST_FALSE},
                                  {"integer", TEST_INTEGER},   {"float", TEST_FLOAT},
                                  {"number", TEST_NUMBER},     {"string", TEST_STRING},
                                  {"mapping", TEST_MAPPING},   {"iterable", TEST_ITERABLE},
                                  {"sequence", TEST_SEQUENCE}, {"callable", TEST_CALLABLE},
                                  {"lower", TEST_LOWER},       {"upper", TEST_UPPER},
                                  {"odd", TEST_ODD},           {"even", TEST_EVEN},
                                  {"divisibleby", TEST_DIVISIBLEBY}, {"sameas", TEST_SAMEAS},
                                  {"eq", TEST_EQUAL},          {"equalto", TEST_EQUAL},
                                  {"==", TEST_EQUAL},          {"ne", TEST_NOT_EQUAL},
                                  {"!=", TEST_NOT_EQUAL},      {"lt", TEST_LESS},
                                  {"lessthan", TEST_LESS},     {"<", TEST_LESS},
                                  {"le", TEST_LESS_EQUAL},     {"<=", TEST_LESS_EQUAL},
                                  {"gt", TEST_GREATER},        {"greaterthan", TEST_GREATER},
                                  {">", TEST_GREATER},         {"ge", TEST_GREATER_EQUAL},
                                  {">=", TEST_GREATER_EQUAL},  {"in", TEST_IN}};

int tpl_find_test(const char *name, size_t bytes) {
  const tpl_string text = {.data = name, .bytes = bytes};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    if (tpl_text_is(tpl_of_string(&text), tests[i].name)) return (int)i;
  return -1;
}

/* The same object. Of strings and numbers Python does not say when they are. */
static bool same(tpl_run *run, tpl_value a, tpl_value b, bool *result) {
  *result = false;
  if (a.kind != b.kind) return true;
  switch (a.kind) {
    case TPL_NONE: *result = true; return true;
    case TPL_BOOL: *result = a.u.boolean == b.u.boolean; return true;
    case TPL_LIST: case TPL_TUPLE: *result = a.u.list == b.u.list; return true;
    case TPL_DICT: *result = a.u.dict == b.u.dict; return true;
    case TPL_NAMESPACE: *result = a.u.space == b.u.space; return true;
    default: return tpl_fail(&run->limits, "sameas of values of type %s is not supported", tpl_kind_name(a));
  }
}

static bool remainder_is(tpl_run *run, tpl_value value, tpl_value divisor, int64_t wanted, bool *result) {
  tpl_value rest;
  return tpl_arith(&run->limits, '%', value, divisor, &rest) && tpl_equal(&run->limits, rest, tpl_int(wanted), result);
}

static bool letters_are(tpl_run *run, tpl_value value, bool upper, bool *result) {
  tpl_value text;
  if (!tpl_str(&run->limits, value, &text)) return false;
  *result = tpl_is_cased_text(text.u.string, upper);
  return tpl_charge(&run->limits, text.u.string->bytes / 16);
}

static bool is_iterable(tpl_value v) { return tpl_has_count(v) || v.kind == TPL_ITERATOR || v.kind == TPL_LOOP; }

/* Tests without an operand. */
static bool unary(tpl_run *run, test which, tpl_value v, bool *result) {
  switch (which) {
    case TEST_DEFINED: *result = v.kind != TPL_UNDEFINED; return true;
    case TEST_UNDEFINED: *result = v.kind == TPL_UNDEFINED; return true;
    case TEST_NONE: *result = v.kind == TPL_NONE; return true;
    case TEST_BOOLEAN: *result = v.kind == TPL_BOOL; return true;
    case TEST_TRUE: *result = v.kind == TPL_BOOL && v.u.boolean; return true;
    case TEST_FALSE: *result = v.kind == TPL_BOOL && !v.u.boolean; return true;
    case TEST_INTEGER: *result = v.kind == TPL_INT; return true;
    case TEST_FLOAT: *result = v.kind == TPL_FLOAT; return true;
    case TEST_NUMBER: *result = tpl_is_number(v); return true;
    case TEST_STRING: *result = v.kind == TPL_STRING; return true;
    case TEST_MAPPING: *result = v.kind == TPL_DICT; return true;
    case TEST_ITERABLE: *result = is_iterable(v); return true;
    case TEST_SEQUENCE: *result = tpl_has_count(v) && v.kind != TPL_VIEW; return true;
    case TEST_CALLABLE: *result = tpl_is_callable(v) || v.kind == TPL_UNDEFINED; return true;
    case TEST_LOWER: return letters_are(run, v, false, result);
    case TEST_UPPER: return letters_are(run, v, true, result);
    case TEST_ODD: return remainder_is(run, v, tpl_int(2), 1, result);
    default: return remainder_is(run, v, tpl_int(2), 0, result); /* TEST_EVEN */
  }
}

static bool binary(tpl_run *run, test which, tpl_value v, tpl_value other, bool *result) {
  switch (which) {
    case TEST_DIVISIBLEBY: return remainder_is(run, v, other, 0, result);
    case TEST_SAMEAS: return same(run, v, other, result);
    case TEST_EQUAL: return tpl_compare(run, OP_EQUAL, v, other, result);
    case TEST_NOT_EQUAL: return tpl_compare(run, OP_NOT_EQUAL, v, other, result);
    case TEST_LESS: return tpl_compare(run, '<', v, other, result);
    case TEST_LESS_EQUAL: return tpl_compare(run, OP_LESS_EQUAL, v, other, result);
    case TEST_GREATER: return tpl_compare(run, '>', v, other, result);
    case TEST_GREATER_EQUAL: return tpl_compare(run, OP_GREATER_EQUAL, v, other, result);
    default: return tpl_contains(run, other, v, result); /* TEST_IN */
  }
}

bool tpl_apply_test(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, bool *result) {
  static const char *const none[] = {NULL}, *const one[] = {"other", NULL};
  const test what = tests[which].which;
  tpl_value other = tpl_none();
  if (what < TEST_DIVISIBLEBY)
    return tpl_take_arguments(run, tests[which].name, arguments, none, 0, NULL) && unary(run, what, value, result);
  return tpl_take_arguments(run, tests[which].name, arguments, one, 1, &other) &&
         binary(run, what, value, other, result);
}
