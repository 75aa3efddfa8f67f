/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the architecture stand for what changes results: each is either read here, or known to change nothing with
 * the value that it has, or refused. A model that is computed wrongly would be worse than none.
 *
 * What files do not say is what llama.cpp takes for their architecture: which layers of SmolLM3 rotate, which layers of
 * Gemma have a window, what Gemma's scores are scaled by, that Qwen3-MoE divides by the sum of the experts' weights.
 */
#include "source/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

enum { MAX_EXPERTS = 4096 };

/* What is at work. Keys are named by what is behind "ARCHITECTURE.". */
typedef struct maker {
  const gguf_file *file;
  const gguf_metadata *m;
  const gguf_arch *arch;
  gguf_shape *shape;
  json_t *config;
  uint32_t hidden, context;
  char key[80];
} maker;

static const char *key_of(maker *k, const char *behind) {
  snprintf(k->key, sizeof k->key, "%s.%s", k->arch->name, behind);
  return k->key;
}

static bool has(maker *k, const char *behind) { return gguf_find(k->m, key_of(k, behind)) != NULL; }

static bool is(const maker *k, const char *architecture) { return strcmp(k->arch->name, architecture) == 0; }

static ellm_status set(json_t *object, const char *field, json_t *value, ellm_error *err) {
  return json_object_set_new(object, field, value) == 0 ? ELLM_OK : ellm_fail_memory(err, 0, "a configuration");
}

/* A count, into *out and the configuration; `otherwise` where it is missing, 0: it must be there. */
static ellm_status count(maker *k, const char *behind, uint32_t otherwise, const char *field, uint32_t *out,
                         ellm_error *err) {
  int64_t number = otherwise;
  const char *key = key_of(k, behind);
  if (otherwise == 0 || gguf_find(k->m, key) != NULL)
    ELLM_TRY(gguf_get_integer(k->m, key, 1, INT32_MAX, &number, err));
  *out = (uint32_t)number;
  return field == NULL ? ELLM_OK : set(k->config, field, json_integer(number), err);
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

static ellm_status real(maker *k, const char *behind, json_t *object, const char *field, ellm_error *err) {
  double number;
  ELLM_TRY(gguf_get_number(k->m, key_of(k, behind), &number, err));
  return set(object, field, json_real(shortest(number)), err);
}

/* The same, where the key is there. */
static ellm_status real_if_there(maker *k, const char *behind, json_t *object, const char *field, ellm_error *err) {
  return has(k, behind) ? real(k, behind, object, field, err) : ELLM_OK;
}

static bool string_is(gguf_string string, const char *text) {
  return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

/* ------------------------------------------------------------------- rotation */

/* A tensor of factors, one a rotating pair, as a field. */
static ellm_status factors(maker *k, const char *name, json_t *object, const char *field, ellm_error *err) {
  const gguf_tensor *t = gguf_tensor_find(k->file, name);
  const uint32_t n = k->shape->rotated / 2;
  if (t == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is missing", k->m->path, name);
  if (t->n_dims != 1 || t->shape[0] != n)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has %llu elements, half of the rotated dimensions are %u",
                     t->path, t->name, (unsigned long long)t->n_elements, (unsigned)n);
  json_t *list = json_array();
  ELLM_TRY(set(object, field, list, err));
  for (uint32_t i = 0; i < n; i++) {
    float factor;
    ELLM_TRY(gguf_tensor_floats(t, i, 1, &factor, err));
    if (!(factor >= 1e-6f && factor <= 1e6f))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element %u is %g, a number from 1e-06 to 1e+06 is expected",
                       t->path, t->name, (unsigned)i, (double)factor);
    if (json_array_append_new(list, json_real(factor)) != 0) return ellm_fail_memory(err, 0, "a configuration");
  }
  return ELLM_OK;
}

/* Factors for all lengths, which Llama 3.1 and later have: longrope, whose short and long factors are the same. */
static ellm_status one_list(maker *k, json_t *scaling, ellm_error *err) {
  static const char name[] = "rope_freqs.weight";
  ELLM_TRY(factors(k, name, scaling, "short_factor", err));
  ELLM_TRY(factors(k, name, scaling, "long_factor", err));
  ELLM_TRY(set(scaling, "attention_factor", json_real(1), err));
  return set(scaling, "original_max_position_embeddings", json_integer(k->context), err);
}

static ellm_status two_lists(maker *k, json_t *scaling, ellm_error *err) {
  uint32_t original;
  ELLM_TRY(factors(k, "rope_factors_short.weight", scaling, "short_factor", err));
  ELLM_TRY(factors(k, "rope_factors_long.weight", scaling, "long_factor", err));
  ELLM_TRY(real_if_there(k, "rope.scaling.attn_factor", scaling, "attention_factor", err));
  ELLM_TRY(count(k, "rope.scaling.original_context_length", 0, NULL, &original, err));
  return set(k->config, "original_max_position_embeddings", json_integer(original), err);
}

/* What the file has of factors: those that its architecture reads. */
static ellm_status factor_lists(maker *k, bool *found, ellm_error *err) {
  const bool two = gguf_tensor_find(k->file, "rope_factors_short.weight") != NULL ||
                   gguf_tensor_find(k->file, "rope_factors_long.weight") != NULL;
  const bool one = gguf_tensor_find(k->file, "rope_freqs.weight") != NULL;
  *found = one || two;
  if (!*found) return ELLM_OK;
  if ((two && !is(k, "phi3")) || (one && !is(k, "llama") && !is(k, "smollm3")))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: rotary factors are not supported for %s", k->m->path,
                     two ? "rope_factors_long.weight" : "rope_freqs.weight", k->arch->name);
  json_t *scaling = json_pack("{s:s}", "rope_type", "longrope");
  ELLM_TRY(set(k->config, "rope_scaling", scaling, err));
  return two ? two_lists(k, scaling, err) : one_list(k, scaling, err);
}

