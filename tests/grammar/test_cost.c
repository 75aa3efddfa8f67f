/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a grammar costs: a schema of 50 fields over a vocabulary of 150,000, by processor time. The limits are some ten
 * times what docs/GRAMMARS.md has measured, so that they are about the order only.
 */
#include <time.h>

#include "grammar_testing.h"
#include "sanitized.h"

enum { WORDS = 150000, FIELDS = 50, SLOWER = SANITIZED ? 30 : 1 };

static char words[WORDS][16];

static double processor_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Words as vocabularies have them: letters, half of them behind a space, some with a piece of JSON; each has its number. */
static ellm_tokenizer *large_tokenizer(void) {
  static const char *texts[WORDS];
  static const char *const pieces[] = {"\":", "\",", "\": ", "\", \"", "{\"", "[\"", "\"]", "},", "],", ",\n", "\"}", "\n  "};
  enum { PIECES = sizeof pieces / sizeof *pieces };
  for (size_t i = 0; i < WORDS; i++) {
    char *word = words[i];
    texts[i] = word;
    if (i < PIECES) {
      strcpy(word, pieces[i]);
      continue;
    }
    if (random_below(2)) *word++ = ' ';
    for (uint32_t n = 2 + random_below(4); n > 0; n--)
      *word++ = random_below(40) ? (char)('a' + random_below(26)) : "\",.:-_/("[random_below(8)];
    snprintf(word, 8, "%zx", i);
  }
  return tokenizer_of(texts, NULL, WORDS);
}

static void print_schema(ellm_buffer *schema) {
  static const char *const kinds[] = {
      "{\"type\": \"string\"}", "{\"type\": \"integer\"}", "{\"enum\": [\"red\", \"green\"]}", "{\"type\": [\"string\", \"null\"]}",
      "{\"type\": \"array\", \"items\": {\"type\": \"string\", \"maxLength\": 200}}",
      ("{\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"number\"}, \"y\": {\"type\": \"string\"}}, \"required\": "
       "[\"x\", \"y\"], \"additionalProperties\": false}")};
  ellm_buffer_print(schema, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
  for (int i = 0; i < FIELDS; i++) ellm_buffer_print(schema, "%s\"field_%d\": %s", i > 0 ? ", " : "", i, kinds[i % 6]);
  ellm_buffer_print(schema, "}, \"required\": [");
  for (int i = 0; i < FIELDS; i++) ellm_buffer_print(schema, "%s\"field_%d\"", i > 0 ? ", " : "", i);
  ellm_buffer_print(schema, "]}");
}

/* A random answer; seconds a token. */
static double answer(const ellm_grammar *g, uint64_t seed, size_t *tokens) {
  const uint32_t n = 256 + WORDS;
  grammar_matcher *m;
  uint64_t *mask = calloc(grammar_mask_words(g) + 1, sizeof *mask);
  double seconds = 0;
  random_state = seed;
  *tokens = 0;
  ASSERT_OK(grammar_matcher_create(g, &m, ERR));
  for (bool more, ends;; (*tokens)++) {
    const double start = processor_seconds();
    ASSERT_OK(grammar_matcher_next(m, mask, &more, &ends, ERR));
    seconds += processor_seconds() - start;
    if (!more) break;
    uint32_t id = random_below(6) == 0 ? 256 + random_below(12) : random_below(n); /* strings are to end */
    while (!(mask[id / 64] >> id % 64 & 1)) id = (id + 1) % n;
    const double again = processor_seconds();
    ASSERT_OK(grammar_matcher_accept(m, id, ERR));
    seconds += processor_seconds() - again;
  }
  grammar_matcher_free(m);
  free(mask);
  return seconds / (double)*tokens;
}

static void test_cost(void **state) {
  (void)state;
  ellm_buffer schema = {0};
  ellm_grammar *g;
  size_t tokens;
  ellm_tokenizer *tokenizer = large_tokenizer();
  print_schema(&schema);
  double start = processor_seconds();
  ASSERT_OK(ellm_grammar_create_schema(tokenizer, (const char *)schema.data, schema.size, "s", &g, ERR));
  const double first = processor_seconds() - start;
  ellm_grammar_free(g);
  start = processor_seconds();
  ASSERT_OK(ellm_grammar_create_schema(tokenizer, (const char *)schema.data, schema.size, "s", &g, ERR));
  const double second = processor_seconds() - start;
  const double fresh = answer(g, 88172645463325252u, &tokens), used = answer(g, 88172645463325252u, &tokens);
  print_message("%zu tokens: %.1f us a token, %.1f us when masks are there; the tree of the vocabulary %.0f ms, the "
                "schema %.2f ms\n", tokens, 1e6 * fresh, 1e6 * used, 1e3 * (first - second), 1e3 * second);
  assert_true(second < 5e-3 * SLOWER);
  assert_true(fresh < 500e-6 * SLOWER && used < 50e-6 * SLOWER);
  ellm_grammar_free(g);
  ellm_tokenizer_free(tokenizer);
  ellm_buffer_free(&schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cost)};
  return cmocka_run_group_tests_name("the cost of grammars", tests, NULL, NULL);
}
