/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of tools in texts, as the families write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "serve/calls.h"

static char *names[] = {(char[]){"weather"}, (char[]){"add"}};

/* Calls as "name(arguments)" one behind the other, and the text before them. */
static void check(const char *data, const char *want, const char *want_content) {
  prog_buffer calls = {0}, got = {0};
  size_t content;
  calls_find(data, strlen(data), names, 2, 7, false, &calls, &content);
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
      "{\"name\": 3}", "{", "<tool_call>{\"name\":\"weather\"", "[TOOL_CALLS]", "<|python_tag|>", "{} {}", "null"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check(texts[i], "", texts[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(families), cmocka_unit_test(no_calls)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
