/* SPDX-License-Identifier: Apache-2.0 */
/* See calls.h. */
#include "serve/calls.h"

#include <stdlib.h>
#include <string.h>

#include "serve/text.h"

typedef struct finder {
  char *const *names;
  size_t n_names, n;
  unsigned long long seed;
  bool indexed;
  prog_buffer *calls;
} finder;

typedef struct marks { const char *open, *close; } marks;

/* The first place of a word in data[bytes]; NULL: it is not there. */
static const char *find(const char *data, size_t bytes, const char *word) {
  const size_t n = strlen(word);
  for (const char *end = data + bytes; (size_t)(end - data) >= n; data++) {
    data = memchr(data, word[0], (size_t)(end - data));
    if (!data || (size_t)(end - data) < n) return NULL;
    if (memcmp(data, word, n) == 0) return data;
  }
  return NULL;
}

static bool known(const finder *f, const char *name) {
  for (size_t i = 0; i < f->n_names; i++)
    if (strcmp(f->names[i], name) == 0) return true;
  return false;
}

/* One object; false: it is no call. */
static bool add_object(finder *f, const json_t *object) {
  const json_t *inner = json_object_get(object, "function"), *from = json_is_object(inner) ? inner : object;
  const char *name = json_string_value(json_object_get(from, "name"));
  json_t *arguments = json_object_get(from, "arguments");
  if (!arguments) arguments = json_object_get(from, "parameters");
  if (!name || !known(f, name)) return false;
  char *dump = json_is_string(arguments) ? strdup(json_string_value(arguments))
                                         : json_dumps(arguments ? arguments : json_null(),
                                                      JSON_COMPACT | JSON_ENCODE_ANY);
  if (!dump) return false;
  prog_print(f->calls, "%s{", f->n > 0 ? "," : "[");
  if (f->indexed) prog_print(f->calls, "\"index\":%zu,", f->n);
  prog_print(f->calls, "\"id\":\"call_%016llx%02zx\",\"type\":\"function\",\"function\":{\"name\":", f->seed, f->n);
  text_json(f->calls, name, strlen(name));
  prog_print(f->calls, ",\"arguments\":");
  if (arguments && !json_is_null(arguments)) text_json(f->calls, dump, strlen(dump));
  else prog_print(f->calls, "\"{}\"");
  prog_print(f->calls, "}}");
  free(dump);
  f->n++;
  return true;
}

/* An object, several one behind the other, or a list of them, with nothing else beside them. */
static bool add_json(finder *f, const char *data, size_t bytes) {
  const size_t before = f->n;
  while (bytes > 0) {
    json_error_t error;
    const size_t spaces = strspn(data, " \t\r\n;");
    if (spaces >= bytes) break;
    data += spaces;
    bytes -= spaces;
    json_t *value = json_loadb(data, bytes, JSON_DISABLE_EOF_CHECK, &error);
    if (!value) return f->n > before;
    bool good = true;
    if (json_is_array(value))
      for (size_t i = 0; i < json_array_size(value); i++) good = add_object(f, json_array_get(value, i)) && good;
    else good = add_object(f, value);
    json_decref(value);
    if (!good || error.position <= 0 || (size_t)error.position > bytes) return f->n > before;
    data += error.position;
    bytes -= (size_t)error.position;
  }
  return f->n > before;
}

/* Calls between marks; where the last one is not closed, up to the end. */
static bool add_marked(finder *f, const char *data, size_t bytes, const marks *m, size_t *content) {
  const char *end = data + bytes, *at = find(data, bytes, m->open);
  const size_t first = at ? (size_t)(at - data) : 0;
  while (at) {
    at += strlen(m->open);
    const char *close = find(at, (size_t)(end - at), m->close);
    add_json(f, at, (size_t)((close ? close : end) - at));
    at = close ? find(close, (size_t)(end - close), m->open) : NULL;
  }
  if (f->n > 0) *content = first;
  return f->n > 0;
}

void calls_find(const char *data, size_t bytes, char *const *names, size_t n_names, unsigned long long seed,
                bool indexed, prog_buffer *calls, size_t *content_bytes) {
  static const marks kinds[] = {{"<tool_call>", "</tool_call>"}, {"<|tool_call|>", "<|/tool_call|>"}};
  static const char *const heads[] = {"[TOOL_CALLS]", "<|python_tag|>", ""};
  finder f = {.names = names, .n_names = n_names, .seed = seed, .indexed = indexed, .calls = calls};
  *content_bytes = bytes;
  bool found = false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !found; i++)
    found = add_marked(&f, data, bytes, &kinds[i], content_bytes);
  for (size_t i = 0; i < sizeof heads / sizeof *heads && !found; i++) {
    const char *at = *heads[i] ? find(data, bytes, heads[i]) : data;
    if (!at) continue;
    const char *from = at + strlen(heads[i]);
    found = add_json(&f, from, bytes - (size_t)(from - data));
    if (found) *content_bytes = (size_t)(at - data);
  }
  while (f.n > 0 && *content_bytes > 0 && strchr(" \t\r\n", data[*content_bytes - 1])) --*content_bytes;
  if (f.n > 0) prog_print(calls, "]");
}
