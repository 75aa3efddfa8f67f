/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json and generation_config.json. A missing field has the value that
 * Transformers' configuration class of the architecture gives it. Whatever
 * would change the result and is not implemented is refused by name and value;
 * fields that only concern training or other programs are not looked at. After
 * a successful parse every size is above zero, bounded and consistent, so that
 * those who multiply and divide by them need not ask again.
 */
#include "checkpoint/config.h"

#include <string.h>

#include "json/json.h"
#include "checkpoint/rope_config.h"

/* What differs between the architectures when a field is missing (Transformers' *Config classes). */
typedef struct arch_defaults {
  model_arch arch;
  const char *name, *model_type;
  uint32_t n_kv_heads; /* 0 = num_attention_heads */
  uint32_t head_dim;   /* 0 = hidden_size / num_attention_heads */
  uint32_t max_position_embeddings;
  double rms_norm_eps;
} arch_defaults;

static const arch_defaults archs[] = {
    {ARCH_LLAMA, "LlamaForCausalLM", "llama", 0, 0, 2048, 1e-6},
    {ARCH_MISTRAL, "MistralForCausalLM", "mistral", 8, 0, 131072, 1e-6},
    {ARCH_PHI3, "Phi3ForCausalLM", "phi3", 0, 0, 4096, 1e-5},
    {ARCH_QWEN2, "Qwen2ForCausalLM", "qwen2", 32, 0, 32768, 1e-6},
    {ARCH_QWEN3, "Qwen3ForCausalLM", "qwen3", 32, 128, 32768, 1e-6},
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

/* By the first of `architectures`, else by model_type; both must agree. */
static ellm_status find_arch(const json_t *root, const char *origin, const arch_defaults **found, ellm_error *err) {
  const char *name = NULL, *model_type = NULL;
  ELLM_TRY(json_get_string(root, "model_type", false, origin, &model_type, err));
  const json_t *list = json_object_get(root, "architectures");
  if (list != NULL && !json_is_null(list)) {
    name = json_string_value(json_array_get(list, 0));
    if (name == NULL) return json_wrong(list, "architectures", origin, "a list of names", err);
  }
  if (name == NULL && model_type == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: architectures is missing", origin);
  *found = NULL;
  for (int i = 0; i < N_ARCHS && *found == NULL; i++) {
    if (strcmp(name != NULL ? name : model_type, name != NULL ? archs[i].name : archs[i].model_type) == 0)
      *found = &archs[i];
  }
  if (*found == NULL) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s %s is not supported; these are: Llama, Mistral, Phi3, Qwen2, Qwen3 (ForCausalLM)", origin,
                     name != NULL ? "architecture" : "model_type", name != NULL ? name : model_type);
  }
  if (model_type != NULL && strcmp(model_type, (*found)->model_type) != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model_type %s contradicts the architecture %s", origin, model_type,
                     (*found)->name);
  }
  return ELLM_OK;
}

/* A size of 1..limit; if not `required`, *out holds the default. */
static ellm_status get_size(const json_t *root, const char *field, bool required, const char *origin, uint32_t limit,
                            uint32_t *out, ellm_error *err) {
  ELLM_TRY(json_get_u32(root, field, required, origin, out, err));
  if (*out == 0 || *out > limit) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %u, 1 to %u is wanted", origin, field, (unsigned)*out,
                     (unsigned)limit);
  }
  return ELLM_OK;
}

static bool is_null(const json_t *root, const char *field) { return json_is_null(json_object_get(root, field)); }

