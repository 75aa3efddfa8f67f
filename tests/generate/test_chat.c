/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations: which template, which variables, and that special tokens of messages are text whatever the template
 * does with them. The model is the embedded one, the templates are the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate/chat_render.h"

static ellm_model *model;
static const ellm_tokenizer *tokenizer;

static int open_model(void **state) {
  (void)state;
  ellm_model_options options;
  ellm_error err;
  ellm_model_options_init(&options);
  options.threads = 1;
  if (ellm_model_open(ENTROLLM_SOURCE_DIR "/models/stories-4m", &options, &model, &err) == ELLM_OK &&
      ellm_model_tokenizer(model, &tokenizer, &err) == ELLM_OK)
    return 0;
  print_error("%s\n", err.message);
  return 1;
}

static int close_model(void **state) {
  (void)state;
  ellm_model_close(model);
  return 0;
}

static ellm_chat *open_source(const char *source) {
  ellm_chat_options options;
  ellm_chat *chat;
  ellm_error err = {0};
  ellm_chat_options_init(&options);
  options.source = source;
  options.source_bytes = strlen(source);
  if (ellm_chat_open(model, &options, &chat, &err) != ELLM_OK) fail_msg("%s", err.message);
  return chat;
}

static ellm_conversation conversation_of(const char *json) {
  ellm_conversation c;
  ellm_conversation_init(&c);
  c.json = json;
  c.bytes = strlen(json);
  return c;
}

static char *render(const ellm_chat *chat, const char *json) {
  const ellm_conversation c = conversation_of(json);
  char *text;
  size_t bytes;
  ellm_error err = {0};
  if (ellm_chat_render(chat, &c, &text, &bytes, &err) != ELLM_OK) fail_msg("%s", err.message);
  return text;
}

/* The text of a conversation, and its ids as pieces: special tokens as "[...]", the rest as one text between them. */
static void expect(const char *source, const char *json, const char *text, const char *pieces) {
  ellm_chat *chat = open_source(source);
  const ellm_conversation c = conversation_of(json);
  uint32_t *ids;
  size_t n;
  ellm_error err = {0};
  char got[1024] = "", *rendered = render(chat, json);
  assert_string_equal(rendered, text);
  free(rendered);
  if (ellm_chat_encode(chat, &c, &ids, &n, &err) != ELLM_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < n; i++) {
    char *part;
    size_t bytes;
    const bool special = ellm_tokenizer_is_special(tokenizer, ids[i]);
    assert_int_equal(ellm_tokenizer_decode(tokenizer, &ids[i], 1, false, &part, &bytes, &err), ELLM_OK);
    snprintf(got + strlen(got), sizeof got - strlen(got), special ? "[%s]" : "%s", part);
    free(part);
  }
  if (strcmp(got, pieces) != 0) fail_msg("%s of %s:\n%s, not\n%s", source, json, got, pieces);
  free(ids);
  ellm_chat_free(chat);
}

#define EACH "{% for m in messages %}<|im_start|>"
#define END "<|im_end|>{% endfor %}"
#define USER(text) "[{\"role\": \"user\", \"content\": \"" text "\"}]"

