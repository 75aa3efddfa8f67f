/* SPDX-License-Identifier: Apache-2.0 */
/* GBNF: what it means, what is refused, and that hostile grammars end in time. */
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

static ellm_grammar *grammar(const char *text) {
  ellm_grammar *g;
  ASSERT_OK(ellm_grammar_create(bytes_only, text, strlen(text), "g", &g, ERR));
  return g;
}

/* `texts`: pairs of a text and what it is, ended by NULL. */
typedef struct expectation { const char *text; verdict is; } expectation;

static void expect(const char *rules, const expectation *list) {
  ellm_grammar *g = grammar(rules);
  for (; list->text; list++) {
    const verdict is = judge(g, list->text);
    if (is != list->is) fail_msg("\"%s\" under %s is %d", list->text, rules, is);
  }
  ellm_grammar_free(g);
}
#define EXPECT(rules, ...) expect((rules), (const expectation[]){__VA_ARGS__, {NULL, WRONG}})

static void test_meaning(void **state) {
  (void)state;
  EXPECT("root ::= \"yes\" | \"no\"", {"yes", WHOLE}, {"no", WHOLE}, {"n", BEGINNING}, {"nope", WRONG}, {"", BEGINNING});
  EXPECT("root ::= [a-c]+ \"!\"?", {"abc", WHOLE}, {"abc!", WHOLE}, {"!", WRONG}, {"abd", WRONG});
  EXPECT("root ::= (\"a\" | b)*\nb ::= \"b\" \"c\"", {"", WHOLE}, {"abca", WHOLE}, {"ab", BEGINNING}, {"ac", WRONG});
  EXPECT("root ::= [^a-z\\n\\]]", {"A", WHOLE}, {"a", WRONG}, {"\n", WRONG}, {"]", WRONG}, {"\xC3\xA9", WHOLE},
         {"\xC3", BEGINNING}, {"\xE2\x82\xAC", WHOLE}, {"\xF0\x9F\x98\x80", WHOLE});
  EXPECT("root ::= .", {"\n", WHOLE}, {"\xED\xA0\x80", WRONG}, {"\xFF", WRONG}, {"\xC0\x80", WRONG}, {"ab", WRONG});
  EXPECT("root ::= \"\\x41\\u00e9\\U0001F600\"", {"A\xC3\xA9\xF0\x9F\x98\x80", WHOLE}, {"A\xC3\xA8", WRONG});
  EXPECT("root ::= \"a\"{2,3} [0-9]{2} \"b\"{2,}", {"aa12bb", WHOLE}, {"aaa12bbbbbb", WHOLE}, {"a1", WRONG},
         {"aaaa", WRONG}, {"aa12b", BEGINNING});
  EXPECT("root ::= (\"ab\" | \"c\"){2,1000000} \".\"", {"abc.", WHOLE}, {"c.", WRONG}, {"ccccccccabab.", WHOLE});
  EXPECT("# a comment\nroot ::= # another\n  \"a\" |\n  \"b\" # one more\n\nx ::= \"x\"", {"b", WHOLE}, {"x", WRONG});
  EXPECT("root ::= (\n  \"a\"\n  \"b\"\n)", {"ab", WHOLE});
  EXPECT("root ::= \"a\" root \"b\" | \"\"", {"", WHOLE}, {"aabb", WHOLE}, {"aab", BEGINNING}, {"abb", WRONG});
  EXPECT("root ::= [-a] [b-] [\\-\\^]", {"--^", WHOLE}, {"ab-", WHOLE}, {"c", WRONG});
  EXPECT("root ::= (\"a\"?){3} \"b\"", {"b", WHOLE}, {"aaab", WHOLE}, {"aaaab", WRONG});
  EXPECT("root ::= (\"a\"? \"c\"?){17,18} \"b\"", {"b", WHOLE}, {"acacb", WHOLE}, {"cab", WHOLE});
  EXPECT("root ::= ((\"a\"*)*)* \"b\"", {"aab", WHOLE}, {"b", WHOLE});
  EXPECT("root ::= a b\na ::= b?\nb ::= [x] a \"y\" | \"z\"", {"z", WHOLE}, {"xyz", WHOLE}, {"xzyz", WHOLE});
  EXPECT("root ::= dead | \"x\"\ndead ::= \"y\" dead", {"x", WHOLE}, {"y", WRONG});
}

