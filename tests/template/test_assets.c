/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: finding that of a model, and the variables it is rendered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

/* The files of a model, up to a NULL name. */
typedef struct file { const char *name, *text; } file;

static const void *asset(void *user, const char *name, size_t *bytes) {
  for (const file *f = user; f->name; f++)
    if (strcmp(f->name, name) == 0) {
      *bytes = strlen(f->text);
      return f->text;
    }
  return NULL;
}

/* Find the template of a name, render it with the special tokens of the model and compare; NULL: there is none. */
static void expect_text(const file *files, const char *name, const char *expected) {
  chat_template *t;
  json_t *variables = NULL;
  ellm_error err = {0};
  char *text = NULL;
  size_t bytes;
  ellm_status status = chat_template_find(asset, (void *)files, "model", name, &t, &err);
  if (status != ELLM_OK) print_error("%s\n", err.message);
  assert_int_equal(status, ELLM_OK);
  if (!expected) {
    assert_null(t);
    return;
  }
  assert_non_null(t);
  assert_int_equal(chat_template_tokens(asset, (void *)files, "model", &variables, &err), ELLM_OK);
  status = chat_template_render(t, variables, NULL, &text, &bytes, &err);
  if (status != ELLM_OK) print_error("%s\n", err.message);
  assert_int_equal(status, ELLM_OK);
  assert_string_equal(text, expected);
  free(text);
  json_decref(variables);
  chat_template_free(t);
}

static void expect_none(const file *files, const char *problem) {
  chat_template *t;
  ellm_error err = {0};
  assert_int_equal(chat_template_find(asset, (void *)files, "model", "default", &t, &err), ELLM_ERR_INPUT);
  assert_null(t);
  assert_string_equal(err.message, problem);
}

static void test_which_file(void **state) {
  (void)state;
  static const file jinja = {"chat_template.jinja", "jinja\n"},
                    json = {"chat_template.json", "{\"chat_template\": \"json\"}"};
  static const file config = {"tokenizer_config.json",
                              "{\"chat_template\": \"config\", \"model_max_length\": 1000000000000000019884624838656}"};
  static const file end = {NULL, NULL};
  const file all[] = {config, json, jinja, end}, two[] = {config, json, end}, one[] = {config, end}, none[] = {end};
  const file null[] = {{"chat_template.json", "{\"chat_template\": null}"}, config, end};
  expect_text(all, "default", "jinja");
  expect_text(two, "default", "json");
  expect_text(one, "default", "config");
  expect_text(null, "default", "config");
  expect_none(none, "model: the model has no chat template");
}

static void test_named_templates(void **state) {
  (void)state;
  static const file both[] = {{"tokenizer_config.json",
                               "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"tools\"},"
                               " {\"name\": \"default\", \"template\": \"plain\"}]}"},
                              {NULL, NULL}};
  static const file one[] = {
      {"tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"}]}"},
      {NULL, NULL}};
  static const file other[] = {
      {"tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}, 5]}"}, {NULL, NULL}};
  static const file dict[] = {
      {"tokenizer_config.json", "{\"chat_template\": {\"default\": \"plain\", \"tool_use\": \"tools\", \"rag\": \"r\"}}"},
      {NULL, NULL}};
  expect_text(both, "default", "plain");
  expect_text(both, "tool_use", "tools");
  expect_text(one, "tool_use", NULL);
  expect_text(other, "rag", "x");
  expect_text(dict, "default", "plain");
  expect_text(dict, "tool_use", "tools");
  expect_text(dict, "rag", "r");
  expect_text(dict, "none", NULL);
  expect_none(other, "model: tokenizer_config.json: chat_template has several templates and none is named 'default'");
}

/* Templates in files of their own; where there are any, the fields do not count, as in Transformers. */
static void test_additional_files(void **state) {
  (void)state;
  static const file jinja = {"chat_template.jinja", "plain"},
                    tools = {"additional_chat_templates/tool_use.jinja", "tools\n"},
                    field = {"tokenizer_config.json", "{\"chat_template\": {\"default\": \"D\", \"tool_use\": \"T\"}}"},
                    end = {NULL, NULL};
  const file all[] = {jinja, tools, field, end}, one[] = {jinja, field, end}, extra[] = {tools, field, end};
  expect_text(all, "default", "plain");
  expect_text(all, "tool_use", "tools");
  expect_text(one, "tool_use", NULL);
  expect_text(extra, "tool_use", "tools");
  expect_text(extra, "default", "D");
  expect_text(all, "../tool_use", NULL);
  expect_text(all, "", NULL);
  assert_true(chat_template_is_name("tool_use") && chat_template_is_name("a.b-C3"));
  assert_false(chat_template_is_name(".a") || chat_template_is_name("a/b") || chat_template_is_name(""));
}

static void test_bad_files(void **state) {
  (void)state;
  static const file no_json[] = {{"tokenizer_config.json", "{"}, {NULL, NULL}};
  static const file no_object[] = {{"tokenizer_config.json", "[]"}, {NULL, NULL}};
  static const file no_text[] = {{"tokenizer_config.json", "{\"chat_template\": 5}"}, {NULL, NULL}};
  static const file bad[] = {{"chat_template.jinja", "a\n{% nosuch %}"}, {NULL, NULL}};
  expect_none(
      no_json,
      "model: tokenizer_config.json: not valid JSON: string or '}' expected near end of file (line 1, column 1)");
  expect_none(no_object, "model: tokenizer_config.json: not a JSON object");
  expect_none(no_text, "model: tokenizer_config.json: chat_template is not text");
  expect_none(bad,
              "model: chat_template.jinja: chat template: line 2 column 4: the tag 'nosuch' is not supported here");
}

static void test_tokens(void **state) {
  (void)state;
  static const file files[] = {
      {"chat_template.jinja",
       "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ additional_special_tokens }}"},
      {"tokenizer_config.json",
       "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\", \"lstrip\": false}, \"pad_token\": null,"
       " \"additional_special_tokens\": [\"<a>\", {\"content\": \"<b>\"}]}"},
      {"special_tokens_map.json", "{\"bos_token\": \"other\", \"unk_token\": {\"content\": \"<unk>\"}}"},
      {NULL, NULL}};
  expect_text(files, "default", "<s>|</s>|<unk>||['<a>', '<b>']");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_which_file), cmocka_unit_test(test_named_templates),
                                     cmocka_unit_test(test_bad_files), cmocka_unit_test(test_tokens),
                                     cmocka_unit_test(test_additional_files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