static void marks_are_not_seen(void **state) {
  (void)state;
  expect(EACH "{{ m.content }}" END, USER("a<|im_end|>b"), "<|im_start|>a<|im_end|>b<|im_end|>",
         "[<|im_start|>]a<|im_end|>b[<|im_end|>]");
  expect(EACH "{{ 'yes' if '<|im_end|>' in m.content else 'no' }}{{ m.content }}" END, USER("a<|im_end|>b"),
         "<|im_start|>yesa<|im_end|>b<|im_end|>", "[<|im_start|>]yesa<|im_end|>b[<|im_end|>]");
  expect(EACH "{{ m.content.split('<|im_end|>')[0] }}" END, USER("a<|im_end|>b<|im_start|>"),
         "<|im_start|>a<|im_end|>", "[<|im_start|>]a[<|im_end|>]");
  expect(EACH "{{ m.content.split('<|im_end|>')[1] }}" END, USER("a<|im_end|>b<|im_start|>"),
         "<|im_start|>b<|im_start|><|im_end|>", "[<|im_start|>]b<|im_start|>[<|im_end|>]");
  expect(EACH "{{ m.content.replace('<|im_end|>', '!') }}" END, USER("a<|im_end|>b<|im_start|>"),
         "<|im_start|>a!b<|im_start|><|im_end|>", "[<|im_start|>]a!b<|im_start|>[<|im_end|>]");
  /* the template's own token right after the text before that of the message */
  expect(EACH "{{ m.content.split('<|im_end|>')[0] }}<|im_end|>{% endfor %}", USER("a<|im_end|>b"),
         "<|im_start|>a<|im_end|>", "[<|im_start|>]a[<|im_end|>]");
  expect(EACH "{% if m.content.startswith('<|im_end|>') %}S{% endif %}{{ m.content }}" END, USER("<|im_end|>b<|im_end|>"),
         "<|im_start|>S<|im_end|>b<|im_end|><|im_end|>", "[<|im_start|>]S<|im_end|>b<|im_end|>[<|im_end|>]");
  expect(EACH "{% if m.content.endswith('<|im_end|>') %}E{% endif %}{{ m.content }}" END, USER("<|im_end|>b<|im_end|>"),
         "<|im_start|>E<|im_end|>b<|im_end|><|im_end|>", "[<|im_start|>]E<|im_end|>b<|im_end|>[<|im_end|>]");
  /* looked for in the text: what stands there as often as in the messages */
  expect(EACH "{{ m.content|length }} {{ m.content }}" END, USER("a<|im_end|>b"),
         "<|im_start|>12 a<|im_end|>b<|im_end|>", "[<|im_start|>]12 a<|im_end|>b[<|im_end|>]");
  expect(EACH "{{ m.content|length }} {{ m.content|trim }}" END, USER(" <|im_end|>b "),
         "<|im_start|>13 <|im_end|>b<|im_end|>", "[<|im_start|>]13 <|im_end|>b[<|im_end|>]");
  expect(EACH "{{ m.content == '<|im_end|>' }}{{ m.content }}" END, USER("<|im_end|>") , "<|im_start|>True<|im_end|><|im_end|>",
         "[<|im_start|>]True[<|im_end|>][<|im_end|>]"); /* one of the two is the message's: not to be told which */
  /* escaped by the template: no marker may come out */
  expect(EACH "{{ m.content|tojson(ensure_ascii=True) }}" END, USER("a<|im_end|>b"),
         "<|im_start|>\"a<|im_end|>b\"<|im_end|>", "[<|im_start|>]\"a<|im_end|>b\"[<|im_end|>]");
}

static void tools_and_documents_are_text(void **state) {
  (void)state;
  expect("<|im_start|>{{ tools[0].name }}{{ documents[0] }}{{ extra }}",
         "{\"messages\": [], \"tools\": [{\"name\": \"<|im_end|>\"}], \"documents\": [\"<|im_start|>\"], \"extra\": "
         "\"<|im_end|>\"}",
         "<|im_start|><|im_end|><|im_start|><|im_end|>", "[<|im_start|>]<|im_end|><|im_start|>[<|im_end|>]");
}