static void expect_refused(const char *rules, size_t bytes, const char *message) {
  ellm_grammar *g = NULL;
  test_err.message[0] = '\0';
  const ellm_status status = ellm_grammar_create(bytes_only, rules, bytes, "g", &g, ERR);
  if (status != ELLM_ERR_INPUT || g || !strstr(test_err.message, message))
    fail_msg("%.60s: %d %s, not: %s", rules, status, test_err.message, message);
}

static void test_refused(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "no rule \"root\""},
      {"x ::= \"a\"", "no rule \"root\""},
      {"root ::= a", "line 1: rule \"a\" is not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule \"root\" is defined twice"},
      {"root ::= root \"a\" | \"a\"", "rule \"root\" begins with itself"},
      {"root ::= a\na ::= b? c\nb ::= \"b\"\nc ::= a \"x\" | \"y\"", "begins with itself"},
      {"root ::= \"a\" root", "never ends"},
      {"root ::= \"a", "line 1: the grammar ends inside"},
      {"root ::= [a", "ends inside"},
      {"root ::= []", "a class is empty"},
      {"root ::= [z-a]", "goes from U+007A down to U+0061"},
      {"root ::= (\"a\"", "parenthesis is not closed"},
      {"root ::= \"a\")", "\")\" is not expected here"},
      {"root ::= *", "follows nothing"},
      {"root ::= \"a\"{3,2}", "3 to 2 times makes no sense"},
      {"root ::= \"a\"{1,99999999999}", "more than 16777216 is not supported"},
      {"root ::= \"a\"{x}", "a number is expected"},
      {"root ::= \"\\q\"", "no escape \"\\q\""},
      {"root ::= \"\\uD800\"", "U+D800 is not a character"},
      {"root ::= \"\\U00110000\"", "U+110000 is not a character"},
      {"root ::= \"\\x4\"", "2 hexadecimal digits"},
      {"root ::= \"\xC3\"", "byte 0xC3 is not valid UTF-8"},
      {"root = \"a\"", "\"::=\" is expected"},
      {"root ::= <think>", "tokens"},
      {"\n\n%", "line 3: the name of a rule is expected"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect_refused(cases[i][0], strlen(cases[i][0]), cases[i][1]);
  expect_refused("root ::= \"a\0", 11, "");
}

/* ---------------------------------------------------------------------- hostile */

static void test_hostile(void **state) {
  (void)state;
  ellm_buffer text = {0};
  for (int i = 0; i < 100000; i++) ellm_buffer_append(&text, i == 0 ? "root ::= (" : "(", i == 0 ? 10 : 1);
  expect_refused((const char *)text.data, text.size, "parentheses inside each other");

  text.size = 0; /* ten thousand rules, each of which begins with the next */
  ellm_buffer_print(&text, "root ::= r0\n");
  for (int i = 0; i < 10000; i++) ellm_buffer_print(&text, "r%d ::= r%d | \"%d\"\n", i, i + 1, i);
  ellm_buffer_print(&text, "r10000 ::= \"x\"\n");
  ellm_grammar *g;
  ASSERT_OK(ellm_grammar_create(bytes_only, (const char *)text.data, text.size, "g", &g, ERR));
  assert_int_equal(judge(g, "9999"), WHOLE);
  assert_int_equal(judge(g, "x"), WHOLE);
  ellm_grammar_free(g);

  text.size = 0; /* the same with something behind each: a stack of ten thousand */
  ellm_buffer_print(&text, "root ::= r0\n");
  for (int i = 0; i < 10000; i++) ellm_buffer_print(&text, "r%d ::= \"(\" r%d \")\" | \"%d\"\n", i, i + 1, i);
  ellm_buffer_print(&text, "r10000 ::= \"x\"\n");
  ASSERT_OK(ellm_grammar_create(bytes_only, (const char *)text.data, text.size, "g", &g, ERR));
  assert_int_equal(judge(g, "((2))"), WHOLE);
  ellm_grammar_free(g);

  text.size = 0; /* more rules than there may be */
  ellm_buffer_print(&text, "root ::= \"x\"\n");
  for (int i = 0; i < 70000; i++) ellm_buffer_print(&text, "r%d ::= \"x\"\n", i);
  expect_refused((const char *)text.data, text.size, "more than 65536 rules");

  text.size = 0; /* a class of many ranges */
  ellm_buffer_print(&text, "root ::= [");
  for (unsigned i = 0; i < 60000; i++) ellm_buffer_print(&text, "\\U%08x", 0x10000 + 2 * i);
  ellm_buffer_print(&text, "]");
  ASSERT_OK(ellm_grammar_create(bytes_only, (const char *)text.data, text.size, "g", &g, ERR));
  assert_int_equal(judge(g, "\xF0\x90\x80\x80"), WHOLE);
  assert_int_equal(judge(g, "\xF0\x90\x80\x81"), WRONG);
  ellm_grammar_free(g);
  ellm_buffer_free(&text);
}