static ellm_status parse_heads(const json_t *root, const char *origin, const arch_defaults *arch, model_config *config,
                               ellm_error *err) {
  ELLM_TRY(get_size(root, "num_attention_heads", true, origin, CONFIG_MAX_SIZE, &config->n_heads, err));
  config->n_kv_heads =
      arch->n_kv_heads == 0 || is_null(root, "num_key_value_heads") ? config->n_heads : arch->n_kv_heads;
  ELLM_TRY(get_size(root, "num_key_value_heads", false, origin, CONFIG_MAX_SIZE, &config->n_kv_heads, err));
  if (config->n_heads % config->n_kv_heads != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: num_attention_heads %u is not a multiple of num_key_value_heads %u",
                     origin, (unsigned)config->n_heads, (unsigned)config->n_kv_heads);
  }
  const json_t *given = json_object_get(root, "head_dim");
  if (given == NULL && arch->head_dim != 0) {
    config->head_dim = arch->head_dim;
  } else if (given == NULL || json_is_null(given)) {
    if (config->hidden_size % config->n_heads != 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: hidden_size %u is not a multiple of num_attention_heads %u", origin,
                       (unsigned)config->hidden_size, (unsigned)config->n_heads);
    }
    config->head_dim = config->hidden_size / config->n_heads;
  }
  ELLM_TRY(get_size(root, "head_dim", false, origin, CONFIG_MAX_HEAD_DIM, &config->head_dim, err));
  if (config->head_dim % 2 != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: head_dim %u is odd", origin, (unsigned)config->head_dim);
  /* rows of the projections; queries, keys and values may be fused */
  if ((uint64_t)config->head_dim * (config->n_heads + 2 * (uint64_t)config->n_kv_heads) > CONFIG_MAX_SIZE) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %u heads of %u dimensions are too many", origin,
                     (unsigned)config->n_heads, (unsigned)config->head_dim);
  }
  return ELLM_OK;
}

static ellm_status parse_sizes(const json_t *root, const char *origin, const arch_defaults *arch, model_config *config,
                               ellm_error *err) {
  ELLM_TRY(get_size(root, "vocab_size", true, origin, CONFIG_MAX_SIZE, &config->vocab_size, err));
  ELLM_TRY(get_size(root, "hidden_size", true, origin, CONFIG_MAX_SIZE, &config->hidden_size, err));
  ELLM_TRY(get_size(root, "intermediate_size", true, origin, CONFIG_MAX_SIZE / 2, &config->intermediate_size, err));
  ELLM_TRY(get_size(root, "num_hidden_layers", true, origin, CONFIG_MAX_LAYERS, &config->n_layers, err));
  config->max_position_embeddings = arch->max_position_embeddings;
  ELLM_TRY(get_size(root, "max_position_embeddings", false, origin, CONFIG_MAX_POSITIONS,
                    &config->max_position_embeddings, err));
  config->rms_norm_eps = arch->rms_norm_eps;
  ELLM_TRY(json_get_double(root, "rms_norm_eps", false, origin, &config->rms_norm_eps, err));
  if (!(config->rms_norm_eps > 0.0 && config->rms_norm_eps <= 1.0)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: rms_norm_eps is %g, a number above 0 and at most 1 is wanted", origin,
                     config->rms_norm_eps);
  }
  return parse_heads(root, origin, arch, config, err);
}

static ellm_status parse_biases(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  bool attention_bias = false;
  ELLM_TRY(json_get_bool(root, "attention_bias", false, origin, &attention_bias, err));
  ELLM_TRY(json_get_bool(root, "tie_word_embeddings", false, origin, &config->tie_word_embeddings, err));
  config->qk_norm = config->arch == ARCH_QWEN3;
  switch (config->arch) {
    case ARCH_LLAMA:
      config->attention_bias = attention_bias;
      return json_get_bool(root, "mlp_bias", false, origin, &config->mlp_bias, err);
    case ARCH_QWEN3: config->attention_bias = attention_bias; return ELLM_OK;
    case ARCH_QWEN2: /* always on q, k and v, never on o; the class has no such field */
      config->qkv_bias = true;
      return ELLM_OK;
    default:
      if (!attention_bias) return ELLM_OK;
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: attention_bias true is not supported for %s", origin,
                       config->arch_name);
  }
}

/* The window where layer_types, the newer form, does not say otherwise. */
static ellm_status parse_window_size(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  if (config->arch == ARCH_LLAMA) return ELLM_OK;
  const bool qwen = config->arch == ARCH_QWEN2 || config->arch == ARCH_QWEN3;
  bool used = true;
  if (qwen) {
    used = false;
    ELLM_TRY(json_get_bool(root, "use_sliding_window", false, origin, &used, err));
  }
  if (!used || is_null(root, "sliding_window")) return ELLM_OK;
  if (config->arch == ARCH_PHI3 && json_object_get(root, "sliding_window") == NULL) return ELLM_OK;
  config->sliding_window = 4096;
  ELLM_TRY(get_size(root, "sliding_window", false, origin, CONFIG_MAX_POSITIONS, &config->sliding_window, err));
  if (!qwen) return ELLM_OK;
  config->window_first_layer = 28;
  ELLM_TRY(json_get_u32(root, "max_window_layers", false, origin, &config->window_first_layer, err));
  if (config->window_first_layer > config->n_layers) config->window_first_layer = config->n_layers;
  return ELLM_OK;
}

