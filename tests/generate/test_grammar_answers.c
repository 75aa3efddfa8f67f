/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a model that follow a grammar: under random schemas they are JSON and valid, by a small validator that
 * stands here; they are the same whatever is computed with them; and how they end.
 */
#include "model/model_testing.h"
#include "model/random.h"
#include "sanitized.h"

enum { SCHEMAS = SANITIZED ? 8 : 24, LIMIT = 600 };

static random_state state;
static uint32_t below(uint32_t n) { return (uint32_t)(random_unit(&state) * n); }

/* ---------------------------------------------------------------- random schemas */

static json_t *random_schema(int depth);

static json_t *random_object(int depth) {
  static const char *const names[] = {"name", "n", "a b", "\"q\"", "caf\xC3\xA9", "name2", "x/y"};
  json_t *properties = json_object(), *required = json_array(), *schema = json_object();
  for (uint32_t i = 1 + below(4); i > 0; i--) {
    const char *name = names[below(7)];
    if (json_object_get(properties, name)) continue;
    json_object_set_new(properties, name, random_schema(depth - 1));
    if (below(4) > 0) json_array_append_new(required, json_string(name));
  }
  json_object_set_new(schema, "type", json_string("object"));
  json_object_set_new(schema, "properties", properties);
  json_object_set_new(schema, "required", required);
  if (below(3) > 0) json_object_set_new(schema, "additionalProperties", json_false());
  else if (below(2)) json_object_set_new(schema, "additionalProperties", json_pack("{s:s}", "type", "boolean"));
  return schema;
}

static json_t *random_array(int depth) {
  const int least = (int)below(3);
  return json_pack("{s:s, s:o, s:i, s:i}", "type", "array", "items", random_schema(depth - 1), "minItems", least,
                   "maxItems", least + (int)below(3));
}

static json_t *random_schema(int depth) {
  switch (below(depth > 0 ? 11 : 7)) {
    case 0: return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", (int)below(3), "maxLength", 3 + (int)below(9));
    case 1: return json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", -(int)below(120), "maximum", (int)below(2000));
    case 2: return json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", -0.5, "exclusiveMaximum", 0.25 + below(100));
    case 3: return json_pack("{s:[s, s, i, f, n, b]}", "enum", "red", "re", 12, 1.5, 1);
    case 4: return json_pack("{s:[s, s]}", "type", "boolean", "null");
    case 5: return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[a-c]{1,3}-\\d{1,4}$");
    case 6: return json_pack("{s:{s:b}}", "const", "k", 1);
    case 7: return random_array(depth);
    case 8: return json_pack("{s:[o, o]}", "anyOf", random_schema(depth - 1), random_schema(depth - 1));
    default: return random_object(depth);
  }
}

/* ------------------------------------------------------------------- the validator */

static bool valid(const json_t *schema, const json_t *value);

static bool has_type(const char *type, const json_t *value) {
  if (strcmp(type, "number") == 0) return json_is_number(value);
  if (strcmp(type, "integer") == 0) return json_is_integer(value);
  if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
  if (strcmp(type, "null") == 0) return json_is_null(value);
  if (strcmp(type, "string") == 0) return json_is_string(value);
  return strcmp(type, "array") == 0 ? json_is_array(value) : json_is_object(value);
}

static size_t characters(const char *text) {
  size_t n = 0;
  for (; *text; text++) n += (*text & 0xC0) != 0x80;
  return n;
}

/* ^[a-c]{1,3}-\d{1,4}$, the one pattern here */
static bool fits_pattern(const char *text) {
  const size_t letters = strspn(text, "abc");
  const char *digits = text + letters + 1;
  return strlen(digits) <= 4 && letters >= 1 && letters <= 3 && text[letters] == '-' && *digits && digits[strspn(digits, "0123456789")] == '\0';
}

static bool valid_object(const json_t *schema, const json_t *value) {
  const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
  const json_t *additional = json_object_get(schema, "additionalProperties");
  const char *name;
  json_t *part;
  for (size_t i = 0; i < json_array_size(required); i++)
    if (!json_object_get(value, json_string_value(json_array_get(required, i)))) return false;
  json_object_foreach((json_t *)value, name, part) {
    const json_t *its = json_object_get(properties, name);
    if (!its) its = additional;
    if (json_is_false(its) || (its && !valid(its, part))) return false;
  }
  return true;
}

static double bound(const json_t *schema, const char *field, double otherwise) {
  const json_t *value = json_object_get(schema, field);
  return value ? json_number_value(value) : otherwise;
}

