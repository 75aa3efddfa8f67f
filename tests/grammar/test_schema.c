/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema: which texts a schema lets be written, and what is refused. */
#include "grammar_testing.h"

static ellm_tokenizer *bytes_only;

static int make_tokenizer(void **state) {
  (void)state;
  bytes_only = tokenizer_of(NULL, NULL, 0);
  return 0;
}

static int free_tokenizer(void **state) {
  (void)state;
  ellm_tokenizer_free(bytes_only);
  return 0;
}

/* Texts after the schema: those that are whole, NULL, those that are wrong, NULL. ' stands for ", ~ for a backslash. */
typedef struct schema_case { const char *schema, *texts[24]; } schema_case;

static char *quoted(const char *text) {
  char *copy = strdup(text);
  for (char *c = copy; *c; c++) *c = *c == '\'' ? '"' : *c == '~' ? '\\' : *c;
  return copy;
}

static const schema_case cases[] = {
    {"{'type': 'string'}", {"''", "'a'", "'~u00e9~n~~'", "'\xC3\xA9'", "'~ud83d~ude00'", NULL,
                            "'\n'", "'~x'", "'~ud83d'", "'\xC3'", "a", "'~u0000'", NULL}},
    {"{'type': 'string', 'minLength': 2, 'maxLength': 3}", {"'ab'", "'a~u00e9'", "'\xF0\x9F\x98\x80~nx'", NULL,
                                                            "'a'", "'abcd'", NULL}},
    {"{'type': 'integer'}", {"0", "-12", "123456789012345", NULL, "01", "1.0", "1234567890123456", "+1", NULL}},
    {"{'type': 'number'}", {"0", "-1.50", "1e5", "2E-07", NULL, "1.", ".5", "1e", "1e500", NULL}},
    {"{'type': 'integer', 'minimum': 7, 'maximum': 123}", {"7", "9", "10", "99", "100", "123", NULL,
                                                           "6", "124", "200", "0", "-7", "07", NULL}},
    {"{'type': 'integer', 'exclusiveMinimum': -3, 'maximum': 0}", {"-2", "-1", "0", NULL, "-3", "1", "-0", NULL}},
    {"{'type': 'integer', 'minimum': 95}", {"95", "100", "123456", NULL, "94", "9", "-95", NULL}},
    {"{'type': 'number', 'minimum': 0, 'maximum': 1}", {"0", "1", "0.5", "0.999999", "1.0", NULL,
                                                        "1.1", "2", "-0.1", "1.000001", "0.", NULL}},
    {"{'type': 'number', 'exclusiveMinimum': -0.25, 'exclusiveMaximum': 12.3}",
     {"-0.2", "-0.249999", "0", "12.29", "12.299999", "11.9", "-0.1", NULL, "-0.25", "12.3", "13", "-1", "12.300000", NULL}},
    {"{'type': 'number', 'minimum': 0.3, 'maximum': 0.3}", {"0.3", "0.30", "0.300000", NULL, "0.31", "0.2", NULL}},
    {"{'type': ['boolean', 'null']}", {"true", "false", "null", NULL, "True", "0", NULL}},
    {"{'enum': ['a', 1, 1.5, null, {'x': [true]}]}", {"'a'", "1", "1.5", "null", "{'x':[true]}", NULL, "'b'", "2", NULL}},
    {"{'type': 'string', 'enum': ['a', 'ab', 3]}", {"'a'", "'ab'", NULL, "3", NULL}},
    {"{'const': 0.1}", {"0.1", NULL, "0.10000000000000001", NULL}},
    {"{'type': 'array', 'items': {'type': 'integer'}, 'minItems': 1, 'maxItems': 3}",
     {"[1]", "[ 1, 2,3 ]", "[\n  1,\n  2\n]", NULL, "[]", "[1,2,3,4]", "[1,]", "[1  ]", NULL}},
    {"{'type': 'array', 'prefixItems': [{'const': 1}, {'const': 2}], 'items': {'const': 3}}",
     {"[]", "[1]", "[1,2]", "[1,2,3,3]", NULL, "[2]", "[1,3]", "[3]", NULL}},
    {"{'type': 'array', 'prefixItems': [{'const': 1}, {'const': 2}], 'items': false, 'minItems': 1}",
     {"[1]", "[1,2]", NULL, "[]", "[1,2,3]", NULL}},
    {"{'type': 'array', 'items': {'const': 1}, 'maxItems': 0}", {"[]", "[ ]", NULL, "[1]", NULL}},
    {"{'type': 'array'}", {"[]", "[1, 'a', [{}]]", NULL, "[,]", NULL}},
    {"{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 2}, 'c': {'const': 3}}, 'required': ['b']}",
     {"{'b': 2}", "{'a':1,'b':2}", "{'a':1,'b':2,'c':3}", "{ 'b':2,\n'c':3 }", NULL, "{}", "{'a':1}", "{'c':3}",
      "{'b':2,'a':1}", "{'b':2,}", "{'b':2,'d':4}", NULL}},
    {"{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 2}}}",
     {"{}", "{'b':2}", "{'a':1}", "{'a':1, 'b':2}", NULL, "{'b':2,'a':1}", NULL}},
    {"{'type': 'object', 'properties': {'ab': {'const': 1}}, 'additionalProperties': {'const': 2}, 'required': ['ab']}",
     {"{'ab':1}", "{'ab':1,'a':2}", "{'ab':1, 'abc':2, '':2}", NULL, "{'ab':1,'ab':2}", "{'ab':1,'a':1}", "{'a':2}", NULL}},
    {"{'type': 'object', 'additionalProperties': {'type': 'integer'}}", {"{}", "{'x':1,'y':2}", NULL, "{'x':'y'}", NULL}},
    {"{'type': 'object', 'properties': {}, 'additionalProperties': false}", {"{}", NULL, "{'x':1}", NULL}},
    {"{'type': 'object', 'required': ['z']}", {"{'z': [1]}", NULL, "{}", NULL}},
    {"{'type': 'object'}", {"{}", "{'a':{'b':[1]}}", NULL, "[]", NULL}},
    {"{'properties': {'~'~~': {'type': 'null'}}, 'required': ['~'~~']}", {"{'~'~~': null}", NULL, "{'x':null}", NULL}},
    {"{'anyOf': [{'type': 'string'}, {'type': 'null'}]}", {"'a'", "null", NULL, "1", NULL}},
    {"{'type': 'object', 'properties': {'k': {'type': 'integer'}}, 'anyOf': [{'required': ['k']}, {'properties': "
     "{'l': {'const': 1}}, 'required': ['l']}]}", {"{'k':5}", "{'l':1}", "{'k':5,'l':1}", NULL, "{}", NULL}},
    {"{'oneOf': [{'type': 'object', 'properties': {'t': {'const': 'a'}}, 'required': ['t']}, {'type': 'object', "
     "'properties': {'t': {'const': 'b'}, 'n': {'type': 'integer'}}, 'required': ['t', 'n']}]}",
     {"{'t':'a'}", "{'t':'b','n':1}", NULL, "{'t':'b'}", NULL}},
    {"{'allOf': [{'type': 'object', 'properties': {'a': {'const': 1}}, 'required': ['a']}, {'properties': {'b': "
     "{'const': 2}}, 'required': ['b']}]}", {"{'a':1,'b':2}", NULL, "{'a':1}", NULL}},
    {"{'allOf': [{'type': 'integer', 'minimum': 3}, {'type': 'number', 'maximum': 5}]}", {"3", "5", NULL, "2", "6", "4.5", NULL}},
    {"{'$ref': '#/$defs/a~u0020b', '$defs': {'a b': {'type': 'boolean'}}}", {"true", NULL, "1", NULL}},
    {"{'$defs': {'n': {'type': 'object', 'properties': {'v': {'type': 'integer'}, 'next': {'anyOf': [{'$ref': "
     "'#/$defs/n'}, {'type': 'null'}]}}, 'required': ['v', 'next'], 'additionalProperties': false}}, '$ref': '#/$defs/n'}",
     {"{'v':1,'next':null}", "{'v':1,'next':{'v':2,'next':null}}", NULL, "{'v':1}", NULL}},
    {"{'type': 'array', 'items': {'$ref': '#'}}", {"[]", "[[],[[]]]", NULL, "[1]", NULL}},
    {"{'type': 'string', 'pattern': '^[a-c]{2,}~~d?$'}", {"'ab'", "'abc1'", NULL, "'a'", "'ab12'", "'1ab'", NULL}},
    {"{'type': 'string', 'pattern': 'b+'}", {"'b'", "'abba'", "'~nb'", NULL, "'a'", "''", NULL}},
    {"{'type': 'string', 'pattern': '^(x|~~~~|~')[^~'a]$'}", {"'xb'", "'~~~~'", "'~'x'", "'x~n'", NULL, "'xa'", "'x~''", NULL}},
    {"{'type': 'string', 'pattern': '^~~w+(?:-~~S)*?$|^$'}", {"''", "'a_1'", "'a-!'", NULL, "'a-'", "'a- '", NULL}},
    {"{'type': 'string', 'format': 'date'}", {"'2024-02-29'", "'1999-12-31'", NULL, "'2023-02-29'", "'2024-13-01'", "'2024-04-31'", NULL}},
    {"{'type': 'string', 'format': 'date-time'}", {"'2024-02-29T23:59:59.5Z'", "'2000-01-01T00:00:00+01:30'", NULL, "'2000-01-01'", NULL}},
    {"{'type': 'string', 'format': 'uuid'}", {"'01234567-89ab-cdef-0123-456789abcdef'", NULL, "'x'", NULL}},
    {"{'type': 'string', 'format': 'ipv4'}", {"'0.10.255.199'", NULL, "'256.0.0.1'", "'01.0.0.1'", NULL}},
    {"{'type': 'string', 'format': 'email'}", {"'a.b@c-d.org'", NULL, "'a@b'", "'@c.org'", NULL}},
    {"{'anyOf': [false, {'const': 1}]}", {"1", NULL, "2", NULL}},
    {"true", {"1", "{'a': [null, 'x', -1e5]}", NULL, "x", NULL}}};