/* layer_types: "full_attention" for the first layers, "sliding_attention" for all others. */
static ellm_status parse_layer_types(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  const json_t *list = json_object_get(root, "layer_types");
  if (list == NULL || json_is_null(list)) return ELLM_OK;
  if (!json_is_array(list) || json_array_size(list) != config->n_layers) {
    char text[80];
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types is %s, a list of num_hidden_layers = %u names is wanted",
                     origin, json_brief(list, text), (unsigned)config->n_layers);
  }
  uint32_t first = config->n_layers;
  for (uint32_t i = 0; i < config->n_layers; i++) {
    const char *type = json_string_value(json_array_get(list, i));
    const bool sliding = type != NULL && strcmp(type, "sliding_attention") == 0;
    if (!sliding && (type == NULL || strcmp(type, "full_attention") != 0)) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] %s is not supported", origin, (unsigned)i,
                       type != NULL ? type : "is not a name and");
    }
    if (sliding && i < first) first = i;
    if (!sliding && i > first) {
      return ellm_fail(
          err, ELLM_ERR_INPUT,
          "%s: layer_types[%u] is full_attention after a layer of sliding_attention; this is not supported", origin,
          (unsigned)i);
    }
  }
  if (first < config->n_layers && config->sliding_window == 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] is sliding_attention, but there is no sliding window",
                     origin, (unsigned)first);
  }
  const bool by_layer = config->arch == ARCH_QWEN2 || config->arch == ARCH_QWEN3;
  if (!by_layer && first != (config->sliding_window != 0 ? 0 : config->n_layers)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types and sliding_window contradict each other for %s", origin,
                     config->arch_name);
  }
  if (by_layer) config->window_first_layer = first;
  return ELLM_OK;
}

static ellm_status parse_window(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  ELLM_TRY(parse_window_size(root, origin, config, err));
  ELLM_TRY(parse_layer_types(root, origin, config, err));
  if (config->window_first_layer >= config->n_layers) { /* no layer has it */
    config->sliding_window = 0;
    config->window_first_layer = 0;
  }
  if (config->sliding_window == 0) config->window_first_layer = 0;
  return ELLM_OK;
}

static ellm_status check_variant(const json_t *root, const char *origin, ellm_error *err) {
  static const char *const quantized[] = {"quantization_config", "compression_config"};
  for (size_t i = 0; i < sizeof quantized / sizeof *quantized; i++) {
    const json_t *value = json_object_get(root, quantized[i]);
    if (value == NULL || json_is_null(value)) continue;
    const char *method = json_string_value(json_object_get(value, "quant_method"));
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: %s (quant_method %s) is there: a checkpoint quantized elsewhere is not supported", origin,
                     quantized[i], method != NULL ? method : "not given");
  }
  const char *activation = "silu";
  ELLM_TRY(json_get_string(root, "hidden_act", false, origin, &activation, err));
  if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: hidden_act %s is not supported, silu is", origin, activation);
  }
  return ELLM_OK;
}

/* Some checkpoints write -1 for none. */
static ellm_status parse_bos(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  config->bos_token_id = -1;
  const json_t *value = json_object_get(root, "bos_token_id");
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (json_is_integer(value) && json_integer_value(value) == -1) return ELLM_OK;
  uint32_t id = 0;
  ELLM_TRY(json_get_u32(root, "bos_token_id", false, origin, &id, err));
  config->bos_token_id = id;
  return ELLM_OK;
}

