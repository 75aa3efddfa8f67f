/* SPDX-License-Identifier: Apache-2.0 */
/* generation_config.json and tokenizer_config.json: what ends a turn, defaults of sampling, notes, not refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "arch/generation_config.h"

/* The notes of the last call, one behind the other. */
static char heard[2000];

static void take(void *user, const char *line) {
  (void)user;
  assert_true(strlen(heard) + strlen(line) + 2 < sizeof heard);
  strcat(strcat(heard, line), "\n");
}

static const ellm_notes notes = {take, NULL};

static config_text text_of(const char *json, const char *origin) {
  return (config_text){json, json != NULL ? strlen(json) : 0, origin};
}

static ellm_status parse(const char *generation, const char *model, int64_t class_eos, generation_config *g,
                         ellm_error *err) {
  const config_text first = text_of(generation, "generation_config.json"), second = text_of(model, "config.json");
  heard[0] = '\0';
  return generation_config_parse(&first, &second, class_eos, &notes, g, err);
}

static generation_config good(const char *generation, const char *model, int64_t class_eos) {
  generation_config g;
  ellm_error err = {0};
  if (parse(generation, model, class_eos, &g, &err) != ELLM_OK) fail_msg("%s", err.message);
  return g;
}

static void refused(const char *generation, const char *model, const char *message) {
  generation_config g;
  ellm_error err = {0};
  assert_int_equal(parse(generation, model, -1, &g, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, message) == NULL) fail_msg("%s", err.message);
}

static void ids(const generation_config *g, size_t n, uint32_t first, uint32_t last) {
  assert_int_equal(g->n_eos, n);
  if (n == 0) return;
  assert_int_equal(g->eos_ids[0], first);
  assert_int_equal(g->eos_ids[n - 1], last);
}

static void test_eos(void **state) {
  (void)state;
  generation_config g = good("{\"eos_token_id\":[5,6,5]}", "{\"eos_token_id\":9}", 2);
  ids(&g, 2, 5, 6);
  g = good("{\"eos_token_id\":null}", "{\"eos_token_id\":[9,10]}", 2);
  ids(&g, 2, 9, 10);
  g = good(NULL, "{\"eos_token_id\":3}", 2);
  ids(&g, 1, 3, 3);
  g = good("{}", "{}", 2); /* the class's, where nobody says anything */
  ids(&g, 1, 2, 2);
  g = good(NULL, NULL, 32000);
  ids(&g, 1, 32000, 32000);
  g = good("{}", "{\"eos_token_id\":null}", 2); /* null says that there is none */
  ids(&g, 0, 0, 0);
  g = good("{\"eos_token_id\":-1}", "{\"eos_token_id\":-1}", 2);
  ids(&g, 0, 0, 0);
  g = good("{}", "{}", -1);
  ids(&g, 0, 0, 0);
  assert_string_equal(heard, "");

  refused("{\"eos_token_id\":\"</s>\"}", NULL, "generation_config.json: eos_token_id is \"</s>\"");
  refused("{\"eos_token_id\":[1,-2]}", NULL, "eos_token_id");
  refused("{\"eos_token_id\":NaN}", NULL, "eos_token_id is NaN");
  refused("{\"eos_token_id\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}", NULL, "more than 16");
  /* ids that config.json gives are config.json's fault */
  refused(NULL, "{\"eos_token_id\":\"x\"}",
          "config.json: eos_token_id is \"x\", a token id or a list of them is expected");
}

static void test_add(void **state) {
  (void)state;
  generation_config g = good("{\"eos_token_id\":256}", NULL, -1);
  assert_true(generation_config_add_eos(&g, 258));
  assert_true(generation_config_add_eos(&g, 256));
  ids(&g, 2, 256, 258);
  for (uint32_t i = 0; i < CONFIG_MAX_EOS - 2; i++) assert_true(generation_config_add_eos(&g, i));
  assert_false(generation_config_add_eos(&g, 999));
  assert_true(generation_config_add_eos(&g, 258));
  assert_int_equal(g.n_eos, CONFIG_MAX_EOS);
}

static void test_sampling(void **state) {
  (void)state;
  generation_config g = good(NULL, NULL, -1);
  assert_int_equal(g.do_sample, -1);
  assert_int_equal(g.top_k, 50); /* as Transformers has it */
  assert_true(g.temperature < 0 && g.top_p < 0 && g.min_p < 0 && g.repetition_penalty < 0);
  g = good("{\"do_sample\":true,\"temperature\":0.6,\"top_p\":0.9,\"min_p\":0.05,\"top_k\":20,"
           "\"repetition_penalty\":1.1}", NULL, -1);
  assert_int_equal(g.do_sample, 1);
  assert_true(g.temperature == 0.6 && g.top_p == 0.9 && g.min_p == 0.05 && g.repetition_penalty == 1.1);
  assert_int_equal(g.top_k, 20);
  g = good("{\"do_sample\":false,\"temperature\":null,\"top_k\":null,\"top_p\":null}", NULL, -1);
  assert_int_equal(g.do_sample, 0);
  assert_true(g.temperature < 0 && g.top_p < 0);
  assert_int_equal(g.top_k, 50);
  assert_int_equal(good("{\"top_k\":0,\"temperature\":0}", NULL, -1).top_k, 0);
  assert_string_equal(heard, "");
}