static bool valid(const json_t *schema, const json_t *value) {
  const json_t *type = json_object_get(schema, "type"), *list = json_object_get(schema, "enum");
  const json_t *one = json_object_get(schema, "const"), *any = json_object_get(schema, "anyOf");
  bool good = !any && !list && !json_is_array(type);
  for (size_t i = 0; i < json_array_size(any); i++) good |= valid(json_array_get(any, i), value);
  for (size_t i = 0; i < json_array_size(list); i++) good |= json_equal(json_array_get(list, i), value);
  for (size_t i = 0; i < json_array_size(type); i++) good |= has_type(json_string_value(json_array_get(type, i)), value);
  if (!good || (one && !json_equal(one, value))) return false;
  if (json_is_string(type) && !has_type(json_string_value(type), value)) return false;
  if (json_is_string(value)) {
    const double n = (double)characters(json_string_value(value));
    if (n < bound(schema, "minLength", 0) || n > bound(schema, "maxLength", 1e9)) return false;
    return !json_object_get(schema, "pattern") || fits_pattern(json_string_value(value));
  }
  if (json_is_number(value)) {
    const double n = json_number_value(value);
    return n >= bound(schema, "minimum", -1e99) && n <= bound(schema, "maximum", 1e99) &&
           n < bound(schema, "exclusiveMaximum", 1e99);
  }
  if (json_is_array(value)) {
    const double n = (double)json_array_size(value);
    if (n < bound(schema, "minItems", 0) || n > bound(schema, "maxItems", 1e9)) return false;
    for (size_t i = 0; i < json_array_size(value); i++)
      if (!valid(json_object_get(schema, "items"), json_array_get(value, i))) return false;
  }
  return !json_is_object(value) || !json_object_get(schema, "properties") || valid_object(schema, value);
}

/* ------------------------------------------------------------------------ answers */

static const ellm_tokenizer *tokenizer_of_model(ellm_model *model) {
  const ellm_tokenizer *tokenizer;
  ASSERT_OK(ellm_model_tokenizer(model, &tokenizer, ERR));
  return tokenizer;
}

static ellm_grammar *schema_grammar(ellm_model *model, const json_t *schema) {
  ellm_grammar *grammar;
  char *text = json_dumps(schema, 0);
  ASSERT_OK(ellm_grammar_create_schema(tokenizer_of_model(model), text, strlen(text), text, &grammar, ERR));
  free(text);
  return grammar;
}

static ellm_answer *ask(ellm_generator *g, const ellm_grammar *grammar, float temperature, uint64_t seed, size_t limit,
                        bool ignore_end) {
  static const uint32_t prompt[] = {1, 50, 60};
  ellm_sampling sampling;
  ellm_request request;
  ellm_answer *answer;
  ellm_sampling_init(&sampling);
  sampling.temperature = temperature;
  sampling.top_p = 0.95f;
  sampling.seed = seed;
  ellm_request_init(&request);
  request.prompt = prompt;
  request.n_prompt = 3;
  request.limit = limit;
  request.sampling = &sampling;
  request.grammar = grammar;
  request.ignore_end = ignore_end;
  ASSERT_OK(ellm_generator_add(g, &request, &answer, ERR));
  return answer;
}

static ellm_end end_of(const ellm_answer *answer) {
  ellm_answer_info info;
  ellm_answer_get_info(answer, &info);
  return info.end;
}

static ellm_generator *open_generator(ellm_model **model) {
  ellm_model_options options;
  ellm_generator *g;
  ellm_model_options_init(&options);
  options.threads = 2;
  ASSERT_OK(ellm_model_open(STORIES_FOLDER, &options, model, ERR));
  ASSERT_OK(ellm_generator_create(*model, NULL, &g, ERR));
  return g;
}

static void test_schemas(void **unused) {
  (void)unused;
  ellm_model *model;
  ellm_generator *g = open_generator(&model);
  json_t *schemas[SCHEMAS];
  ellm_answer *answers[SCHEMAS];
  random_seed(&state, 7);
  for (int i = 0; i < SCHEMAS; i++) {
    schemas[i] = random_object(3);
    ellm_grammar *grammar = schema_grammar(model, schemas[i]);
    answers[i] = ask(g, grammar, i % 4 == 0 ? 0 : 1.5f, (uint64_t)i, LIMIT, i % 2 == 0);
    ellm_grammar_free(grammar); /* the answer keeps it */
  }
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  int whole = 0;
  for (int i = 0; i < SCHEMAS; i++) {
    size_t bytes;
    const char *text = ellm_answer_text(answers[i], &bytes);
    const ellm_end end = end_of(answers[i]);
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (end == ELLM_END_FAILED) ASSERT_OK(ellm_answer_error(answers[i], ERR));
    assert_true(end == ELLM_END_GRAMMAR || end == ELLM_END_LIMIT || end == ELLM_END_CONTEXT);
    char *schema = json_dumps(schemas[i], 0);
    if (end == ELLM_END_GRAMMAR && (!value || !valid(schemas[i], value))) fail_msg("%s under %s", text, schema);
    whole += end == ELLM_END_GRAMMAR;
    free(schema);
    json_decref(value);
    json_decref(schemas[i]);
  }
  print_message("%d of %d answers are whole\n", whole, SCHEMAS);
  assert_true(whole >= SCHEMAS * 3 / 4);
  ellm_generator_free(g);
  ellm_model_close(model);
}