static ellm_status parse_model(const json_t *root, const char *origin, model_config *config, ellm_error *err) {
  const arch_defaults *arch = NULL;
  if (!json_is_object(root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
  ELLM_TRY(find_arch(root, origin, &arch, err));
  config->arch = arch->arch;
  config->arch_name = arch->name;
  ELLM_TRY(check_variant(root, origin, err));
  ELLM_TRY(parse_sizes(root, origin, arch, config, err));
  ELLM_TRY(parse_biases(root, origin, config, err));
  ELLM_TRY(parse_window(root, origin, config, err));
  ELLM_TRY(parse_bos(root, origin, config, err));
  return rope_config_parse(root, origin, config, err);
}

ellm_status model_config_parse(const void *json, size_t bytes, const char *origin, model_config *config,
                               ellm_error *err) {
  *config = (model_config){0};
  json_t *root;
  ELLM_TRY(json_parse(json, bytes, origin, &root, err));
  const ellm_status status = parse_model(root, origin, config, err);
  json_decref(root);
  return status;
}

static ellm_status add_eos(const json_t *value, const char *origin, generation_config *config, ellm_error *err) {
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX) {
    return json_wrong(value, "eos_token_id", origin, "a token id or a list of them", err);
  }
  if (config->n_eos == CONFIG_MAX_EOS)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: eos_token_id has more than %d ids", origin, CONFIG_MAX_EOS);
  config->eos_ids[config->n_eos++] = (uint32_t)json_integer_value(value);
  return ELLM_OK;
}

static ellm_status parse_eos(const json_t *root, const char *origin, generation_config *config, ellm_error *err) {
  const json_t *value = json_object_get(root, "eos_token_id");
  if (value == NULL || json_is_null(value)) return ELLM_OK;
  if (json_is_integer(value) && json_integer_value(value) == -1) return ELLM_OK; /* none */
  if (!json_is_array(value)) return add_eos(value, origin, config, err);
  for (size_t i = 0; i < json_array_size(value); i++) ELLM_TRY(add_eos(json_array_get(value, i), origin, config, err));
  return ELLM_OK;
}

/* A number of low..high, negative when not given. */
static ellm_status get_option(const json_t *root, const char *field, const char *origin, double low, double high,
                              double *out, ellm_error *err) {
  double value = low;
  ELLM_TRY(json_get_double(root, field, false, origin, &value, err));
  if (value < low || value > high) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s is %g, %g to %g is wanted", origin, field, value, low, high);
  }
  const json_t *given = json_object_get(root, field);
  *out = given != NULL && !json_is_null(given) ? value : -1.0;
  return ELLM_OK;
}

static ellm_status parse_generation(const json_t *root, const char *origin, generation_config *config,
                                    ellm_error *err) {
  if (!json_is_object(root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", origin);
  ELLM_TRY(parse_eos(root, origin, config, err));
  const json_t *sample = json_object_get(root, "do_sample");
  if (sample != NULL && !json_is_null(sample)) {
    bool given = false;
    ELLM_TRY(json_get_bool(root, "do_sample", false, origin, &given, err));
    config->do_sample = given;
  }
  ELLM_TRY(get_option(root, "temperature", origin, 0.0, 1e6, &config->temperature, err));
  ELLM_TRY(get_option(root, "top_p", origin, 0.0, 1.0, &config->top_p, err));
  ELLM_TRY(get_option(root, "min_p", origin, 0.0, 1.0, &config->min_p, err));
  ELLM_TRY(get_option(root, "repetition_penalty", origin, 1e-6, 1e6, &config->repetition_penalty, err));
  const json_t *top_k = json_object_get(root, "top_k");
  if (top_k != NULL && !json_is_null(top_k)) {
    uint32_t k = 0;
    ELLM_TRY(json_get_u32(root, "top_k", false, origin, &k, err));
    if (k > INT32_MAX)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: top_k is %u, at most %d is wanted", origin, (unsigned)k, INT32_MAX);
    config->top_k = (int)k;
  }
  return ELLM_OK;
}

ellm_status generation_config_parse(const config_text *generation, const config_text *model, generation_config *config,
                                    ellm_error *err) {
  *config = (generation_config){
      .do_sample = -1, .temperature = -1.0, .top_p = -1.0, .min_p = -1.0, .repetition_penalty = -1.0, .top_k = -1};
  json_t *root;
  if (generation->json != NULL) {
    ELLM_TRY(json_parse(generation->json, generation->bytes, generation->origin, &root, err));
    const ellm_status status = parse_generation(root, generation->origin, config, err);
    json_decref(root);
    ELLM_TRY(status);
  }
  if (config->n_eos > 0 || model->json == NULL) return ELLM_OK;
  ELLM_TRY(json_parse(model->json, model->bytes, model->origin, &root, err));
  const ellm_status status = parse_eos(root, model->origin, config, err);
  json_decref(root);
  return status;
}
