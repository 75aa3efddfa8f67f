/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen2 and Qwen2.5: biases of q, k and v. Qwen3: norms of q and k instead. Both may have windows in some layers. Of
 * Qwen3 there is one with experts, in all layers or in some. */
#include <stdlib.h>

#include "arch/config_fields.h"
#include "arch/usual.h"

/* layer_types decides where it is given, else max_window_layers, the first layer that has a window. */
static ellm_status windows(const config_reader *in, model_config *config, bool *sliding, ellm_error *err) {
  bool used = false, by_type = false;
  uint32_t window = 0, first = 28;
  ELLM_TRY(config_bool(in, "use_sliding_window", &used, err));
  if (used) ELLM_TRY(config_window(in, CONFIG_USUAL_WINDOW, &window, err));
  if (window > 0) ELLM_TRY(json_get_u32(in->root, "max_window_layers", false, in->origin, &first, err));
  ELLM_TRY(config_layer_types(in, config->n_layers, &by_type, sliding, err));
  for (uint32_t i = 0; i < config->n_layers; i++) {
    if (by_type && sliding[i] && window == 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: layer_types[%u] is sliding_attention, but there is no sliding window",
                       in->origin, (unsigned)i);
    if (by_type ? sliding[i] : i >= first) config->layers[i].window = window;
  }
  return ELLM_OK;
}

static ellm_status qwen_windows(const config_reader *in, model_config *config, ellm_error *err) {
  bool *sliding = calloc(config->n_layers, sizeof *sliding);
  if (sliding == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *sliding, in->origin);
  const ellm_status status = windows(in, config, sliding, err);
  free(sliding);
  return status;
}

static ellm_status qwen2_facts(const config_reader *in, model_config *config, ellm_error *err) {
  /* always on q, k and v, never on o; the class has no field for it */
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].qkv_bias = true;
  return qwen_windows(in, config, err);
}

static ellm_status norms_and_biases(const config_reader *in, model_config *config, ellm_error *err) {
  ELLM_TRY(config_attention_bias(in, config, err));
  for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].qk_norm = true;
  return ELLM_OK;
}

static ellm_status qwen3_facts(const config_reader *in, model_config *config, ellm_error *err) {
  ELLM_TRY(norms_and_biases(in, config, err));
  return qwen_windows(in, config, err);
}

/* Layers that mlp_only_layers lists have one network, and so have those that decoder_sparse_step leaves out. */
static ellm_status dense_layers(const config_reader *in, model_config *config, bool *dense, ellm_error *err) {
  static const char field[] = "mlp_only_layers";
  uint32_t step = 1;
  ELLM_TRY(config_size(in, "decoder_sparse_step", false, CONFIG_MAX_LAYERS, &step, err));
  for (uint32_t i = 0; i < config->n_layers; i++) dense[i] = (i + 1) % step != 0;
  const json_t *list = json_object_get(in->root, field);
  if (list == NULL || json_is_null(list)) return ELLM_OK;
  if (!json_is_array(list)) return json_wrong(list, field, in->origin, "a list of layers", err);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_integer(value)) return json_wrong(list, field, in->origin, "a list of layers", err);
    const json_int_t layer = json_integer_value(value);
    if (layer >= 0 && layer < config->n_layers) dense[layer] = true;
  }
  return ELLM_OK;
}

static ellm_status qwen3_moe_facts(const config_reader *in, model_config *config, ellm_error *err) {
  static const char *const fields[2] = {"num_experts", "num_local_experts"};
  uint32_t window = 0, inner = 768, n = 0, used = 0;
  bool sliding = false, normalize = false;
  ELLM_TRY(norms_and_biases(in, config, err));
  ELLM_TRY(config_bool(in, "use_sliding_window", &sliding, err));
  if (sliding) ELLM_TRY(config_window(in, CONFIG_USUAL_WINDOW, &window, err));
  ELLM_TRY(config_experts(in, fields, 128, 8, &n, &used, err));
  ELLM_TRY(config_size(in, "moe_intermediate_size", false, CONFIG_MAX_SIZE / 2, &inner, err));
  ELLM_TRY(config_bool(in, "norm_topk_prob", &normalize, err));
  bool *dense = calloc(config->n_layers, sizeof *dense);
  if (dense == NULL) return ellm_fail_memory(err, config->n_layers * sizeof *dense, in->origin);
  const ellm_status status = dense_layers(in, config, dense, err);
  for (uint32_t i = 0; i < config->n_layers && status == ELLM_OK; i++) {
    layer_facts *layer = &config->layers[i];
    if (dense[i]) continue;
    layer->intermediate_size = inner;
    layer->n_experts = n;
    layer->n_experts_used = used;
    layer->normalize_experts = normalize;
  }
  free(dense);
  return status == ELLM_OK ? config_same_window(in, window, config, err) : status;
}

static const arch_class qwen2 = {
    .name = "Qwen2ForCausalLM",
    .model_type = "qwen2",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.n_kv_heads = 32, .max_position_embeddings = 32768, .rms_norm_eps = 1e-6, .eos_token_id = -1},
    .facts = qwen2_facts,
};

static const arch_class qwen3 = {
    .name = "Qwen3ForCausalLM",
    .model_type = "qwen3",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.n_kv_heads = 32,
                 .head_dim = 128,
                 .max_position_embeddings = 32768,
                 .rms_norm_eps = 1e-6,
                 .eos_token_id = -1},
    .facts = qwen3_facts,
};

static const arch_class qwen3_moe = {
    .name = "Qwen3MoeForCausalLM",
    .model_type = "qwen3_moe",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.n_kv_heads = 4, .max_position_embeddings = 32768, .rms_norm_eps = 1e-6, .eos_token_id = -1},
    .facts = qwen3_moe_facts,
};

const arch_class *const arch_family_qwen[] = {&qwen2, &qwen3, &qwen3_moe, NULL};
