/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the architecture stand for what changes results: each is either read here, or known to change nothing with
 * the value that it has, or refused. A model that is computed wrongly would be worse than none.
 */
#include "source/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

#define LLAMA "llama."

/* Keys that are read below, or whose meaning is none for this program. */
static const char *const known_keys[] = {
    LLAMA "block_count",
    LLAMA "context_length",
    LLAMA "embedding_length",
    LLAMA "feed_forward_length",
    LLAMA "attention.head_count",
    LLAMA "attention.head_count_kv",
    LLAMA "attention.key_length",
    LLAMA "attention.value_length",
    LLAMA "attention.layer_norm_rms_epsilon",
    LLAMA "rope.dimension_count",
    LLAMA "rope.freq_base",
    LLAMA "rope.scaling.type",
    LLAMA "rope.scaling.factor",
    LLAMA "rope.scaling.original_context_length",
    LLAMA "rope.scaling.finetuned",
    LLAMA "vocab_size",
    LLAMA "expert_count",
    LLAMA "expert_used_count",
    LLAMA "tensor_data_layout",
};

static ellm_status check_architecture(const gguf_metadata *m, ellm_error *err) {
  static const char key[] = "general.architecture";
  gguf_string name;
  if (gguf_find(m, key) == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: a GGUF file without key %s", m->path, key);
  ELLM_TRY(gguf_get_string(m, key, &name, err));
  if (name.bytes == 5 && memcmp(name.data, "llama", 5) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: general.architecture %.*s is not read from GGUF files, llama is", m->path,
                   GGUF_SHOWN(name));
}

static ellm_status check_keys(const gguf_metadata *m, ellm_error *err) {
  for (size_t i = 0; i < m->n; i++) {
    const gguf_string key = m->values[i].key;
    if (key.bytes < sizeof LLAMA || memcmp(key.data, LLAMA, sizeof LLAMA - 1) != 0) continue;
    bool known = false;
    for (size_t k = 0; !known && k < sizeof known_keys / sizeof *known_keys; k++)
      known = strlen(known_keys[k]) == key.bytes && memcmp(known_keys[k], key.data, key.bytes) == 0;
    if (!known)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s is not supported", m->path, GGUF_SHOWN(key));
  }
  return ELLM_OK;
}

/* A count, into *out and the configuration; `otherwise` where it is missing, 0: it must be there. */
static ellm_status count(const gguf_metadata *m, const char *key, uint32_t otherwise, json_t *config, const char *field,
                         uint32_t *out, ellm_error *err) {
  int64_t number = otherwise;
  if (otherwise == 0 || gguf_find(m, key) != NULL) ELLM_TRY(gguf_get_integer(m, key, 1, INT32_MAX, &number, err));
  *out = (uint32_t)number;
  if (field == NULL || json_object_set_new(config, field, json_integer(number)) == 0) return ELLM_OK;
  return ellm_fail_memory(err, 0, "a configuration");
}

/* The shortest decimal number that is this F32, as it stood in the configuration that the file was made from. */
static double shortest(double number) {
  for (int digits = 1; digits < 9; digits++) {
    char text[64];
    snprintf(text, sizeof text, "%.*g", digits, number);
    const double read = strtod(text, NULL);
    if ((float)read == (float)number) return read;
  }
  return number;
}

static ellm_status real(const gguf_metadata *m, const char *key, json_t *config, const char *field, ellm_error *err) {
  double number;
  ELLM_TRY(gguf_get_number(m, key, &number, err));
  if (json_object_set_new(config, field, json_real(shortest(number))) == 0) return ELLM_OK;
  return ellm_fail_memory(err, 0, "a configuration");
}

static bool string_is(gguf_string string, const char *text) {
  return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

static ellm_status rope(const gguf_file *file, json_t *config, ellm_error *err) {
  const gguf_metadata *m = gguf_metadata_of(file);
  static const char type_key[] = LLAMA "rope.scaling.type";
  if (gguf_tensor_find(file, "rope_freqs.weight") != NULL)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor rope_freqs.weight: rotary factors are not supported", m->path);
  if (gguf_find(m, LLAMA "rope.freq_base") != NULL) {
    ELLM_TRY(real(m, LLAMA "rope.freq_base", config, "rope_theta", err));
  } else if (json_object_set_new(config, "rope_theta", json_real(10000)) != 0) {
    return ellm_fail_memory(err, 0, "a configuration");
  }
  if (gguf_find(m, type_key) == NULL) {
    if (gguf_find(m, LLAMA "rope.scaling.factor") == NULL) return ELLM_OK;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is missing beside llama.rope.scaling.factor", m->path, type_key);
  }
  gguf_string type;
  ELLM_TRY(gguf_get_string(m, type_key, &type, err));
  if (string_is(type, "none")) return ELLM_OK;
  if (!string_is(type, "linear"))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %.*s, none or linear is supported", m->path, type_key,
                     GGUF_SHOWN(type));
  json_t *scaling = json_pack("{s:s}", "rope_type", "linear");
  if (scaling == NULL || json_object_set_new(config, "rope_scaling", scaling) != 0)
    return ellm_fail_memory(err, 0, "a configuration");
  return real(m, LLAMA "rope.scaling.factor", scaling, "factor", err);
}

static ellm_status heads(const gguf_metadata *m, uint32_t hidden, json_t *config, gguf_shape *shape, ellm_error *err) {
  uint32_t value_length, rotated;
  ELLM_TRY(count(m, LLAMA "attention.head_count", 0, config, "num_attention_heads", &shape->n_heads, err));
  ELLM_TRY(count(m, LLAMA "attention.head_count_kv", shape->n_heads, config, "num_key_value_heads", &shape->n_kv_heads,
                 err));
  if (gguf_find(m, LLAMA "attention.key_length") == NULL && hidden % shape->n_heads != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key llama.embedding_length %u is not a multiple of head_count %u",
                     m->path,
                     (unsigned)hidden, (unsigned)shape->n_heads);
  }
  const uint32_t usual = hidden / shape->n_heads > 0 ? hidden / shape->n_heads : 1;
  ELLM_TRY(count(m, LLAMA "attention.key_length", usual, config, "head_dim", &shape->head_dim, err));
  ELLM_TRY(count(m, LLAMA "attention.value_length", usual, config, NULL, &value_length, err));
  ELLM_TRY(count(m, LLAMA "rope.dimension_count", shape->head_dim, config, NULL, &rotated, err));
  if (value_length != shape->head_dim || rotated != shape->head_dim) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: heads have keys of %u, values of %u and %u rotated dimensions, equal numbers are supported",
                     m->path, (unsigned)shape->head_dim, (unsigned)value_length, (unsigned)rotated);
  }
  if (shape->head_dim % 2 == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: heads have %u dimensions, an even number is wanted", m->path,
                   (unsigned)shape->head_dim);
}

