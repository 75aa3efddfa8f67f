/* SPDX-License-Identifier: Apache-2.0 */
/* See describe.h. A kind that stores tensors in types of its own tells of them and of its format (kind.h). */
#include "source/describe.h"

#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "json/lenient.h"
#include "source/kind.h"
#include "source/type_json.h"

/* Fields of config.json, and what they are called here. */
static const char *const config_fields[][2] = {
    {"num_hidden_layers", "layers"},         {"hidden_size", "hidden_size"},
    {"intermediate_size", "feed_forward"},   {"num_attention_heads", "heads"},
    {"num_key_value_heads", "kv_heads"},     {"head_dim", "head_dim"},
    {"num_local_experts", "experts"},        {"num_experts", "experts"},
    {"num_experts_per_tok", "experts_used"}, {"sliding_window", "sliding_window"},
    {"vocab_size", "vocabulary"},            {"max_position_embeddings", "context"},
};

/* A small file as JSON into *root; NULL: it is not there, or is none. False: no memory. */
static bool parse_asset(const tensor_source *s, const char *name, json_t **root) {
  size_t bytes = 0;
  *root = NULL;
  const void *text = source_asset(s, name, &bytes);
  return text == NULL || json_parse_lenient(text, bytes, name, root, NULL) != ELLM_ERR_IO;
}

static bool describe_config(const tensor_source *s, json_t *out) {
  json_t *config;
  bool ok = parse_asset(s, "config.json", &config);
  const json_t *inner = json_object_get(config, "text_config"); /* of a wrapper around a language model */
  const json_t *classes = json_object_get(config, "architectures");
  if (json_is_string(json_array_get(classes, 0)))
    ok = ok && json_object_set(out, "architecture", json_array_get(classes, 0)) == 0;
  if (json_is_string(json_object_get(config, "model_type")))
    ok = ok && json_object_set(out, "model_type", json_object_get(config, "model_type")) == 0;
  for (size_t i = 0; ok && i < sizeof config_fields / sizeof *config_fields; i++) {
    json_t *value = json_object_get(config, config_fields[i][0]);
    if (value == NULL) value = json_object_get(inner, config_fields[i][0]);
    if (json_is_integer(value)) ok = json_object_set(out, config_fields[i][1], value) == 0;
  }
  json_decref(config);
  return ok;
}

/* Is there a chat template, of whatever name? */
static bool describe_template(const tensor_source *s, json_t *out) {
  static const char *const files[] = {"chat_template.json", "tokenizer_config.json"};
  bool has = source_asset(s, "chat_template.jinja", NULL) != NULL, ok = true;
  for (size_t i = 0; ok && !has && i < sizeof files / sizeof *files; i++) {
    json_t *root;
    ok = parse_asset(s, files[i], &root);
    const json_t *value = json_object_get(root, "chat_template");
    has = value != NULL && !json_is_null(value);
    json_decref(root);
  }
  return ok && json_object_set_new(out, "chat_template", json_boolean(has)) == 0;
}

/* Element types of the tensors as they are read. */
static bool describe_types(const tensor_source *s, json_t *out) {
  enum { DTYPES = 16 }; /* the last one: coded */
  uint64_t tensors[DTYPES + 1] = {0}, elements[DTYPES + 1] = {0}, bytes[DTYPES + 1] = {0};
  for (size_t i = 0; i < s->n_tensors; i++) {
    const source_tensor *t = &s->tensors[i];
    const size_t at = t->coded != NULL || (size_t)t->dtype >= DTYPES ? DTYPES : (size_t)t->dtype;
    tensors[at]++;
    elements[at] += t->n_elements;
    ellm_tensor_info info = {.stored_bytes = t->bytes};
    if (t->coded != NULL) container_tensor_describe(t->coded, &info);
    bytes[at] += info.stored_bytes;
  }
  json_t *types = json_array();
  bool ok = types != NULL;
  for (size_t i = 0; ok && i <= DTYPES; i++) {
    const char *name = i < DTYPES ? ellm_dtype_name((ellm_dtype)i) : "coded";
    if (tensors[i] > 0)
      ok = json_array_append_new(types, source_type_json(name, tensors[i], elements[i], bytes[i])) == 0;
  }
  return json_object_set_new(out, "types", types) == 0 && ok;
}

static bool describe(const tensor_source *s, json_t *out) {
  uint64_t parameters = 0, bytes = 0;
  for (size_t i = 0; i < s->n_tensors; i++) parameters += s->tensors[i].n_elements;
  const char *quantized = source_quantized(s);
  bool ok = json_object_set_new(out, "format", json_string(s->kind->format)) == 0;
  if (s->kind->describe != NULL) ok = ok && s->kind->describe(s, out);
  ok = ok && describe_config(s, out);
  if (json_object_get(out, "types") == NULL) ok = ok && describe_types(s, out);
  const json_t *types = json_object_get(out, "types");
  for (size_t i = 0; i < json_array_size(types); i++)
    bytes += (uint64_t)json_integer_value(json_object_get(json_array_get(types, i), "bytes"));
  const double bits = parameters > 0 ? 8.0 * (double)bytes / (double)parameters : 0.0;
  ok = ok && json_object_set_new(out, "parameters", json_integer((json_int_t)parameters)) == 0 &&
       json_object_set_new(out, "tensor_bytes", json_integer((json_int_t)bytes)) == 0 &&
       json_object_set_new(out, "bits_per_weight", json_real(bits)) == 0 &&
       describe_template(s, out);
  if (quantized != NULL) ok = ok && json_object_set_new(out, "quantized", json_string(quantized)) == 0;
  if (json_object_get(out, "tokenizer") != NULL) return ok;
  const char *tokenizer = source_asset(s, "tokenizer.json", NULL) != NULL    ? "tokenizer.json"
                          : source_asset(s, "tokenizer.model", NULL) != NULL ? "tokenizer.model"
                                                                             : NULL;
  json_t *value = tokenizer != NULL ? json_pack("{s:s}", "file", tokenizer) : json_null();
  return json_object_set_new(out, "tokenizer", value) == 0 && ok;
}

ellm_status source_describe(const tensor_source *s, char **json, ellm_error *err) {
  json_t *out = json_object();
  *json = out != NULL && describe(s, out) ? json_text(out, 0) : NULL;
  json_decref(out);
  return *json != NULL ? ELLM_OK : ellm_fail_memory(err, 0, "a description");
}
