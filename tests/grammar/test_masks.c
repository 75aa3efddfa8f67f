/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks against a matcher that is as plain as can be: it goes through the tree of expressions, tries everything, and is
 * asked for every token. Along random walks, so that tokens begin and end inside of characters, rules and counters.
 */
#include <pthread.h>

#include "grammar/gbnf.h"
#include "grammar/schema.h"
#include "grammar_testing.h"
#include "text/utf8.h"

/* ----------------------------------------------------------- the plain matcher */

typedef struct rest rest; /* what is to come after an expression */
struct rest {
  const expr *what;       /* the first of it; NULL: the end of the text */
  uint32_t from;          /* of a sequence: its next child; of a repetition: rounds done */
  size_t began;           /* of a repetition: where the round began */
  const rest *next;
};

typedef struct plain { const grammar_rules *rules; const char *text; size_t bytes; verdict best; long steps; } plain;

static void follow(plain *p, const rest *r, size_t at);

static bool in_class(const plain *p, const expr *e, uint32_t character) {
  for (uint32_t i = 0; i < e->count; i++) {
    const code_range *range = &p->rules->ranges[e->first + i];
    if (range->first <= character && character <= range->last) return true;
  }
  return false;
}

/* Some character of the class begins with these bytes, which are valid so far. */
static bool may_begin(const plain *p, const expr *e, const char *text, size_t bytes) {
  if (bytes == 0) return e->count > 0;
  const size_t length = utf8_length(text[0]);
  const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  uint32_t first = (uint8_t)text[0] & (0xFFu >> (length + 1)), last = first;
  for (size_t i = 1; i < length; i++) {
    first = first << 6 | (i < bytes ? (uint8_t)text[i] & 0x3Fu : 0);
    last = last << 6 | (i < bytes ? (uint8_t)text[i] & 0x3Fu : 0x3Fu);
  }
  if (first < least) first = least;
  for (uint32_t i = 0; i < e->count; i++) {
    const code_range *range = &p->rules->ranges[e->first + i];
    if (range->first <= last && range->last >= first) return true;
  }
  return false;
}

static void try_expr(plain *p, const expr *e, const rest *next, size_t at) {
  const grammar_rules *r = p->rules;
  const expr_id *children = r->children + e->first;
  if (p->best == WHOLE || p->steps++ > 2000000) return;
  switch ((expr_kind)e->kind) {
    case EXPR_LITERAL:
      for (uint32_t i = 0; i < e->count; i++, at++) {
        if (at == p->bytes) {
          if (p->best == WRONG) p->best = BEGINNING;
          return;
        }
        if (p->text[at] != (char)r->bytes.data[e->first + i]) return;
      }
      follow(p, next, at);
      return;
    case EXPR_CLASS: {
      uint32_t character;
      size_t length;
      if (e->count == 0) return;
      const utf8_kind kind = at == p->bytes ? UTF8_INCOMPLETE
                                            : utf8_next(p->text + at, p->bytes - at, &character, &length);
      if (kind == UTF8_CHARACTER && in_class(p, e, character)) follow(p, next, at + length);
      if (kind == UTF8_INCOMPLETE && p->best == WRONG && may_begin(p, e, p->text + at, p->bytes - at))
        p->best = BEGINNING;
      return;
    }
    case EXPR_SEQUENCE: follow(p, &(rest){e, 0, at, next}, at); return;
    case EXPR_CHOICE:
      for (uint32_t i = 0; i < e->count; i++) try_expr(p, &r->exprs[children[i]], next, at);
      return;
    case EXPR_REPEAT: follow(p, &(rest){e, 0, SIZE_MAX, next}, at); return;
    case EXPR_CALL: try_expr(p, &r->exprs[r->rules[e->first].body], next, at); return;
  }
}

static void follow(plain *p, const rest *r, size_t at) {
  if (p->best == WHOLE || p->steps++ > 2000000) return;
  if (!r->what) {
    if (at == p->bytes) p->best = WHOLE;
    return;
  }
  const expr *e = r->what;
  const expr *exprs = p->rules->exprs;
  const expr_id *children = p->rules->children + e->first;
  if (e->kind == EXPR_SEQUENCE) {
    if (r->from == e->count) follow(p, r->next, at);
    else try_expr(p, &exprs[children[r->from]], &(rest){e, r->from + 1, at, r->next}, at);
    return;
  }
  const bool empty_round = r->began == at; /* counts, and is not tried again */
  if (r->from >= e->min || empty_round) follow(p, r->next, at);
  if (!empty_round && (e->max == RULES_NO_LIMIT || r->from < e->max))
    try_expr(p, &exprs[children[0]], &(rest){e, r->from + 1, at, r->next}, at);
}

