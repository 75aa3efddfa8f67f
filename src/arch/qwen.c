/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen2 and Qwen2.5: biases of q, k and v. Qwen3: norms of q and k instead. Both may have windows in some layers. */
#include <stdlib.h>

#include "arch/family.h"

/* layer_types decides where it is given, else max_window_layers, the first layer that has a window. */
static ellm_status windows(const config_reader *in, model_config *config, bool *sliding, ellm_error *err) {
  bool used = false, by_type = false;
  uint32_t window = 0, first = 28;
  ELLM_TRY(config_bool(in, "use_sliding_window", &used, err));
  if (used) ELLM_TRY(config_window(in, 4096, &window, err));
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

static ellm_status qwen3_facts(const config_reader *in, model_config *config, ellm_error *err) {
  bool attention_bias = false;
  ELLM_TRY(config_bool(in, "attention_bias", &attention_bias, err));
  for (uint32_t i = 0; i < config->n_layers; i++) {
    layer_facts *layer = &config->layers[i];
    layer->qkv_bias = layer->output_bias = attention_bias;
    layer->qk_norm = true;
  }
  return qwen_windows(in, config, err);
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

const arch_class *const arch_family_qwen[] = {&qwen2, &qwen3, NULL};
