/* SPDX-License-Identifier: Apache-2.0 */
/* Mistral 7B and Nemo: Llama with a sliding window in every layer. */
#include "arch/family.h"

static ellm_status mistral_facts(const config_reader *in, model_config *config, ellm_error *err) {
  uint32_t window = 0;
  ELLM_TRY(config_no_attention_bias(in, err));
  ELLM_TRY(config_window(in, 4096, &window, err));
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

const arch_class *const arch_family_mistral[] = {&mistral, NULL};
