/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates against renderings by Transformers: equal byte for byte, an error stays an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "golden.h"
#include "template/template.h"

static json_t *variables_of(const json_t *golden, const json_t *one) {
  json_t *variables = json_object(), *tools = json_object_get(one, "tools");
  json_object_set(variables, "messages", json_object_get(one, "messages"));
  json_object_set(variables, "add_generation_prompt", json_object_get(one, "add_generation_prompt"));
  json_object_set(variables, "bos_token", json_object_get(golden, "bos_token"));
  json_object_set(variables, "eos_token", json_object_get(golden, "eos_token"));
  json_object_set_new(variables, "tools", tools ? json_incref(tools) : json_null());
  return variables;
}

static size_t check_case(const char *name, size_t number, const chat_template *t, const json_t *golden,
                         const json_t *one) {
  const json_t *expected = json_object_get(one, "text");
  json_t *variables = variables_of(golden, one);
  ellm_error err = {0};
  char *text;
  size_t bytes;
  const ellm_status status = chat_template_render(t, variables, NULL, &text, &bytes, &err);
  json_decref(variables);
  bool good;
  if (!expected) {
    good = status == ELLM_ERR_INPUT && strstr(err.message, "chat template: line ");
  } else {
    good = status == ELLM_OK && bytes == json_string_length(expected) &&
           memcmp(text, json_string_value(expected), bytes) == 0;
  }
  if (!good) {
    print_error("%s case %zu: got (%d) %s\nexpected %s\n", name, number, (int)status, text ? text : err.message,
                expected ? json_string_value(expected) : json_string_value(json_object_get(one, "error")));
  }
  free(text);
  return !good;
}

static size_t check_file(const char *folder, const char *name, size_t *n_cases) {
  char *path = path_join(folder, name);
  uint8_t *data;
  size_t bytes, failed = 0;
  json_t *golden;
  chat_template *t = NULL;
  ellm_error err;
  assert_int_equal(file_read_all(path, (size_t)1 << 30, &data, &bytes, &err), ELLM_OK);
  assert_int_equal(json_parse(data, bytes, path, &golden, &err), ELLM_OK);
  const json_t *source = json_object_get(golden, "template"), *cases = json_object_get(golden, "cases");
  if (chat_template_create(json_string_value(source), json_string_length(source), name, &t, &err) != ELLM_OK) {
    print_error("%s\n", err.message);
    failed++;
  }
  for (size_t i = 0; t && i < json_array_size(cases); i++, ++*n_cases)
    failed += check_case(name, i, t, golden, json_array_get(cases, i));
  chat_template_free(t);
  json_decref(golden);
  free(data);
  free(path);
  return failed;
}

static void check_set(int set) {
  char path[1024];
  snprintf(path, sizeof path, "%s/templates", golden_folders[set]);
  DIR *folder = opendir(path);
  size_t n_files = 0, n_cases = 0, failed = 0;
  if (!folder) {
    print_message("%s is absent: skipped\n", path);
    skip();
  }
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    const char *end = strrchr(entry->d_name, '.');
    if (!end || strcmp(end, ".json") != 0) continue;
    n_files++;
    failed += check_file(path, entry->d_name, &n_cases);
  }
  closedir(folder);
  print_message("%zu cases of %zu templates\n", n_cases, n_files);
  assert_true(n_files > 0 && n_cases > 0);
  assert_int_equal(failed, 0);
}

static void test_golden(void **state) {
  (void)state;
  check_set(0);
}

static void test_golden_shared(void **state) {
  (void)state;
  check_set(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_golden_shared)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
