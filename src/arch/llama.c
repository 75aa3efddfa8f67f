/* SPDX-License-Identifier: Apache-2.0 */
/* Llama and what is stored as it: Llama 1 to 3, SmolLM, SmolLM2, TinyLlama, Yi, DeepSeek-LLM, InternLM 2.5 as Llama. */
#include "arch/config_fields.h"
#include "arch/usual.h"

static ellm_status llama_facts(const config_reader *in, model_config *config, ellm_error *err) {
  ELLM_TRY(config_attention_bias(in, config, err));
  ELLM_TRY(config_mlp_bias(in, config, err));
  return config_same_window(in, 0, config, err); /* sliding_window is no field of this class */
}

static const arch_class llama = {
    .name = "LlamaForCausalLM",
    .model_type = "llama",
    .fields = &arch_usual_fields,
    .tensors = &arch_usual_tensors,
    .defaults = {.max_position_embeddings = 2048, .rms_norm_eps = 1e-6, .eos_token_id = 2},
    .facts = llama_facts,
};

const arch_class *const arch_family_llama[] = {&llama, NULL};