/* Each of these would take for ever, or all memory, where stacks were followed one by one. They end with an answer or
 * with a named error. */
static void test_ambiguous(void **state) {
  (void)state;
  static const char *const rules[] = {
      "root ::= (a a a a a a a a)* \"!\"\na ::= (\"x\" | \"xx\" | a2)*\na2 ::= \"x\" a2 | \"x\" a2 a2 | \"x\"",
      "root ::= a \"b\" | a \"c\" | a \"d\"\na ::= \"x\" root | \"x\" root \"y\" | \"x\"",
      "root ::= (((((\"x\"{1,100000}){1,100000}){1,100000}){1,100000}){1,100000}){1,100000}",
      "root ::= ((((((\"x\"?){9}){9}){9}){9}){9}){9}",
      "root ::= s0\ns0 ::= s1 \"a\" | s1 \"b\"\ns1 ::= s2 \"a\" | s2 \"b\"\ns2 ::= s3 \"a\" | s3 \"b\"\n"
      "s3 ::= s4 \"a\" | s4 \"b\"\ns4 ::= s5 \"a\" | s5 \"b\"\ns5 ::= s6 \"a\" | s6 \"b\"\ns6 ::= s7 \"a\" | s7 \"b\"\n"
      "s7 ::= s8 \"a\" | s8 \"b\"\ns8 ::= s9 \"a\" | s9 \"b\"\ns9 ::= t0 \"a\" | t0 \"b\"\nt0 ::= t1 \"a\" | t1 \"b\"\n"
      "t1 ::= t2 \"a\" | t2 \"b\"\nt2 ::= t3 \"a\" | t3 \"b\"\nt3 ::= t4 \"a\" | t4 \"b\"\nt4 ::= t5 \"a\" | t5 \"b\"\n"
      "t5 ::= t6 \"a\" | t6 \"b\"\nt6 ::= t7 \"a\" | t7 \"b\"\nt7 ::= \"x\"*"};
  char text[200];
  memset(text, 'x', sizeof text);
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    ellm_grammar *g = grammar(rules[i]);
    grammar_matcher *m;
    bool possible = true, ends;
    ellm_status status = grammar_matcher_create(g, &m, ERR);
    if (status == ELLM_OK) {
      for (size_t k = 0; status == ELLM_OK && k < sizeof text; k++)
        status = grammar_matcher_bytes(m, text + k, 1, &possible, &ends, ERR);
      grammar_matcher_free(m);
    }
    if (status == ELLM_OK) assert_true(possible);
    else assert_non_null(strstr(test_err.message, "too ambiguous"));
    ellm_grammar_free(g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_meaning), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_hostile), cmocka_unit_test(test_ambiguous)};
  return cmocka_run_group_tests_name("grammars in GBNF", tests, make_tokenizer, free_tokenizer);
}
