/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: while a schema and a grammar are read and followed. Each time that is an error
 * that says so, nothing is leaked, and a grammar that others use goes on.
 */
#include "failing_allocator.h"
#include "grammar_testing.h"

static const char schema[] =
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"pattern\": \"^[a-c]+$\"}, \"b\": {\"anyOf\": "
    "[{\"$ref\": \"#\"}, {\"type\": \"integer\", \"minimum\": 3}]}}, \"required\": [\"a\"], \"additionalProperties\": false}";
static const char rules[] = "root ::= \"(\" root \")\" | [a-z\\u00e9]{2,90} x?\nx ::= (\"a\" | \"ab\"){3,50}";
static ellm_tokenizer *tokenizer;

static ellm_status follow(const ellm_grammar *g, const char *text, ellm_error *err) {
  grammar_matcher *m;
  uint64_t mask[8];
  bool more, ends, possible;
  ELLM_TRY(grammar_matcher_create(g, &m, err));
  ellm_status status = ELLM_OK;
  for (; status == ELLM_OK && *text; text++) {
    status = grammar_matcher_next(m, mask, &more, &ends, err);
    if (status == ELLM_OK) status = grammar_matcher_bytes(m, text, 1, &possible, &ends, err);
    if (status == ELLM_OK) assert_true(possible);
  }
  grammar_matcher_free(m);
  return status;
}

static ellm_status play(ellm_error *err) {
  ellm_grammar *a = NULL, *b = NULL;
  ellm_status status = ellm_grammar_create_schema(tokenizer, schema, strlen(schema), "s", &a, err);
  if (status == ELLM_OK) status = ellm_grammar_create(tokenizer, rules, strlen(rules), "g", &b, err);
  if (status == ELLM_OK) status = follow(a, "{\"a\": \"ab\", \"b\": {\"a\":\"c\"}}", err);
  if (status == ELLM_OK) status = follow(b, "((azaaab", err);
  ellm_grammar_free(a);
  ellm_grammar_free(b);
  return status;
}

static void test_every_allocation(void **state) {
  (void)state;
  ellm_error err = {0};
  ASSERT_OK(play(ERR)); /* the vocabulary is there then */
  const long live = allocator.live;
  long n = 0;
  for (;; n++) {
    allocator_fail_after(n);
    const ellm_status status = play(&err);
    const bool failed = allocator.failed;
    allocator_recover();
    assert_int_equal(allocator.live, live);
    if (!failed) break;
    if (status == ELLM_OK) continue; /* where jansson took it as something else to do without */
    if (status != ELLM_ERR_IO) fail_msg("allocation %ld: %d %s", n, status, err.message);
    assert_non_null(strstr(err.message, "memory"));
  }
  assert_true(n > 200);
  ASSERT_OK(play(ERR));
}

/* One answer's failure is its own: the others of the grammar go on. */
static void test_shared(void **state) {
  (void)state;
  ellm_grammar *g;
  ellm_error err = {0};
  grammar_matcher *other;
  bool possible, ends;
  ASSERT_OK(ellm_grammar_create(tokenizer, rules, strlen(rules), "g", &g, ERR));
  ASSERT_OK(grammar_matcher_create(g, &other, ERR));
  for (long n = 0;; n++) {
    allocator_fail_after(n);
    const ellm_status status = follow(g, "((azaaab", &err);
    allocator_recover();
    if (status == ELLM_OK) break;
  }
  ASSERT_OK(grammar_matcher_bytes(other, "(aa)", 4, &possible, &ends, ERR));
  assert_true(ends);
  grammar_matcher_free(other);
  ellm_grammar_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation), cmocka_unit_test(test_shared)};
  tokenizer = tokenizer_of(NULL, NULL, 0);
  const int failed = cmocka_run_group_tests_name("grammars without memory", tests, NULL, NULL);
  ellm_tokenizer_free(tokenizer);
  return failed;
}
