/* SPDX-License-Identifier: Apache-2.0 */
/* Phi-3, Phi-3.5 and Phi-4: fused projections, partial rotation, longrope. */
#include "arch/config_fields.h"
#include "arch/usual.h"

static ellm_status phi3_facts(const config_reader *in, model_config *config, ellm_error *err) {
  uint32_t window = 0;
  ELLM_TRY(config_no_attention_bias(in, err));
  ELLM_TRY(config_window(in, 0, &window, err));
  return config_same_window(in, window, config, err);
}

static const arch_tensors phi3_tensors = {
    ARCH_USUAL_WHOLE,
    ARCH_USUAL_NORMS,
    .qkv = {"self_attn.qkv_proj"},
    ARCH_USUAL_OUTPUT,
    .gate_up = {"mlp.gate_up_proj"},
    .down = "mlp.down_proj",
};

static const arch_class phi3 = {
    .name = "Phi3ForCausalLM",
    .model_type = "phi3",
    .fields = &arch_usual_fields,
    .tensors = &phi3_tensors,
    .defaults = {.max_position_embeddings = 4096, .rms_norm_eps = 1e-5, .eos_token_id = 32000},
    .rope = {.partial = true, .only_longrope = true, .original_positions = 4096},
    .facts = phi3_facts,
};

const arch_class *const arch_family_phi3[] = {&phi3, NULL};