static ellm_status rope(maker *k, ellm_error *err) {
  static const char type_key[] = "rope.scaling.type";
  bool lists = false;
  if (has(k, "rope.freq_base")) ELLM_TRY(real(k, "rope.freq_base", k->config, "rope_theta", err));
  else ELLM_TRY(set(k->config, "rope_theta", json_real(10000), err));
  ELLM_TRY(factor_lists(k, &lists, err));
  if (!has(k, type_key)) {
    if (lists || !has(k, "rope.scaling.factor")) return ELLM_OK;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s.%s is missing beside rope.scaling.factor", k->m->path,
                     k->arch->name, type_key);
  }
  gguf_string type;
  ELLM_TRY(gguf_get_string(k->m, key_of(k, type_key), &type, err));
  if (string_is(type, "none") || (lists && string_is(type, "longrope"))) return ELLM_OK;
  const bool yarn = string_is(type, "yarn");
  if (lists || (!yarn && !string_is(type, "linear")))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %.*s, none, linear or yarn is supported", k->m->path,
                     key_of(k, type_key), GGUF_SHOWN(type));
  json_t *scaling = json_pack("{s:s}", "rope_type", yarn ? "yarn" : "linear");
  ELLM_TRY(set(k->config, "rope_scaling", scaling, err));
  ELLM_TRY(real(k, "rope.scaling.factor", scaling, "factor", err));
  if (!yarn) return ELLM_OK;
  uint32_t original;
  ELLM_TRY(count(k, "rope.scaling.original_context_length", 0, NULL, &original, err));
  return set(scaling, "original_max_position_embeddings", json_integer(original), err);
}

/* ---------------------------------------------------------------------- sizes */

/* The share of a head that rotates, so that its product with head_dim, rounded down, is the number again. */
static ellm_status partial(maker *k, ellm_error *err) {
  const gguf_shape *s = k->shape;
  if (s->rotated == s->head_dim) return ELLM_OK;
  double share = (double)s->rotated / s->head_dim;
  if ((uint32_t)(s->head_dim * share) != s->rotated) share = (s->rotated + 0.5) / s->head_dim;
  return set(k->config, "partial_rotary_factor", json_real(share), err);
}

