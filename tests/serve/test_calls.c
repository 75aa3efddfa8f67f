/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of tools in texts, as the families write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/call_stream.h"

static char *names[] = {(char[]){"weather"}, (char[]){"add"}};

/* What a stream tells: the text, calls as "name(", pieces of arguments, and where each of them was told. */
typedef struct heard { prog_buffer content, calls, steps; size_t open; } heard;

static void hear_content(void *user, const char *text, size_t bytes) {
  heard *h = user;
  assert_int_equal(h->calls.bytes, 0); /* what follows a call is dropped */
  assert_true(bytes > 0);
  prog_append(&h->content, text, bytes);
  prog_print(&h->steps, "|%.*s", (int)bytes, text);
}

static void hear_call(void *user, size_t index, const char *id, const char *name) {
  heard *h = user;
  assert_int_equal(index, h->open);
  assert_int_equal(strlen(id), 23);
  prog_print(&h->calls, "%s%s(", h->open++ > 0 ? ")" : "", name);
  prog_print(&h->steps, "|%s(", name);
}

static void hear_arguments(void *user, size_t index, const char *piece, size_t bytes) {
  heard *h = user;
  assert_int_equal(index + 1, h->open);
  assert_true(bytes > 0);
  prog_append(&h->calls, piece, bytes);
  prog_print(&h->steps, "|%.*s", (int)bytes, piece);
}

static void hear(heard *h, const char *data, size_t piece) {
  call_stream s;
  const size_t bytes = strlen(data);
  const call_events events = {hear_content, hear_call, hear_arguments, h};
  *h = (heard){.open = 0};
  call_stream_init(&s, names, 2, 7, &events);
  for (size_t i = 0; i < bytes; i += piece) {
    const size_t n = bytes - i < piece ? bytes - i : piece;
    char *copy = malloc(n); /* so that reading beyond it is seen */
    memcpy(copy, data + i, n);
    call_stream_add(&s, copy, n);
    free(copy);
  }
  assert_true(call_stream_end(&s));
  if (h->open > 0) prog_print(&h->calls, ")");
  prog_append(&h->content, "", 0);
  prog_append(&h->calls, "", 0);
  prog_append(&h->steps, "", 0);
  call_stream_free(&s);
}

static void forget(heard *h) {
  prog_buffer_free(&h->content);
  prog_buffer_free(&h->calls);
  prog_buffer_free(&h->steps);
}

static void without_spaces(char *text) {
  char *to = text;
  for (; *text; text++)
    if (!strchr(" \n", *text)) *to++ = *text;
  *to = '\0';
}

/* In whatever pieces a text comes, the same calls are found. */
static void check_stream(const char *data, const char *want, const char *want_content) {
  for (size_t piece = 1; piece <= 40; piece++) {
    heard h;
    hear(&h, data, piece);
    without_spaces(h.calls.data);
    assert_string_equal(h.calls.data, want);
    assert_string_equal(h.content.data, want_content);
    forget(&h);
  }
}

/* Calls as "name(arguments)" one behind the other, and the text before them. */
static void check_whole(const char *data, const char *want, const char *want_content) {
  prog_buffer calls = {0}, got = {0};
  size_t content;
  calls_find(data, strlen(data), names, 2, 7, &calls, &content);
  json_t *list = calls.bytes > 0 ? json_loadb(calls.data, calls.bytes, 0, NULL) : json_array();
  assert_true(json_is_array(list));
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *call = json_array_get(list, i), *function = json_object_get(call, "function");
    assert_string_equal(json_string_value(json_object_get(call, "type")), "function");
    assert_non_null(json_string_value(json_object_get(call, "id")));
    prog_print(&got, "%s(%s)", json_string_value(json_object_get(function, "name")),
               json_string_value(json_object_get(function, "arguments")));
  }
  assert_string_equal(got.data ? got.data : "", want);
  assert_int_equal(content, strlen(want_content));
  assert_memory_equal(data, want_content, content);
  json_decref(list);
  prog_buffer_free(&calls);
  prog_buffer_free(&got);
}

