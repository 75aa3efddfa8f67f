/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json. A missing field has the value that Transformers' configuration
 * class of the architecture gives it. Whatever would change the result and is
 * not implemented is refused by name and value; fields that only concern
 * training or other programs are not looked at. After a successful parse every
 * size is above zero, bounded and consistent, so that those who multiply and
 * divide by them need not ask again.
 */
#include "arch/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/config_fields.h"
#include "arch/families.h"
#include "arch/rope_config.h"

/* ---------------------------------------------------------------------- sizes */
static ellm_status parse_heads(const config_reader *in, model_config *config, ellm_error *err) {
  const arch_fields *f = in->arch->fields;
  const arch_defaults *defaults = &in->arch->defaults;
  config->n_heads = defaults->n_heads;
  ELLM_TRY(config_size(in, f->n_heads, defaults->n_heads == 0, CONFIG_MAX_SIZE, &config->n_heads, err));
  config->n_kv_heads =
      defaults->n_kv_heads == 0 || config_is_null(in, f->n_kv_heads) ? config->n_heads : defaults->n_kv_heads;
  ELLM_TRY(config_size(in, f->n_kv_heads, false, CONFIG_MAX_SIZE, &config->n_kv_heads, err));
  if (config->n_heads % config->n_kv_heads != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %u is not a multiple of %s %u", in->origin, f->n_heads,
                     (unsigned)config->n_heads, f->n_kv_heads, (unsigned)config->n_kv_heads);
  if (config_is_missing(in, f->head_dim) && defaults->head_dim != 0) {
    config->head_dim = defaults->head_dim;
  } else if (config_is_missing(in, f->head_dim) || config_is_null(in, f->head_dim)) {
    if (config->hidden_size % config->n_heads != 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %u is not a multiple of %s %u", in->origin, f->hidden_size,
                       (unsigned)config->hidden_size, f->n_heads, (unsigned)config->n_heads);
    config->head_dim = config->hidden_size / config->n_heads;
  }
  ELLM_TRY(config_size(in, f->head_dim, false, CONFIG_MAX_HEAD_DIM, &config->head_dim, err));
  if (config->head_dim % 2 != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %u is odd", in->origin, f->head_dim, (unsigned)config->head_dim);
  /* rows of the projections; queries, keys and values may be fused */
  if ((uint64_t)config->head_dim * (config->n_heads + 2 * (uint64_t)config->n_kv_heads) > CONFIG_MAX_SIZE)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %u heads of %u dimensions are too many", in->origin,
                     (unsigned)config->n_heads, (unsigned)config->head_dim);
  return ELLM_OK;
}

static ellm_status parse_sizes(const config_reader *in, model_config *config, ellm_error *err) {
  const arch_fields *f = in->arch->fields;
  const arch_defaults *defaults = &in->arch->defaults;
  const struct {
    const char *field;
    uint32_t missing, limit, *out;
  } sizes[] = {
      {f->vocab_size, defaults->vocab_size, CONFIG_MAX_SIZE, &config->vocab_size},
      {f->hidden_size, defaults->hidden_size, CONFIG_MAX_SIZE, &config->hidden_size},
      {f->intermediate_size, defaults->intermediate_size, CONFIG_MAX_SIZE / 2, &config->intermediate_size},
      {f->n_layers, defaults->n_layers, CONFIG_MAX_LAYERS, &config->n_layers},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    *sizes[i].out = sizes[i].missing;
    ELLM_TRY(config_size(in, sizes[i].field, sizes[i].missing == 0, sizes[i].limit, sizes[i].out, err));
  }
  config->max_position_embeddings = defaults->max_position_embeddings;
  ELLM_TRY(config_size(in, f->max_position_embeddings, false, CONFIG_MAX_POSITIONS, &config->max_position_embeddings,
                       err));
  config->max_context = config->max_position_embeddings;
  config->rms_norm_eps = defaults->rms_norm_eps;
  ELLM_TRY(json_get_double(in->root, f->rms_norm_eps, false, in->origin, &config->rms_norm_eps, err));
  if (!(config->rms_norm_eps > 0.0 && config->rms_norm_eps <= 1.0))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, a number above 0 and at most 1 is expected", in->origin,
                     f->rms_norm_eps, config->rms_norm_eps);
  return parse_heads(in, config, err);
}

/* ------------------------------------------------------------- everything else */

/* Methods that are read as floats: tensors are floats by the time they are seen here. Those that are not read in a form
 * of theirs, such as another number of bits, were refused when the tensors were found. */
static bool is_read(const json_t *quantization) {
  static const char *const methods[] = {"fp8", "fbgemm_fp8", "gptq", "awq", "compressed-tensors", "mxfp4"};
  const char *method = json_string_value(json_object_get(quantization, "quant_method"));
  for (size_t i = 0; method != NULL && i < sizeof methods / sizeof *methods; i++)
    if (strcmp(method, methods[i]) == 0) return true;
  return false;
}