/* A value of sampling that makes no sense is said and counts as not given; nothing else changes. */
static void test_notes(void **state) {
  (void)state;
  static const struct { const char *field, *value; } wrong[] = {
      {"temperature", "-1"},  {"temperature", "NaN"}, {"top_p", "1.5"},       {"top_p", "-0.5"},
      {"min_p", "\"a\""},     {"top_k", "-1"},        {"top_k", "4000000000"}, {"top_k", "1.5"},
      {"repetition_penalty", "0"}, {"repetition_penalty", "Infinity"},         {"do_sample", "1"},
      {"top_k", "123456789012345678901234567890"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char json[200], line[200];
    strcat(strcat(strcat(strcat(strcpy(json, "{\"eos_token_id\":7,\""), wrong[i].field), "\":"), wrong[i].value), "}");
    strcat(strcat(strcpy(line, "generation_config.json: "), wrong[i].field), " is ");
    const generation_config g = good(json, NULL, -1);
    if (strncmp(heard, line, strlen(line)) != 0) fail_msg("%s: %s", json, heard);
    assert_non_null(strstr(heard, ": ignored\n"));
    assert_int_equal(g.do_sample, -1);
    assert_int_equal(g.top_k, 50);
    assert_true(g.temperature < 0 && g.top_p < 0 && g.min_p < 0 && g.repetition_penalty < 0);
    ids(&g, 1, 7, 7);
  }
  static const char *const unreadable[] = {"[]", "{\"top_k\":", "", "3"};
  for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
    const generation_config g = good(unreadable[i], "{\"eos_token_id\":4}", -1);
    assert_non_null(strstr(heard, "treated as missing"));
    ids(&g, 1, 4, 4);
  }
}

/* eos_token and what added_tokens_decoder says about its id. */
static void tokenizer(const char *json, const char *content, int64_t id, const char *note) {
  const config_text text = text_of(json, "tokenizer_config.json");
  char *got;
  int64_t got_id;
  heard[0] = '\0';
  assert_int_equal(tokenizer_config_eos(&text, &notes, &got, &got_id, NULL), ELLM_OK);
  if (content == NULL) assert_null(got);
  else assert_string_equal(got, content);
  assert_int_equal(got_id, id);
  if (note == NULL) assert_string_equal(heard, "");
  else if (strstr(heard, note) == NULL) fail_msg("%s", heard);
  free(got);
}

static void test_tokenizer_config(void **state) {
  (void)state;
  tokenizer(NULL, NULL, -1, NULL);
  tokenizer("{}", NULL, -1, NULL);
  tokenizer("{\"eos_token\":null}", NULL, -1, NULL);
  tokenizer("{\"eos_token\":\"<|im_end|>\",\"model_max_length\":1000000000000000019884624838656}", "<|im_end|>", -1,
            NULL);
  tokenizer("{\"eos_token\":{\"__type\":\"AddedToken\",\"content\":\"</s>\",\"lstrip\":false}}", "</s>", -1, NULL);
#define DECODER "\"added_tokens_decoder\":{\"257\":{\"content\":\"a\"},\"258\":{\"content\":\"<|im_end|>\"}"
  tokenizer("{" DECODER "},\"eos_token\":\"<|im_end|>\"}", "<|im_end|>", 258, NULL);
  tokenizer("{" DECODER "},\"eos_token\":\"b\"}", "b", -1, NULL);
  /* two ids: the tokenizer decides */
  tokenizer("{" DECODER ",\"259\":{\"content\":\"a\"}},\"eos_token\":\"a\"}", "a", -1, NULL);
  tokenizer("{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}},\"eos_token\":\"a\"}", "a", -1, NULL);
  tokenizer("{\"added_tokens_decoder\":{\"-1\":{\"content\":\"a\"}},\"eos_token\":\"a\"}", "a", -1, NULL);
  tokenizer("{\"added_tokens_decoder\":{\"99999999999\":{\"content\":\"a\"}},\"eos_token\":\"a\"}", "a", -1, NULL);
  tokenizer("{\"added_tokens_decoder\":[1],\"eos_token\":\"a\"}", "a", -1, NULL);
  tokenizer("{\"eos_token\":7}", NULL, -1, "eos_token is 7, a token is expected");
  tokenizer("{\"eos_token\":NaN}", NULL, -1, "eos_token is NaN");
  tokenizer("{\"eos_token\":{\"content\":1}}", NULL, -1, "eos_token is {\"content\":1}");
  tokenizer("{\"eos_token\":\"a\\u0000b\"}", NULL, -1, "eos_token");
  tokenizer("[]", NULL, -1, NULL);
  tokenizer("{", NULL, -1, "tokenizer_config.json: not valid JSON");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_eos),   cmocka_unit_test(test_add),              cmocka_unit_test(test_sampling),
      cmocka_unit_test(test_notes), cmocka_unit_test(test_tokenizer_config),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