static verdict plain_verdict(const grammar_rules *rules, const char *text, size_t bytes) {
  plain p = {rules, text, bytes, WRONG, 0};
  const rest end = {NULL, 0, 0, NULL};
  try_expr(&p, &rules->exprs[rules->rules[rules->root].body], &end, 0);
  assert_true(p.steps <= 2000000);
  return p.best;
}

/* ------------------------------------------------------------------- the tokens */

enum { TOKENS = 700 };
static char token_texts[TOKENS][12];
static ellm_tokenizer *tokenizer;

static bool is_new(size_t n, const char *text) {
  if (strlen(text) < 2) return false;
  for (size_t i = 0; i < n; i++)
    if (strcmp(token_texts[i], text) == 0) return false;
  return true;
}

static int make_tokenizer(void **state) {
  (void)state;
  static const char *const parts[] = {"\"",  ",",  ":", "{",  "}",     "[",        "]",  " ",    "\n", "a",    "b", "x",
                                      "1",   "2",  "0", "-",  "true",  "null",     "\\", "u00",  "e",  "\xC3", "\xA9",
                                      "\xE2\x82", "\xAC", "ab", "name", "\xF0\x9F", "\x98\x80", ".", "\"a\"", "E+"};
  const char *texts[TOKENS];
  for (size_t n = 0; n < TOKENS;) {
    char *text = token_texts[n];
    *text = '\0';
    for (uint32_t k = 1 + random_below(4); k > 0; k--) {
      const char *part = parts[random_below(sizeof parts / sizeof *parts)];
      if (strlen(text) + strlen(part) < sizeof token_texts[0]) strcat(text, part);
    }
    if (is_new(n, text)) texts[n++] = text;
  }
  tokenizer = tokenizer_of(texts, NULL, TOKENS);
  return 0;
}

static int free_tokenizer(void **state) {
  (void)state;
  ellm_tokenizer_free(tokenizer);
  return 0;
}

static const char *token(uint32_t id, char byte[2]) {
  if (id >= 256) return token_texts[id - 256];
  byte[0] = (char)id;
  byte[1] = '\0';
  return byte;
}

/* --------------------------------------------------------------------- the walks */

/* The mask of all tokens after `text`, and whether it may end, by the plain matcher. */
static void check_mask(const grammar_rules *rules, const char *text, size_t bytes, const uint64_t *mask, bool ends) {
  char all[600], byte[2];
  memcpy(all, text, bytes);
  assert_int_equal(ends, plain_verdict(rules, text, bytes) == WHOLE);
  for (uint32_t id = 0; id < 256 + TOKENS; id++) {
    const char *more = token(id, byte);
    const size_t n = id < 256 ? 1 : strlen(more);
    memcpy(all + bytes, more, n);
    const bool expected = plain_verdict(rules, all, bytes + n) != WRONG;
    const bool is = mask[id / 64] >> id % 64 & 1;
    if (is != expected) fail_msg("after \"%.*s\" token \"%s\" is %d, not %d", (int)bytes, text, more, is, expected);
  }
  assert_false(mask[(256 + TOKENS) / 64] >> (256 + TOKENS) % 64 & 1); /* the special token */
}

static void walk(const grammar_rules *rules, const ellm_grammar *g, int steps) {
  grammar_matcher *m;
  uint64_t mask[(256 + TOKENS) / 64 + 2];
  char text[600];
  size_t bytes = 0;
  bool more, ends;
  ASSERT_OK(grammar_matcher_create(g, &m, ERR));
  for (int i = 0; i < steps && bytes < 40; i++) {
    ASSERT_OK(grammar_matcher_next(m, mask, &more, &ends, ERR));
    check_mask(rules, text, bytes, mask, ends);
    if (!more) break;
    uint32_t id = random_below(256 + TOKENS);
    while (!(mask[id / 64] >> id % 64 & 1)) id = (id + 1) % (256 + TOKENS);
    char byte[2];
    const char *taken = token(id, byte);
    const size_t n = id < 256 ? 1 : strlen(taken);
    memcpy(text + bytes, taken, n);
    bytes += n;
    ASSERT_OK(grammar_matcher_accept(m, id, ERR));
  }
  grammar_matcher_free(m);
}