static void test_texts(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *schema = quoted(cases[i].schema);
    ellm_grammar *g;
    ASSERT_OK(ellm_grammar_create_schema(bytes_only, schema, strlen(schema), cases[i].schema, &g, ERR));
    bool whole = true;
    for (const char *const *t = cases[i].texts; *t || whole; t++) {
      if (!*t) {
        whole = false;
        continue;
      }
      char *text = quoted(*t);
      if ((judge(g, text) == WHOLE) != whole) fail_msg("%s under %s is %s", text, schema, whole ? "refused" : "allowed");
      free(text);
    }
    ellm_grammar_free(g);
    free(schema);
  }
}

static void expect_refused(const char *given, const char *message) {
  char *schema = quoted(given);
  ellm_grammar *g = NULL;
  test_err.message[0] = '\0';
  const ellm_status status = ellm_grammar_create_schema(bytes_only, schema, strlen(schema), "s", &g, ERR);
  if (status != ELLM_ERR_INPUT || g || !strstr(test_err.message, message))
    fail_msg("%.80s: %d %s, not: %s", schema, status, test_err.message, message);
  free(schema);
}

static void test_refused(void **state) {
  (void)state;
  static const char *const list[][2] = {
      {"", "s"},
      {"[", "s"},
      {"3", "s: #: a schema is 3"},
      {"{'a': 1, 'a': 2}", "duplicate"},
      {"{'not': {}}", "s: #: \"not\" is not supported"},
      {"{'type': 'object', 'properties': {'a/b~~u007e': {'uniqueItems': true}}}", "s: #/properties/a~1b"},
      {"{'type': 'object', 'patternProperties': {}}", "\"patternProperties\" is not supported"},
      {"{'type': 'integer', 'multipleOf': 2}", "\"multipleOf\" is not supported"},
      {"{'type': 'float'}", "type \"float\" is not known"},
      {"{'type': 3}", "type is 3"},
      {"{'enum': []}", "enum is []"},
      {"{'type': 'string', 'enum': [1]}", "no value of enum"},
      {"{'enum': ['a'], 'minLength': 1}", "\"minLength\" beside enum"},
      {"{'type': 'string', 'minLength': -1}", "minLength is -1"},
      {"{'type': 'string', 'maxLength': 1e99}", "maxLength is "},
      {"{'type': 'string', 'minLength': 3, 'maxLength': 2}", "more than maxLength"},
      {"{'type': 'array', 'minItems': 3, 'maxItems': 2}", "more than maxItems"},
      {"{'type': 'integer', 'minimum': 1.2, 'maximum': 1.8}", "no number"},
      {"{'type': 'integer', 'minimum': 1e99}", "no number"},
      {"{'type': 'number', 'minimum': 'x'}", "minimum is "},
      {"{'type': 'string', 'pattern': '(?=a)'}", "(? is not supported"},
      {"{'type': 'string', 'pattern': '(a)~~1'}", "~1 is not supported"},
      {"{'type': 'string', 'pattern': '~~bx'}", "~b is not supported"},
      {"{'type': 'string', 'pattern': 'a^b'}", "^ and $ elsewhere"},
      {"{'type': 'string', 'pattern': 'a)'}", "a parenthesis too many"},
      {"{'type': 'string', 'pattern': '[b-a]'}", "such a range"},
      {"{'type': 'string', 'pattern': 'a', 'minLength': 1}", "\"pattern\" beside \"minLength\""},
      {"{'type': 'string', 'format': 'idn-email'}", "format \"idn-email\""},
      {"{'$ref': '#/x'}", "$ref \"#/x\" is not found"},
      {"{'$ref': 'http://a/b'}", "is not found"},
      {"{'$ref': '#'}", "no text can"},
      {"{'$ref': '#/$defs/a', '$defs': {'a': {'$ref': '#/$defs/b'}, 'b': {'$ref': '#/$defs/a'}}}", "no text can"},
      {"{'type': 'object', 'properties': {'a': {'$ref': '#'}}, 'required': ['a']}", "never ends"},
      {"{'oneOf': [{'type': 'integer'}, {'type': 'number'}]}", "oneOf of schemas that may both hold"},
      {"{'allOf': [{'pattern': 'a'}, {'pattern': 'b'}]}", "\"pattern\" in several schemas"},
      {"{'allOf': [{'properties': {'a': {}}, 'additionalProperties': false}, {'properties': {'b': {}}}]}",
       "\"additionalProperties\" in several"},
      {"{'type': 'object', 'properties': {'a': {}}, 'required': ['b'], 'additionalProperties': false}", "no text can"},
      {"false", "no text can"}};
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    char *message = strdup(list[i][1]);
    if (message[0] == '~') message[0] = '\\';
    expect_refused(list[i][0], message);
    free(message);
  }
}

