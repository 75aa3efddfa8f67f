/* SPDX-License-Identifier: Apache-2.0 */
/* Mistral 7B and Nemo: Llama with a sliding window in every layer. Mixtral: with experts. */
#include "arch/config_fields.h"
#include "arch/usual.h"

static ellm_status mistral_facts(const config_reader *in, model_config *config, ellm_error *err) {
  uint32_t window = 0;
  ELLM_TRY(config_no_attention_bias(in, err));
  ELLM_TRY(config_window(in, CONFIG_USUAL_WINDOW, &window, err));
  return config_same_window(in, window, config, err);
}

static const arch_class mistral = {
    .name = "MistralForCausalLM",
    .model_type = "mistral",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.n_kv_heads = 8, .max_position_embeddings = 131072, .rms_norm_eps = 1e-6, .eos_token_id = 2},
    .facts = mistral_facts,
};

static ellm_status mixtral_facts(const config_reader *in, model_config *config, ellm_error *err) {
  static const char *const fields[2] = {"num_local_experts", "num_experts"};
  uint32_t window = 0, n = 0, used = 0;
  ELLM_TRY(config_no_attention_bias(in, err));
  ELLM_TRY(config_window(in, 0, &window, err));
  ELLM_TRY(config_experts(in, fields, 8, 2, &n, &used, err));
  for (uint32_t i = 0; i < config->n_layers; i++) {
    layer_facts *layer = &config->layers[i];
    layer->n_experts = n;
    layer->n_experts_used = used;
    layer->normalize_experts = true;
  }
  return config_same_window(in, window, config, err);
}

static const arch_tensors mixtral_tensors = {
    ARCH_USUAL_WHOLE,
    ARCH_USUAL_NORMS,
    ARCH_USUAL_QKV,
    ARCH_USUAL_OUTPUT,
    .router = "block_sparse_moe.gate",
    .experts = "block_sparse_moe.experts",
    .expert_gate_up = {"w1", "w3"},
    .expert_down = "w2",
};

static const arch_class mixtral = {
    .name = "MixtralForCausalLM",
    .model_type = "mixtral",
    .fields = &arch_usual_fields,
    .tensors = &mixtral_tensors,
    .defaults = {.n_kv_heads = 8, .max_position_embeddings = 131072, .rms_norm_eps = 1e-5, .eos_token_id = 2},
    .rope = {.theta = 1e6},
    .facts = mixtral_facts,
};

const arch_class *const arch_family_mistral[] = {&mistral, &mixtral, NULL};
