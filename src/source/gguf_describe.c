/* SPDX-License-Identifier: Apache-2.0 */
/* See gguf_describe.h. */
#include "source/gguf_describe.h"

#include "source/type_json.h"

/* The string of a key under a name of ours; one that is missing, of another type or not UTF-8 is left out. False: no
 * memory. jansson says no more than that it cannot, so it is asked again, and then for the bytes as they are. */
static bool add_string(const gguf_metadata *m, const char *key, const char *name, json_t *out) {
  gguf_string text;
  if (gguf_find(m, key) == NULL || gguf_get_string(m, key, &text, NULL) != ELLM_OK) return true;
  json_t *value = json_stringn(text.data, text.bytes);
  if (value == NULL) value = json_stringn(text.data, text.bytes);
  if (value != NULL) return json_object_set_new(out, name, value) == 0;
  json_t *bytes = json_stringn_nocheck(text.data, text.bytes);
  json_decref(bytes);
  return bytes != NULL;
}

static bool add_tokenizer(const gguf_metadata *m, json_t *all) {
  const gguf_value *tokens;
  if (gguf_find(m, "tokenizer.ggml.model") == NULL) return json_object_set_new(all, "tokenizer", json_null()) == 0;
  json_t *out = json_object();
  bool ok = out != NULL && add_string(m, "tokenizer.ggml.model", "model", out) &&
            add_string(m, "tokenizer.ggml.pre", "pre", out);
  if (ok && gguf_find(m, "tokenizer.ggml.tokens") != NULL &&
      gguf_get_array(m, "tokenizer.ggml.tokens", GGUF_VALUE_STRING, &tokens, NULL) == ELLM_OK)
    ok = json_object_set_new(out, "tokens", json_integer((json_int_t)tokens->n)) == 0;
  return json_object_set_new(all, "tokenizer", out) == 0 && ok;
}

static bool add_types(const gguf_file *file, json_t *all) {
  uint64_t tensors[GGUF_TYPES] = {0}, elements[GGUF_TYPES] = {0}, bytes[GGUF_TYPES] = {0};
  json_t *list = json_array();
  bool ok = list != NULL;
  for (size_t i = 0; i < gguf_tensor_count(file); i++) {
    const gguf_tensor *t = gguf_tensor_at(file, i);
    tensors[t->type]++;
    elements[t->type] += t->n_elements;
    bytes[t->type] += t->bytes;
  }
  for (uint32_t i = 0; ok && i < GGUF_TYPES; i++)
    if (tensors[i] != 0)
      ok = json_array_append_new(list, source_type_json(gguf_type_find(i)->name, tensors[i], elements[i], bytes[i])) == 0;
  return json_object_set_new(all, "types", list) == 0 && ok;
}

bool gguf_describe(const gguf_file *file, json_t *out) {
  const gguf_metadata *m = gguf_metadata_of(file);
  return add_string(m, "general.name", "name", out) && add_string(m, "general.architecture", "gguf_architecture", out) &&
         json_object_set_new(out, "files", json_integer((json_int_t)gguf_file_count(file))) == 0 &&
         add_tokenizer(m, out) && add_types(file, out);
}