/* Deep, wide, and self-embracing: in time, and by name. */
static void test_hostile(void **state) {
  (void)state;
  ellm_buffer text = {0};
  ellm_grammar *g;
  for (int i = 0; i < 1000; i++) ellm_buffer_print(&text, "{'items': ");
  ellm_buffer_print(&text, "true");
  for (int i = 0; i < 1000; i++) ellm_buffer_print(&text, "}");
  ellm_buffer_append(&text, "", 1);
  expect_refused((char *)text.data, "nested more than 100 deep");

  text.size = 0; /* a chain of 5,000 references */
  ellm_buffer_print(&text, "{'$ref': '#/$defs/d0', '$defs': {");
  for (int i = 0; i < 5000; i++) ellm_buffer_print(&text, "'d%d': {'$ref': '#/$defs/d%d'}, ", i, i + 1);
  ellm_buffer_print(&text, "'d5000': {'const': 1}}}");
  ellm_buffer_append(&text, "", 1);
  char *schema = quoted((char *)text.data);
  ASSERT_OK(ellm_grammar_create_schema(bytes_only, schema, strlen(schema), "s", &g, ERR));
  assert_int_equal(judge(g, "1"), WHOLE);
  ellm_grammar_free(g);
  free(schema);

  text.size = 0; /* doubling: each allOf joins the next twice */
  ellm_buffer_print(&text, "{'$ref': '#/$defs/d0', '$defs': {");
  for (int i = 0; i < 40; i++)
    ellm_buffer_print(&text, "'d%d': {'allOf': [{'$ref': '#/$defs/d%d'}, {'$ref': '#/$defs/d%d'}]}, ", i, i + 1, i + 1);
  ellm_buffer_print(&text, "'d40': {'type': 'integer', 'allOf': [{'$ref': '#/$defs/d0'}]}}}");
  ellm_buffer_append(&text, "", 1);
  schema = quoted((char *)text.data);
  assert_int_equal(ellm_grammar_create_schema(bytes_only, schema, strlen(schema), "s", &g, ERR), ELLM_ERR_INPUT);
  free(schema);

  text.size = 0; /* a thousand optional properties, and names that begin alike */
  ellm_buffer_print(&text, "{'type': 'object', 'additionalProperties': {'const': 0}, 'properties': {");
  for (int i = 0; i < 1000; i++) ellm_buffer_print(&text, "%s'name%d': {'const': %d}", i > 0 ? ", " : "", i, i);
  ellm_buffer_print(&text, "}}");
  ellm_buffer_append(&text, "", 1);
  schema = quoted((char *)text.data);
  ASSERT_OK(ellm_grammar_create_schema(bytes_only, schema, strlen(schema), "s", &g, ERR));
  assert_int_equal(judge(g, "{\"name7\":7,\"name999\":999,\"nameX\":0}"), WHOLE);
  assert_int_equal(judge(g, "{\"name7\":0}"), WRONG);
  ellm_grammar_free(g);
  free(schema);
  ellm_buffer_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_hostile)};
  return cmocka_run_group_tests_name("JSON schemas", tests, make_tokenizer, free_tokenizer);
}
