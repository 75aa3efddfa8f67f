/* SPDX-License-Identifier: Apache-2.0 */
/* See gguf_describe.h. */
#include "source/gguf_describe.h"

#include "source/type_json.h"

/* The string of a key under a name of ours; one that is missing, of another type or not UTF-8 is left out. */
static void add_string(const gguf_metadata *m, const char *key, const char *name, json_t *out) {
  gguf_string text;
  if (gguf_find(m, key) == NULL || gguf_get_string(m, key, &text, NULL) != ELLM_OK) return;
  json_t *value = json_stringn(text.data, text.bytes);
  if (value != NULL) json_object_set_new(out, name, value);
}

static json_t *tokenizer(const gguf_metadata *m) {
  const gguf_value *tokens;
  json_t *out = json_object();
  add_string(m, "tokenizer.ggml.model", "model", out);
  add_string(m, "tokenizer.ggml.pre", "pre", out);
  if (gguf_find(m, "tokenizer.ggml.tokens") != NULL &&
      gguf_get_array(m, "tokenizer.ggml.tokens", GGUF_VALUE_STRING, &tokens, NULL) == ELLM_OK)
    json_object_set_new(out, "tokens", json_integer((json_int_t)tokens->n));
  return out;
}

static json_t *types(const gguf_file *file) {
  uint64_t tensors[GGUF_TYPES] = {0}, elements[GGUF_TYPES] = {0}, bytes[GGUF_TYPES] = {0};
  json_t *list = json_array();
  for (size_t i = 0; i < gguf_tensor_count(file); i++) {
    const gguf_tensor *t = gguf_tensor_at(file, i);
    tensors[t->type]++;
    elements[t->type] += t->n_elements;
    bytes[t->type] += t->bytes;
  }
  for (uint32_t i = 0; i < GGUF_TYPES; i++) {
    if (tensors[i] == 0) continue;
    json_array_append_new(list, source_type_json(gguf_type_find(i)->name, tensors[i], elements[i], bytes[i]));
  }
  return list;
}

bool gguf_describe(const gguf_file *file, json_t *out) {
  const gguf_metadata *m = gguf_metadata_of(file);
  const bool has_tokenizer = gguf_find(m, "tokenizer.ggml.model") != NULL;
  add_string(m, "general.name", "name", out);
  add_string(m, "general.architecture", "gguf_architecture", out);
  return json_object_set_new(out, "files", json_integer((json_int_t)gguf_file_count(file))) == 0 &&
         json_object_set_new(out, "tokenizer", has_tokenizer ? tokenizer(m) : json_null()) == 0 &&
         json_object_set_new(out, "types", types(file)) == 0;
}