static void check_grammar(const char *text, bool schema) {
  grammar_rules rules;
  ellm_grammar *g;
  ASSERT_OK(rules_init(&rules, ERR));
  if (schema) {
    ASSERT_OK(schema_read(&rules, text, strlen(text), "s", ERR));
    ASSERT_OK(ellm_grammar_create_schema(tokenizer, text, strlen(text), "s", &g, ERR));
  } else {
    ASSERT_OK(gbnf_read(&rules, text, strlen(text), "g", ERR));
    ASSERT_OK(ellm_grammar_create(tokenizer, text, strlen(text), "g", &g, ERR));
  }
  for (int i = 0; i < 6; i++) walk(&rules, g, 10);
  ellm_grammar_free(g);
  rules_free(&rules);
}

static void test_gbnf_masks(void **state) {
  (void)state;
  static const char *const texts[] = {
      ("root ::= \"{\" (pair (\",\" pair)*)? \"}\"\npair ::= string \":\" value\nvalue ::= string | root | num\n"
       "string ::= \"\\\"\" [^\"\\\\]* \"\\\"\"\nnum ::= \"-\"? [0-9]+ (\".\" [0-9]+)?"),
      "root ::= [ab]{2,5} x{0,3} (\"1\" | \"12\" | \"122\"){1,4} \".\"?\nx ::= \"x\" | \"xa\" | \"ab\"",
      "root ::= [\\u00e9\\u20AC]+ [\\U0001F600-\\U0001F640]? [^\\u00e9]{3}",
      "root ::= \"(\" root \")\" root | \"[\" root? \"]\" | \"a\" tail\ntail ::= \"b\" tail | \"x\" tail | \"\"",
      "root ::= (item item?){2,4} \"1\"\nitem ::= \"a\"? \"b\"? | \"x\" [1]{0,40}"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_grammar(texts[i], false);
}

static void test_schema_masks(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"maxLength\": 3}, \"b\": {\"type\": "
      "\"integer\"}, \"name\": {\"enum\": [\"a\", \"ab\", \"abx\", 1, null]}}, \"required\": [\"b\"]}",
      "{\"type\": \"array\", \"items\": {\"type\": [\"boolean\", \"null\", \"number\"]}, \"minItems\": 2, \"maxItems\": 4}",
      "{\"type\": \"object\", \"properties\": {\"a\": {\"const\": 1}, \"ab\": true}, \"additionalProperties\": "
      "{\"type\": \"null\"}}",
      "true"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_grammar(texts[i], true);
}

/* A grammar forgets what nobody needs, and answers that are going on do not notice. */
static void test_forgetting(void **state) {
  (void)state;
  pda machine;
  automaton a;
  grammar_rules rules;
  static const char text[] = "root ::= \"(\" root \")\" root | [a-c]{0,9} | \"[\" x{2,5} \"]\"\nx ::= [ab] | \"[\" root \"]\"";
  ASSERT_OK(rules_init(&rules, ERR));
  ASSERT_OK(gbnf_read(&rules, text, strlen(text), "g", ERR));
  ASSERT_OK(pda_create(&rules, "g", &machine, ERR));
  ASSERT_OK(automaton_init(&machine, &a, ERR));
  uint32_t first, second, before;
  ASSERT_OK(automaton_start(&a, &first, ERR));
  second = first;
  for (const char *c = "((a)[b["; *c; c++) ASSERT_OK(automaton_step(&a, first, (uint8_t)*c, &first, ERR));
  for (const char *c = "[a"; *c; c++) ASSERT_OK(automaton_step(&a, second, (uint8_t)*c, &second, ERR));
  uint32_t *keep[] = {&first, &second};
  before = (uint32_t)a.n_sets;
  ASSERT_OK(automaton_compact(&a, keep, 2, ERR));
  assert_true(a.n_sets < before);
  for (const char *c = "a]])"; *c; c++) ASSERT_OK(automaton_step(&a, first, (uint8_t)*c, &first, ERR));
  assert_true(a.sets[first].accepts);
  for (const char *c = "b]"; *c; c++) ASSERT_OK(automaton_step(&a, second, (uint8_t)*c, &second, ERR));
  assert_true(a.sets[second].accepts);
  automaton_free(&a);
  pda_free(&machine);
  rules_free(&rules);
}

/* A limit is kept, with the same masks; forgetting gives memory back. */
static void test_limit(void **state) {
  (void)state;
  static const char text[] = "{\"type\": \"array\", \"items\": {\"type\": [\"object\", \"string\", \"number\"]}}";
  enum { LIMIT = 90 << 10 };
  ellm_grammar *g[2];
  grammar_matcher *m[2];
  uint64_t mask[2][(256 + TOKENS) / 64 + 2];
  bool more[2], ends[2];
  size_t most = 0;
  for (int i = 0; i < 2; i++) ASSERT_OK(ellm_grammar_create_schema(tokenizer, text, strlen(text), "s", &g[i], ERR));
  assert_int_equal(ellm_grammar_limit(g[0], ellm_grammar_bytes(g[0]), ERR), ELLM_ERR_INPUT);
  assert_non_null(strstr(test_err.message, "the grammar is too large"));
  ASSERT_OK(ellm_grammar_limit(g[0], LIMIT, ERR));
  for (uint32_t k = 0; k < 60; k++) {
    for (int i = 0; i < 2; i++) ASSERT_OK(grammar_matcher_create(g[i], &m[i], ERR));
    for (uint32_t n = 0; n < 60; n++) {
      for (int i = 0; i < 2; i++) ASSERT_OK(grammar_matcher_next(m[i], mask[i], &more[i], &ends[i], ERR));
      assert_true(more[0] == more[1] && ends[0] == ends[1]);
      assert_memory_equal(mask[0], mask[1], (256 + TOKENS) / 64 * 8);
      if (ellm_grammar_bytes(g[0]) > most) most = ellm_grammar_bytes(g[0]);
      uint32_t id = random_below(256 + TOKENS);
      while (more[0] && !(mask[0][id / 64] >> id % 64 & 1)) id = (id + 1) % (256 + TOKENS);
      if (!more[0]) break;
      for (int i = 0; i < 2; i++) ASSERT_OK(grammar_matcher_accept(m[i], id, ERR));
    }
    for (int i = 0; i < 2; i++) grammar_matcher_free(m[i]);
  }
  assert_true(most <= LIMIT && ellm_grammar_bytes(g[1]) > LIMIT);
  ellm_grammar_forget(g[1]);
  assert_true(ellm_grammar_bytes(g[1]) < LIMIT / 2);
  for (int i = 0; i < 2; i++) ellm_grammar_free(g[i]);
}

/* Answers of several threads share a grammar. */
static void *walk_alone(void *shared) {
  const ellm_grammar *g = shared;
  uint64_t mask[(256 + TOKENS) / 64 + 2], hash = 0;
  for (uint32_t k = 0; k < 20; k++) {
    grammar_matcher *m;
    bool more = true, ends;
    if (grammar_matcher_create(g, &m, NULL) != ELLM_OK) return NULL;
    for (uint32_t i = 0; i < 30 && more; i++) {
      if (grammar_matcher_next(m, mask, &more, &ends, NULL) != ELLM_OK) return NULL;
      uint32_t id = (k * 131 + i * 37) % (256 + TOKENS);
      while (more && !(mask[id / 64] >> id % 64 & 1)) id = (id + 1) % (256 + TOKENS);
      if (more && grammar_matcher_accept(m, id, NULL) != ELLM_OK) return NULL;
      hash = hash * 31 + id;
    }
    grammar_matcher_free(m);
  }
  return (void *)(uintptr_t)(hash | 1);
}

static void test_threads(void **state) {
  (void)state;
  static const char text[] = "{\"type\": \"object\"}";
  ellm_grammar *g;
  pthread_t threads[4];
  void *results[4];
  ASSERT_OK(ellm_grammar_create_schema(tokenizer, text, strlen(text), "s", &g, ERR));
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, walk_alone, g), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], &results[i]);
  for (int i = 0; i < 4; i++) assert_true(results[i] != NULL && results[i] == results[0]);
  ellm_grammar_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gbnf_masks), cmocka_unit_test(test_schema_masks),
                                     cmocka_unit_test(test_forgetting), cmocka_unit_test(test_limit),
                                     cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests_name("masks of grammars", tests, make_tokenizer, free_tokenizer);
}