/* Rows of the embedding; llama.vocab_size is not always there. */
static ellm_status vocabulary(const gguf_file *file, json_t *config, ellm_error *err) {
  const gguf_metadata *m = gguf_metadata_of(file);
  static const char key[] = LLAMA "vocab_size";
  const gguf_tensor *embedding = gguf_tensor_find(file, "token_embd.weight");
  if (embedding == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor token_embd.weight is missing", m->path);
  if (embedding->n_dims != 2 || embedding->shape[0] > INT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor token_embd.weight is no matrix of a vocabulary", m->path);
  const int64_t rows = (int64_t)embedding->shape[0];
  int64_t said = rows;
  if (gguf_find(m, key) != NULL) ELLM_TRY(gguf_get_integer(m, key, 1, INT32_MAX, &said, err));
  if (said != rows) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %lld, tensor token_embd.weight has %lld rows", m->path, key,
                     (long long)said, (long long)rows);
  }
  if (json_object_set_new(config, "vocab_size", json_integer(rows)) == 0) return ELLM_OK;
  return ellm_fail_memory(err, 0, "a configuration");
}

/* Ids of the vocabulary, where they are there. */
static ellm_status token_ids(const gguf_metadata *m, json_t *config, ellm_error *err) {
  static const char *const keys[][2] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                        {"tokenizer.ggml.eos_token_id", "eos_token_id"}};
  const int64_t vocab_size = json_integer_value(json_object_get(config, "vocab_size"));
  for (size_t i = 0; i < 2; i++) {
    int64_t id;
    if (gguf_find(m, keys[i][0]) == NULL) continue;
    ELLM_TRY(gguf_get_integer(m, keys[i][0], 0, vocab_size - 1, &id, err));
    if (json_object_set_new(config, keys[i][1], json_integer(id)) != 0)
      return ellm_fail_memory(err, 0, "a configuration");
  }
  return ELLM_OK;
}

static ellm_status fill(const gguf_file *file, gguf_shape *shape, json_t *config, ellm_error *err) {
  const gguf_metadata *m = gguf_metadata_of(file);
  uint32_t hidden, ignored;
  int64_t experts;
  ELLM_TRY(check_architecture(m, err));
  ELLM_TRY(check_keys(m, err));
  if (gguf_find(m, LLAMA "expert_count") != NULL) /* 0 stands in files of dense models */
    ELLM_TRY(gguf_get_integer(m, LLAMA "expert_count", 0, 0, &experts, err));
  ELLM_TRY(count(m, LLAMA "block_count", 0, config, "num_hidden_layers", &shape->n_layers, err));
  ELLM_TRY(count(m, LLAMA "context_length", 0, config, "max_position_embeddings", &ignored, err));
  ELLM_TRY(count(m, LLAMA "embedding_length", 0, config, "hidden_size", &hidden, err));
  ELLM_TRY(count(m, LLAMA "feed_forward_length", 0, config, "intermediate_size", &ignored, err));
  ELLM_TRY(real(m, LLAMA "attention.layer_norm_rms_epsilon", config, "rms_norm_eps", err));
  ELLM_TRY(heads(m, hidden, config, shape, err));
  ELLM_TRY(rope(file, config, err));
  ELLM_TRY(vocabulary(file, config, err));
  return token_ids(m, config, err);
}

ellm_status gguf_config(const gguf_file *file, gguf_shape *shape, char **text, ellm_error *err) {
  *text = NULL;
  json_t *config = json_pack("{s:[s], s:s, s:s, s:b, s:b, s:b}", "architectures", "LlamaForCausalLM", "model_type",
                             "llama",
                             "hidden_act", "silu", "tie_word_embeddings",
                             (int)(gguf_tensor_find(file, "output.weight") == NULL), "attention_bias",
                             (int)(gguf_tensor_find(file, "blk.0.attn_q.bias") != NULL), "mlp_bias",
                             (int)(gguf_tensor_find(file, "blk.0.ffn_up.bias") != NULL));
  if (config == NULL) return ellm_fail_memory(err, 0, "a configuration");
  const ellm_status status = fill(file, shape, config, err);
  if (status == ELLM_OK) *text = json_dumps(config, JSON_INDENT(2));
  json_decref(config);
  return status != ELLM_OK || *text != NULL ? status : ellm_fail_memory(err, 0, "a configuration");
}
