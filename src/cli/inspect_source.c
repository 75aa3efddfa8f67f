/* SPDX-License-Identifier: Apache-2.0 */
/* See inspect_source.h. What the library says of a source is a JSON object, to which its tensors are added. */
#include "cli/inspect_source.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/files.h"
#include "cli/output.h"

static int print_description(json_t *description, const ellm_source *source, const char *path, const char *name) {
  ellm_tensor_info info;
  json_t *tensors = json_array();
  for (size_t i = 0; ellm_source_tensor(source, i, &info); i++)
    if (!name || strcmp(info.name, name) == 0) cli_json_append(&tensors, cli_tensor_json(&info));
  json_t *all = json_pack("{s:o, s:o}", "file", cli_json_text(path, strlen(path)), "tensors", tensors);
  if (all && json_object_update(all, description) != 0) {
    json_decref(all);
    all = NULL;
  }
  json_decref(description);
  return cli_print_json(all);
}

static long long number(const json_t *object, const char *field) {
  return (long long)json_integer_value(json_object_get(object, field));
}

static const char *text(const json_t *object, const char *field) {
  const char *value = json_string_value(json_object_get(object, field));
  return value ? value : "?";
}

/* ", 4 heads" where the field is there. */
static void print_number(const json_t *object, const char *field, const char *format) {
  if (json_object_get(object, field)) printf(format, number(object, field));
}

static void print_tokenizer(const json_t *d) {
  const json_t *tokenizer = json_object_get(d, "tokenizer");
  if (!json_is_object(tokenizer)) {
    printf("tokenizer      none\n");
    return;
  }
  printf("tokenizer      %s", text(tokenizer, json_object_get(tokenizer, "model") ? "model" : "file"));
  if (json_object_get(tokenizer, "pre")) printf(" (%s)", text(tokenizer, "pre"));
  print_number(tokenizer, "tokens", ", %lld tokens");
  printf("\n");
}

static void print_summary(const json_t *d) {
  char size[24];
  printf("format         %s\n", text(d, "format"));
  if (json_object_get(d, "name")) printf("name           %s\n", text(d, "name"));
  printf("architecture   %s", text(d, "architecture"));
  if (json_object_get(d, "gguf_architecture")) printf(" (%s)", text(d, "gguf_architecture"));
  printf("\nsizes          %lld layers", number(d, "layers"));
  print_number(d, "hidden_size", ", hidden %lld");
  print_number(d, "feed_forward", ", feed-forward %lld");
  print_number(d, "heads", ", %lld heads");
  print_number(d, "kv_heads", ", %lld for keys and values");
  print_number(d, "experts", ", %lld experts");
  print_number(d, "vocabulary", ", vocabulary %lld");
  printf("\ncontext        %lld\n", number(d, "context"));
  print_tokenizer(d);
  printf("chat template  %s\n", json_is_true(json_object_get(d, "chat_template")) ? "yes" : "no");
  printf("parameters     %lld, %s, %.2f bits each\n\n", number(d, "parameters"),
         cli_size_text((uint64_t)number(d, "tensor_bytes"), size),
         json_real_value(json_object_get(d, "bits_per_weight")));
}

static void print_types(const json_t *types) {
  char size[24];
  printf("%-8s %8s %16s %10s %6s\n", "type", "tensors", "elements", "size", "bits");
  for (size_t i = 0; i < json_array_size(types); i++) {
    const json_t *type = json_array_get(types, i);
    printf("%-8s %8lld %16lld %10s %6.2f\n", text(type, "type"), number(type, "tensors"), number(type, "elements"),
           cli_size_text((uint64_t)number(type, "bytes"), size),
           json_real_value(json_object_get(type, "bits_per_weight")));
  }
}

static int print_table(json_t *description, const ellm_source *source, const char *name) {
  ellm_tensor_info info;
  size_t count = ellm_source_tensor_count(source), used = 0;
  ellm_tensor_info *tensors = calloc(count ? count : 1, sizeof *tensors);
  if (!name) {
    print_summary(description);
    print_types(json_object_get(description, "types"));
    printf("\n");
  }
  for (size_t i = 0; tensors && ellm_source_tensor(source, i, &info); i++)
    if (!name || strcmp(info.name, name) == 0) tensors[used++] = info;
  if (tensors) cli_print_tensors(tensors, used);
  free(tensors);
  json_decref(description);
  return ELLM_OK;
}

int cli_inspect_source(const char *path, const char *name, bool as_table) {
  ellm_source *source = NULL;
  ellm_error err;
  size_t index;
  char *json = NULL;
  ellm_status status = ellm_source_open(path, &source, &err);
  if (status == ELLM_OK && name && !ellm_source_find(source, name, &index))
    status = prog_failure(&err, ELLM_ERR_INPUT, "%s: there is no tensor '%s'", path, name);
  if (status == ELLM_OK) status = ellm_source_describe(source, &json, &err);
  json_t *description = json ? json_loads(json, 0, NULL) : NULL;
  free(json);
  if (status == ELLM_OK && !description) status = prog_failure_memory(&err, 0, "a description");
  const int result = status != ELLM_OK ? cli_fail(&err)
                     : as_table        ? print_table(description, source, name)
                                       : print_description(description, source, path, name);
  ellm_source_close(source);
  return result;
}