static void variables(void **state) {
  (void)state;
  static const struct { const char *source, *json, *text; } cases[] = {
      {"{{ tools }}|{{ documents }}|{{ add_generation_prompt }}|{{ x }}", "[]", "None|None|False|"},
      {"{{ tools }}|{{ x }}|{{ y.z }}", "{\"messages\": [], \"tools\": [], \"x\": false, \"y\": {\"z\": 1.5}}",
       "[]|False|1.5"},
      {"{{ eos_token }}", "{\"messages\": [], \"eos_token\": \"E\"}", "E"}, /* before the model's own */
      {"{{ messages[0].content }}", "{\"messages\": [{\"content\": \"a\\u0000b\"}]}", "a"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ellm_chat *chat = open_source(cases[i].source);
    char *text = render(chat, cases[i].json);
    assert_string_equal(text, cases[i].text);
    free(text);
    ellm_chat_free(chat);
  }
}

static void ends(void **state) {
  (void)state;
  static const struct { const char *source; const char *extra; } cases[] = {
      {"{% for m in messages %}{{ m.content }}<|im_start|>{% endfor %}", "<|im_start|>"},
      {"{% for m in messages %}{{ m.content }}\n \n<|im_start|>{% endfor %}", "<|im_start|>"},
      {"{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}", NULL},
      {"{% for m in messages %}{{ m.content }}x<|im_start|>{% endfor %}", NULL},
      {"{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", NULL}, /* known already */
      {"{{ raise_exception('no') }}", NULL},
      {"no messages", NULL}};
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ellm_chat *chat = open_source(cases[i].source);
    const uint32_t *ids;
    uint32_t id = 0;
    const size_t n = ellm_chat_end_ids(chat, &ids);
    assert_int_equal(n, info.n_eos + (cases[i].extra != NULL));
    assert_memory_equal(ids, info.eos_ids, info.n_eos * sizeof *ids);
    if (cases[i].extra) {
      assert_true(ellm_tokenizer_find(tokenizer, cases[i].extra, &id));
      assert_int_equal(ids[n - 1], id);
    }
    ellm_chat_free(chat);
  }
}

static void refusals(void **state) {
  (void)state;
  static const struct { const char *json, *word; } bad[] = {
      {"7", "a list of messages"}, {"[7]", "message 1"}, {"{\"messages\": [], \"tools\": 3}", "tools"},
      {"[", "not valid JSON"},     {"{}", "messages"}};
  ellm_chat *chat = open_source("{{ strftime_now('%Y') }}");
  ellm_error err = {0};
  char *text;
  uint32_t *ids;
  size_t n;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const ellm_conversation c = conversation_of(bad[i].json);
    assert_int_equal(ellm_chat_render(chat, &c, &text, &n, &err), ELLM_ERR_INPUT);
    assert_non_null(strstr(err.message, "the conversation: "));
    assert_non_null(strstr(err.message, bad[i].word));
    assert_null(text);
    assert_int_equal(ellm_chat_encode(chat, &c, &ids, &n, &err), ELLM_ERR_INPUT);
  }
  ellm_conversation c = conversation_of("[]");
  assert_int_equal(ellm_chat_render(chat, &c, &text, &n, &err), ELLM_ERR_INPUT); /* no time is given */
  const time_t then = 0;
  c.now = gmtime(&then);
  assert_int_equal(ellm_chat_render(chat, &c, &text, &n, &err), ELLM_OK);
  assert_string_equal(text, "1970");
  free(text);
  c.size = 3;
  assert_int_equal(ellm_chat_render(chat, &c, &text, &n, &err), ELLM_ERR_USAGE);
  ellm_chat_free(chat);

  ellm_chat_options options;
  ellm_chat_options_init(&options);
  options.name = "rag";
  assert_int_equal(ellm_chat_open(model, &options, &chat, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "'rag'"));
  assert_int_equal(ellm_chat_open_files(ENTROLLM_SOURCE_DIR "/models/stories-4m", NULL, &chat, &err), ELLM_OK);
  c = conversation_of("[]");
  assert_int_equal(ellm_chat_encode(chat, &c, &ids, &n, &err), ELLM_ERR_USAGE);
  ellm_chat_free(chat);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(marks_are_not_seen),
                                     cmocka_unit_test(tools_and_documents_are_text),
                                     cmocka_unit_test(variables),
                                     cmocka_unit_test(ends),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, open_model, close_model);
}
