/* SPDX-License-Identifier: Apache-2.0 */
/* Names and fields that most architectures share: all of them, or parts for tables that differ in the rest. */
#ifndef ELLM_ARCH_USUAL_H
#define ELLM_ARCH_USUAL_H

#include "arch/family.h"

/* Fields but the activation's. */
#define ARCH_USUAL_SIZES                                                                                   \
  .vocab_size = "vocab_size", .hidden_size = "hidden_size", .intermediate_size = "intermediate_size",      \
  .n_layers = "num_hidden_layers", .n_heads = "num_attention_heads", .n_kv_heads = "num_key_value_heads",  \
  .head_dim = "head_dim", .max_position_embeddings = "max_position_embeddings", .rms_norm_eps = "rms_norm_eps"
/* Tensors outside of the layers, and where layers are. */
#define ARCH_USUAL_WHOLE                                                                                   \
  .embedding = "model.embed_tokens.weight", .norm = "model.norm.weight", .head = "lm_head.weight",         \
  .layer = "model.layers"
/* Tensors of a layer. */
#define ARCH_USUAL_NORMS .attention_norm = "input_layernorm", .mlp_norm = "post_attention_layernorm"
#define ARCH_USUAL_QKV .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}
#define ARCH_USUAL_QK_NORMS .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"
#define ARCH_USUAL_OUTPUT .output = "self_attn.o_proj"
#define ARCH_USUAL_MLP .gate_up = {"mlp.gate_proj", "mlp.up_proj"}, .down = "mlp.down_proj"

extern const arch_fields arch_usual_fields;
extern const arch_tensors arch_usual_tensors;

#endif
