/* SPDX-License-Identifier: Apache-2.0 */
/* See calls.h. */
#include "serve/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/text.h"

const calls_mark calls_marks[] = {{"<tool_call>", "</tool_call>"},
                                  {"<|tool_call|>", "<|/tool_call|>"},
                                  {"[TOOL_CALLS]", NULL},
                                  {"<|python_tag|>", NULL},
                                  {NULL, NULL}};

typedef struct finder {
  char *const *names;
  size_t n_names, n;
  unsigned long long seed;
  prog_buffer *calls;
} finder;

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

bool calls_known(char *const *names, size_t n_names, const char *name) {
  for (size_t i = 0; i < n_names; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

void calls_id(char id[CALLS_ID_BYTES], unsigned long long seed, size_t n) {
  snprintf(id, CALLS_ID_BYTES, "call_%016llx%02zx", seed, n & 0xffffff);
}

const char *calls_read(const json_t *object, char *const *names, size_t n_names, char **arguments) {
  const json_t *inner = json_object_get(object, "function"), *from = json_is_object(inner) ? inner : object;
  const char *name = json_string_value(json_object_get(from, "name"));
  const json_t *given = json_object_get(from, "arguments");
  if (!given) given = json_object_get(from, "parameters");
  *arguments = NULL;
  if (!name || !calls_known(names, n_names, name)) return NULL;
  if (!given || json_is_null(given)) *arguments = strdup("{}");
  else if (json_is_string(given)) *arguments = strdup(json_string_value(given));
  else *arguments = json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY);
  return *arguments ? name : NULL;
}

/* One object; false: it is no call. */
static bool add_object(finder *f, const json_t *object) {
  char id[CALLS_ID_BYTES], *arguments;
  const char *name = calls_read(object, f->names, f->n_names, &arguments);
  if (!name) return false;
  calls_id(id, f->seed, f->n);
  prog_print(f->calls, "%s{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", f->n > 0 ? "," : "[", id);
  text_json(f->calls, name, strlen(name));
  prog_print(f->calls, ",\"arguments\":");
  text_json(f->calls, arguments, strlen(arguments));
  prog_print(f->calls, "}}");
  free(arguments);
  f->n++;
  return true;
}

/* An object, several one after the other, or a list of them, with nothing else beside them. */
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
static bool add_marked(finder *f, const char *data, size_t bytes, const calls_mark *m, size_t *content) {
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
                prog_buffer *calls, size_t *content_bytes) {
  finder f = {.names = names, .n_names = n_names, .seed = seed, .calls = calls};
  *content_bytes = bytes;
  bool found = false;
  for (const calls_mark *m = calls_marks; m->open && !found; m++) {
    const char *at = find(data, bytes, m->open);
    if (m->close) {
      found = add_marked(&f, data, bytes, m, content_bytes);
    } else if (at) {
      const char *from = at + strlen(m->open);
      found = add_json(&f, from, bytes - (size_t)(from - data));
      if (found) *content_bytes = (size_t)(at - data);
    }
  }
  if (!found && add_json(&f, data, bytes)) *content_bytes = 0;
  while (f.n > 0 && *content_bytes > 0 && strchr(" \t\r\n", data[*content_bytes - 1])) --*content_bytes;
  if (f.n > 0) prog_print(calls, "]");
}
