/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/usual.h"

const arch_fields arch_usual_fields = {
    .vocab_size = "vocab_size",
    .hidden_size = "hidden_size",
    .intermediate_size = "intermediate_size",
    .n_layers = "num_hidden_layers",
    .n_heads = "num_attention_heads",
    .n_kv_heads = "num_key_value_heads",
    .head_dim = "head_dim",
    .max_position_embeddings = "max_position_embeddings",
    .rms_norm_eps = "rms_norm_eps",
    .activation = "hidden_act",
};

const arch_tensors arch_usual_tensors = {
    .embedding = "model.embed_tokens.weight",
    .norm = "model.norm.weight",
    .head = "lm_head.weight",
    .layer = "model.layers",
    .attention_norm = "input_layernorm",
    .mlp_norm = "post_attention_layernorm",
    .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .output = "self_attn.o_proj",
    .gate_up = {"mlp.gate_proj", "mlp.up_proj"},
    .down = "mlp.down_proj",
    .router = "mlp.gate",
    .experts = "mlp.experts",
    .expert_gate_up = {"gate_proj", "up_proj"},
    .expert_down = "down_proj",
};