static ellm_status refuse_quantized(const config_reader *in, ellm_error *err) {
  static const char *const fields[] = {"quantization_config", "compression_config"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (config_is_missing(in, fields[i]) || config_is_null(in, fields[i])) continue;
    if (is_read(json_object_get(in->root, fields[i]))) continue;
    const char *method = json_string_value(json_object_get(json_object_get(in->root, fields[i]), "quant_method"));
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s (quant_method %s) is there: a checkpoint quantized elsewhere is not supported",
                     in->origin, fields[i], method != NULL ? method : "not given");
  }
  return ELLM_OK;
}

static ellm_status parse_activation(const config_reader *in, arch_activation *out, ellm_error *err) {
  static const struct {
    const char *name;
    arch_activation activation;
  } known[] = {{"silu", ARCH_SILU}, {"swish", ARCH_SILU}, {"gelu_pytorch_tanh", ARCH_GELU_TANH}};
  const char *field = in->arch->fields->activation, *name = NULL;
  ELLM_TRY(json_get_string(in->root, field, false, in->origin, &name, err));
  *out = in->arch->defaults.activation;
  if (name == NULL) return ELLM_OK;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(name, known[i].name) != 0) continue;
    *out = known[i].activation;
    return ELLM_OK;
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %s is not supported, silu and gelu_pytorch_tanh are", in->origin, field,
                   name);
}

/* Some checkpoints write -1 for none. */
static ellm_status parse_bos(const config_reader *in, model_config *config, ellm_error *err) {
  static const char field[] = "bos_token_id";
  config->bos_token_id = -1;
  const json_t *value = json_object_get(in->root, field);
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (json_is_integer(value) && json_integer_value(value) == -1) return ELLM_OK;
  uint32_t id = 0;
  ELLM_TRY(json_get_u32(in->root, field, false, in->origin, &id, err));
  config->bos_token_id = id;
  return ELLM_OK;
}

/* The plainest transformer; the family says what is different. */
static ellm_status make_layers(model_config *config, arch_activation activation, const char *origin,
                               ellm_error *err) {
  config->layers = calloc(config->n_layers, sizeof *config->layers);
  if (config->layers == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *config->layers, origin);
  const float score_scale = (float)(1 / sqrt((double)config->head_dim));
  for (uint32_t i = 0; i < config->n_layers; i++)
    config->layers[i] = (layer_facts){.rope = 0,
                                      .score_scale = score_scale,
                                      .activation = activation,
                                      .intermediate_size = config->intermediate_size,
                                      .residual_scale = 1};
  return ELLM_OK;
}

/* From here on fields are those of the object that the class has them in. */
static ellm_status enter_nested(config_reader *in, model_config *config, ellm_error *err) {
  const char *field = in->arch->nested, *model_type = NULL;
  if (field == NULL) return ELLM_OK;
  const json_t *nested = json_object_get(in->root, field);
  if (nested == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is missing", in->origin, field);
  if (!json_is_object(nested)) return json_wrong(nested, field, in->origin, "an object", err);
  ELLM_TRY(config_bool(in, "tie_word_embeddings", &config->tie_word_embeddings, err));
  in->root = nested;
  ELLM_TRY(refuse_quantized(in, err));
  ELLM_TRY(json_get_string(nested, "model_type", false, in->origin, &model_type, err));
  if (model_type == NULL || strcmp(model_type, in->arch->nested_model_type) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: model_type %s in %s is not supported, %s is", in->origin, model_type,
                   field, in->arch->nested_model_type);
}

static ellm_status parse_model(config_reader *in, model_config *config, ellm_error *err) {
  arch_activation activation;
  if (!json_is_object(in->root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", in->origin);
  ELLM_TRY(arch_class_find(in->root, in->origin, &in->arch, err));
  config->arch_name = in->arch->name;
  config->tensors = in->arch->tensors;
  config->embedding_scale = config->logits_scale = 1;
  config->class_eos_id = in->arch->defaults.eos_token_id;
  config->tie_word_embeddings = in->arch->defaults.tie_word_embeddings;
  ELLM_TRY(refuse_quantized(in, err));
  ELLM_TRY(enter_nested(in, config, err));
  ELLM_TRY(parse_activation(in, &activation, err));
  ELLM_TRY(parse_sizes(in, config, err));
  ELLM_TRY(config_bool(in, "tie_word_embeddings", &config->tie_word_embeddings, err));
  ELLM_TRY(parse_bos(in, config, err));
  ELLM_TRY(rope_config_parse(in, config, err));
  ELLM_TRY(make_layers(config, activation, in->origin, err));
  return in->arch->facts(in, config, err);
}

ellm_status model_config_parse(const void *json, size_t bytes, const char *origin, const ellm_notes *notes,
                               model_config *config, ellm_error *err) {
  *config = (model_config){0};
  json_t *root;
  ELLM_TRY(json_parse_lenient(json, bytes, origin, &root, err));
  config_reader in = {.root = root, .origin = origin, .notes = notes};
  const ellm_status status = parse_model(&in, config, err);
  json_decref(root);
  if (status != ELLM_OK) model_config_free(config);
  return status;
}