static ellm_status heads(maker *k, ellm_error *err) {
  gguf_shape *s = k->shape;
  uint32_t value_length;
  ELLM_TRY(count(k, "attention.head_count", 0, "num_attention_heads", &s->n_heads, err));
  ELLM_TRY(count(k, "attention.head_count_kv", s->n_heads, "num_key_value_heads", &s->n_kv_heads, err));
  if (!has(k, "attention.key_length") && k->hidden % s->n_heads != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s.embedding_length %u is not a multiple of head_count %u",
                     k->m->path, k->arch->name, (unsigned)k->hidden, (unsigned)s->n_heads);
  const uint32_t usual = k->hidden / s->n_heads > 0 ? k->hidden / s->n_heads : 1;
  ELLM_TRY(count(k, "attention.key_length", usual, "head_dim", &s->head_dim, err));
  ELLM_TRY(count(k, "attention.value_length", usual, NULL, &value_length, err));
  ELLM_TRY(count(k, "rope.dimension_count", s->head_dim, NULL, &s->rotated, err));
  const bool rotates = s->rotated == s->head_dim || (is(k, "phi3") && s->rotated < s->head_dim && s->rotated % 2 == 0);
  if (value_length != s->head_dim || !rotates)
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: heads have keys of %u, values of %u and %u rotated dimensions, equal numbers are supported",
                     k->m->path, (unsigned)s->head_dim, (unsigned)value_length, (unsigned)s->rotated);
  if (s->head_dim % 2 != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: heads have %u dimensions, an even number is expected", k->m->path,
                     (unsigned)s->head_dim);
  return partial(k, err);
}

/* Rows of the embedding; vocab_size is not always there. */
static ellm_status vocabulary(maker *k, ellm_error *err) {
  const gguf_metadata *m = k->m;
  const char *key = key_of(k, "vocab_size");
  const gguf_tensor *embedding = gguf_tensor_find(k->file, "token_embd.weight");
  if (embedding == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor token_embd.weight is missing", m->path);
  if (embedding->n_dims != 2 || embedding->shape[0] > INT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor token_embd.weight is not a matrix of a vocabulary", m->path);
  const int64_t rows = (int64_t)embedding->shape[0];
  int64_t said = rows;
  if (gguf_find(m, key) != NULL) ELLM_TRY(gguf_get_integer(m, key, 1, INT32_MAX, &said, err));
  if (said != rows) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %lld, tensor token_embd.weight has %lld rows", m->path, key,
                     (long long)said, (long long)rows);
  }
  return set(k->config, "vocab_size", json_integer(rows), err);
}

/* Ids of the vocabulary, where they are there. */
static ellm_status token_ids(maker *k, ellm_error *err) {
  static const char *const keys[][2] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                        {"tokenizer.ggml.eos_token_id", "eos_token_id"}};
  const int64_t vocab_size = json_integer_value(json_object_get(k->config, "vocab_size"));
  for (size_t i = 0; i < 2; i++) {
    int64_t id;
    if (gguf_find(k->m, keys[i][0]) == NULL) continue;
    ELLM_TRY(gguf_get_integer(k->m, keys[i][0], 0, vocab_size - 1, &id, err));
    ELLM_TRY(set(k->config, keys[i][1], json_integer(id), err));
  }
  return ELLM_OK;
}

/* ------------------------------------------------------- what architectures add */

static ellm_status expert_counts(maker *k, ellm_error *err) {
  uint32_t used, inner;
  const bool mixtral = is(k, "llama");
  ELLM_TRY(count(k, "expert_count", 0, mixtral ? "num_local_experts" : "num_experts", &k->shape->n_experts, err));
  if (k->shape->n_experts > MAX_EXPERTS)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %u experts, at most %d are supported", k->m->path,
                     (unsigned)k->shape->n_experts, MAX_EXPERTS);
  ELLM_TRY(count(k, "expert_used_count", 0, "num_experts_per_tok", &used, err));
  if (mixtral) return set(k->config, "sliding_window", json_null(), err);
  ELLM_TRY(count(k, "expert_feed_forward_length", 0, "moe_intermediate_size", &inner, err));
  return set(k->config, "norm_topk_prob", json_true(), err);
}

/* 0 stands where there is none. */
static ellm_status phi3(maker *k, ellm_error *err) {
  int64_t window = 0;
  if (has(k, "attention.sliding_window"))
    ELLM_TRY(gguf_get_integer(k->m, key_of(k, "attention.sliding_window"), 0, INT32_MAX, &window, err));
  return set(k->config, "sliding_window", window > 0 ? json_integer(window) : json_null(), err);
}

/* Scores are scaled by the head's dimensions but in the largest model, which has more heads than that would be. */
static ellm_status gemma_scale(maker *k, uint32_t layers_of_27b, ellm_error *err) {
  const gguf_shape *s = k->shape;
  const uint32_t scalar = s->n_layers == layers_of_27b ? k->hidden / s->n_heads : s->head_dim;
  return set(k->config, "query_pre_attn_scalar", json_integer(scalar), err);
}

