/* SPDX-License-Identifier: Apache-2.0 */
/* One row an architecture: what its tensors are called. Options that a
 * configuration sets (biases, norms of queries and keys, windows) are in
 * checkpoint/config.h. */
#include "model/weights.h"

#define SEPARATE_QKV {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}
#define SEPARATE_GATE_UP {"mlp.gate_proj", "mlp.up_proj"}

static const architecture architectures[] = {
    {ARCH_LLAMA, SEPARATE_QKV, "self_attn.o_proj", SEPARATE_GATE_UP, "mlp.down_proj"},
    {ARCH_MISTRAL, SEPARATE_QKV, "self_attn.o_proj", SEPARATE_GATE_UP, "mlp.down_proj"},
    {ARCH_PHI3, {"self_attn.qkv_proj"}, "self_attn.o_proj", {"mlp.gate_up_proj"}, "mlp.down_proj"},
    {ARCH_QWEN2, SEPARATE_QKV, "self_attn.o_proj", SEPARATE_GATE_UP, "mlp.down_proj"},
    {ARCH_QWEN3, SEPARATE_QKV, "self_attn.o_proj", SEPARATE_GATE_UP, "mlp.down_proj"},
};

const architecture *architecture_of(model_arch arch) {
  for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
    if (architectures[i].arch == arch) return &architectures[i];
  return NULL;
}