static void check(const char *data, const char *want, const char *want_content) {
  check_whole(data, want, want_content);
  check_stream(data, want, want_content);
}

#define ROME "weather({\"city\":\"Rome\"})"

static void families(void **state) {
  (void)state;
  check("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>", ROME, "");
  check("Let me look.\n\n<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}</tool_call>\n"
        "<tool_call>{\"name\":\"add\",\"arguments\":{}}</tool_call>", ROME "add({})", "Let me look.");
  check("<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}", ROME, ""); /* cut at the limit */
  check("<|tool_call|>[{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}]<|/tool_call|>", ROME, "");
  check("{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}", ROME, "");
  check("<|python_tag|>{\"name\":\"weather\",\"parameters\":{\"city\":\"Rome\"}}; {\"name\":\"add\",\"parameters\":{\"a\":1}}",
        ROME "add({\"a\":1})", "");
  check("[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}, {\"name\":\"add\"}]", ROME "add({})", "");
  check("[{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}]", ROME, "");
  check("{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}}", ROME, "");
}

static void no_calls(void **state) {
  (void)state;
  static const char *const texts[] = {
      "", "Hello.", "{\"name\": \"other\", \"arguments\": {}}", "<tool_call>nonsense</tool_call>", "<tool_call>", "[1, 2]",
      "{\"name\": 3}", "{", "[TOOL_CALLS]", "<|python_tag|>", "{} {}", "null"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check(texts[i], "", texts[i]);
  check_whole("<tool_call>{\"name\":\"weather\"", "", "<tool_call>{\"name\":\"weather\"");
}

static void check_steps(const char *data, size_t piece, const char *want) {
  heard h;
  hear(&h, data, piece);
  assert_string_equal(h.steps.data, want);
  forget(&h);
}

/* Text at once, but for what a call may begin with; the name once its quote is closed; arguments as they come. */
static void as_it_comes(void **state) {
  (void)state;
  check_steps("Look <b> \n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call> so", 4,
              "|Look| <b>|weather(|{\"ci|ty\":| \"Ro|me\"}");
  check_steps("{\"name\":\"add\",\"strict\":[{}],\"parameters\":{\"a\":[1]},\"parameters\":{}}", 4,
              "|add(|{\"a|\":[1|]}");
  check_steps("<tool_call>{\"name\":\"other\",\"a\":1}", 5, "|<tool_call>{\"name\":\"other\",\"a\"|:1}");
  check_steps("a <tool call <tool_", 100, "|a <tool call| <tool_");
  check_steps("[TOOL_CALLS] [{\"arguments\":{\"a\":1},\"name\":\"add\"}]", 3, "|add(|{\"a\":1}"); /* the other way round */
}

/* What a model writes that does not write JSON well. */
static void broken(void **state) {
  (void)state;
  check_stream("<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}</tool_call>\n"
               "<tool_call>{\"name\":\"add\"}</tool_call>", ROME "add({})", "");
  check_stream("<tool_call>{\"name\":\"weather\",\"arguments\":{\"ci", "weather({\"ci)", ""); /* cut */
  check_stream("<tool_call>{\"name\":\"add\",\"arguments\":12 ,\"x\":null}<tool_call>{\"name\":\"add\"", "add(12)add()", "");
  check_stream("<tool_call>{\"name\":\"add\" \"arguments\":{}}</tool_call>", "add({})", "");
  check_stream("[TO{\"name\":\"add\"}", "", "[TO{\"name\":\"add\"}");
  check_stream("<<tool_call>{\"name\":\"add\"}", "add({})", "<");
  check_stream("<tool_call>I call <tool_call>{\"name\":\"add\"}", "add({})", "<tool_call>I call");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(families), cmocka_unit_test(no_calls),
                                     cmocka_unit_test(as_it_comes), cmocka_unit_test(broken)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