static ellm_status gemma2(maker *k, ellm_error *err) {
  uint32_t window;
  ELLM_TRY(gemma_scale(k, 46, err));
  if (has(k, "attention.sliding_window"))
    ELLM_TRY(count(k, "attention.sliding_window", 0, "sliding_window", &window, err));
  ELLM_TRY(real_if_there(k, "attn_logit_softcapping", k->config, "attn_logit_softcapping", err));
  return real_if_there(k, "final_logit_softcapping", k->config, "final_logit_softcapping", err);
}

static ellm_status gemma3(maker *k, ellm_error *err) {
  uint32_t window, pattern;
  ELLM_TRY(gemma_scale(k, 62, err));
  ELLM_TRY(real_if_there(k, "final_logit_softcapping", k->config, "final_logit_softcapping", err));
  ELLM_TRY(real_if_there(k, "rope.freq_base_swa", k->config, "rope_local_base_freq", err));
  /* without a window no layer has one */
  const bool windows = has(k, "attention.sliding_window");
  if (windows) ELLM_TRY(count(k, "attention.sliding_window", 0, "sliding_window", &window, err));
  return count(k, "attention.sliding_window_pattern", windows ? 6 : 1, "sliding_window_pattern", &pattern, err);
}

static ellm_status add_facts(maker *k, ellm_error *err) {
  if (k->arch->experts) return expert_counts(k, err);
  if (is(k, "phi3")) return phi3(k, err);
  if (is(k, "gemma2")) return gemma2(k, err);
  if (is(k, "gemma3")) return gemma3(k, err);
  return ELLM_OK;
}

static ellm_status fill(maker *k, ellm_error *err) {
  uint32_t ignored;
  ELLM_TRY(gguf_arch_check_keys(k->m, k->arch, err));
  ELLM_TRY(count(k, "block_count", 0, "num_hidden_layers", &k->shape->n_layers, err));
  ELLM_TRY(count(k, "context_length", 0, "max_position_embeddings", &k->context, err));
  ELLM_TRY(count(k, "embedding_length", 0, "hidden_size", &k->hidden, err));
  ELLM_TRY(count(k, "feed_forward_length", 0, "intermediate_size", &ignored, err));
  ELLM_TRY(real(k, "attention.layer_norm_rms_epsilon", k->config, "rms_norm_eps", err));
  ELLM_TRY(heads(k, err));
  ELLM_TRY(rope(k, err));
  ELLM_TRY(vocabulary(k, err));
  ELLM_TRY(add_facts(k, err));
  return token_ids(k, err);
}

static bool has_tensor(const gguf_file *file, const char *name) { return gguf_tensor_find(file, name) != NULL; }

ellm_status gguf_config(const gguf_file *file, gguf_shape *shape, char **text, ellm_error *err) {
  maker k = {.file = file, .m = gguf_metadata_of(file), .shape = shape};
  *text = NULL;
  *shape = (gguf_shape){0};
  ELLM_TRY(gguf_arch_find(k.m, &k.arch, err));
  shape->arch = k.arch;
  const bool gemma = k.arch->norms_from_one;
  k.config = json_pack("{s:[s], s:s, s:s, s:b}", "architectures", k.arch->class_name, "model_type",
                       k.arch->model_type, gemma ? "hidden_activation" : "hidden_act",
                       gemma ? "gelu_pytorch_tanh" : "silu", "tie_word_embeddings",
                       (int)!has_tensor(file, "output.weight"));
  if (k.config == NULL) return ellm_fail_memory(err, 0, "a configuration");
  ellm_status status = set(k.config, "attention_bias", json_boolean(has_tensor(file, "blk.0.attn_q.bias")), err);
  if (status == ELLM_OK) status = set(k.config, "mlp_bias", json_boolean(has_tensor(file, "blk.0.ffn_up.bias")), err);
  if (status == ELLM_OK) status = fill(&k, err);
  if (status == ELLM_OK) *text = json_text(k.config, JSON_INDENT(2));
  json_decref(k.config);
  return status != ELLM_OK || *text != NULL ? status : ellm_fail_memory(err, 0, "a configuration");
}