/* The same answer alone and among others that share its grammar, which forgets nothing that matters. */
static void test_same_alone(void **unused) {
  (void)unused;
  ellm_model *model;
  ellm_generator *g = open_generator(&model);
  json_t *schema = json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s, s], s:b}", "type", "object", "properties", "text", "type",
                             "string", "n", "type", "number", "required", "text", "n", "additionalProperties", 0);
  ellm_grammar *grammar = schema_grammar(model, schema);
  ellm_answer *alone = ask(g, grammar, 0.9f, 3, 60, false), *among[4];
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  for (uint64_t i = 0; i < 4; i++) among[i] = ask(g, grammar, 0.9f, i, 60, false);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_string_equal(ellm_answer_text(alone, NULL), ellm_answer_text(among[3], NULL));
  assert_string_not_equal(ellm_answer_text(alone, NULL), ellm_answer_text(among[1], NULL));
  ellm_grammar_free(grammar);
  json_decref(schema);
  ellm_generator_free(g);
  ellm_model_close(model);
}

static ellm_grammar *gbnf(ellm_model *model, const char *text) {
  ellm_grammar *grammar;
  ASSERT_OK(ellm_grammar_create(tokenizer_of_model(model), text, strlen(text), NULL, &grammar, ERR));
  return grammar;
}

static void test_ends(void **unused) {
  (void)unused;
  ellm_model *model, *other;
  ellm_generator *g = open_generator(&model);
  ellm_grammar *words = gbnf(model, "root ::= \"yes\" | \"no\""), *nothing = gbnf(model, "root ::= \"\"");
  ellm_grammar *story = gbnf(model, "root ::= .*");
  ellm_answer *a = ask(g, words, 1, 1, 100, false), *b = ask(g, nothing, 1, 1, 100, false);
  ellm_answer *c = ask(g, words, 1, 1, 1, false), *d = ask(g, story, 0, 1, 400, false), *e = ask(g, NULL, 0, 1, 400, false);
  ASSERT_OK(ellm_generator_run(g, NULL, NULL, ERR));
  assert_int_equal(end_of(a), ELLM_END_GRAMMAR);
  assert_string_equal(ellm_end_name(ELLM_END_GRAMMAR), "grammar");
  assert_true(strcmp(ellm_answer_text(a, NULL), "yes") == 0 || strcmp(ellm_answer_text(a, NULL), "no") == 0);
  assert_int_equal(end_of(b), ELLM_END_GRAMMAR);
  assert_string_equal(ellm_answer_text(b, NULL), "");
  assert_true(end_of(c) == ELLM_END_LIMIT || end_of(c) == ELLM_END_GRAMMAR);
  assert_int_equal(end_of(d), end_of(e)); /* any text: as without a grammar, up to the end of the story */
  assert_string_equal(ellm_answer_text(d, NULL), ellm_answer_text(e, NULL));

  ASSERT_OK(ellm_model_open(STORIES_FOLDER, NULL, &other, ERR)); /* a grammar of another tokenizer */
  ellm_grammar *foreign = gbnf(other, "root ::= \"x\"");
  static const uint32_t prompt[] = {1};
  ellm_request request;
  ellm_error err = {0};
  ellm_request_init(&request);
  request.prompt = prompt;
  request.n_prompt = 1;
  request.grammar = foreign;
  assert_int_equal(ellm_generator_add(g, &request, &a, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "another tokenizer"));
  ellm_grammar_free(foreign);
  ellm_model_close(other);
  ellm_grammar_free(words);
  ellm_grammar_free(nothing);
  ellm_grammar_free(story);
  ellm_generator_free(g);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_schemas), cmocka_unit_test(test_same_alone),
                                     cmocka_unit_test(test_ends)};
  return cmocka_run_group_tests_name("answers that follow grammars", tests, NULL, NULL);
}
