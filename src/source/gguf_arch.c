/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each architecture. Its tensors are pairs of names, of the GGUF file and of the checkpoint folder; what is
 * in no pair is refused when the tensors are listed. Keys are listed, too, even those that are not looked at: a key
 * that is not in a list may change what the model computes, so a file with one is refused by name.
 */
#include "source/gguf_arch.h"

#include <stdio.h>
#include <string.h>

#define END {NULL, NULL}

#define ATTENTION                                                                                           \
  {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"}, {"attn_v", "self_attn.v_proj"},           \
  {"attn_output", "self_attn.o_proj"}
#define HEAD_NORMS {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}
#define NORMS {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"}
#define FOUR_NORMS                                                                                          \
  {"attn_norm", "input_layernorm"}, {"post_attention_norm", "post_attention_layernorm"},                    \
  {"ffn_norm", "pre_feedforward_layernorm"}, {"post_ffw_norm", "post_feedforward_layernorm"}
#define NETWORK {"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"}, {"ffn_down", "mlp.down_proj"}

static const gguf_part usual_parts[] = {NORMS, ATTENTION, NETWORK, END};
static const gguf_part qwen3_parts[] = {NORMS, ATTENTION, HEAD_NORMS, NETWORK, END};
static const gguf_part gemma2_parts[] = {FOUR_NORMS, ATTENTION, NETWORK, END};
static const gguf_part gemma3_parts[] = {FOUR_NORMS, ATTENTION, HEAD_NORMS, NETWORK, END};
static const gguf_part mixtral_parts[] = {NORMS, ATTENTION, {"ffn_gate_inp", "block_sparse_moe.gate"}, END};
static const gguf_part qwen3moe_parts[] = {NORMS, ATTENTION, HEAD_NORMS, {"ffn_gate_inp", "mlp.gate"}, END};
/* one matrix has the rows of q, k and v, one those of gate and up */
static const gguf_part phi3_parts[] = {NORMS,
                                       {"attn_qkv", "self_attn.qkv_proj"},
                                       {"attn_output", "self_attn.o_proj"},
                                       {"ffn_up", "mlp.gate_up_proj"},
                                       {"ffn_down", "mlp.down_proj"},
                                       END};
static const gguf_part mixtral_merged[] = {
    {"ffn_gate_exps", "w1"}, {"ffn_up_exps", "w3"}, {"ffn_down_exps", "w2"}, END};
static const gguf_part qwen3moe_merged[] = {
    {"ffn_gate_exps", "gate_proj"}, {"ffn_up_exps", "up_proj"}, {"ffn_down_exps", "down_proj"}, END};

static const char *const no_keys[] = {NULL};
static const char *const expert_keys[] = {"expert_feed_forward_length", NULL};
static const char *const phi3_keys[] = {"attention.sliding_window", "rope.scaling.attn_factor", NULL};
static const char *const gemma2_keys[] = {"attention.sliding_window", "attn_logit_softcapping",
                                          "final_logit_softcapping", NULL};
static const char *const gemma3_keys[] = {"attention.sliding_window", "attention.sliding_window_pattern",
                                          "final_logit_softcapping", "rope.freq_base_swa", NULL};

static const gguf_arch architectures[] = {
    {.name = "llama",
     .class_name = "LlamaForCausalLM",
     .model_type = "llama",
     .pairs = true,
     .keys = no_keys,
     .parts = usual_parts},
    {.name = "llama",
     .class_name = "MixtralForCausalLM",
     .model_type = "mixtral",
     .experts = true,
     .pairs = true,
     .keys = no_keys,
     .parts = mixtral_parts,
     .experts_part = "block_sparse_moe.experts",
     .merged = mixtral_merged},
    {.name = "smollm3",
     .class_name = "SmolLM3ForCausalLM",
     .model_type = "smollm3",
     .pairs = true,
     .keys = no_keys,
     .parts = usual_parts},
    {.name = "qwen2",
     .class_name = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .keys = no_keys,
     .parts = usual_parts},
    {.name = "qwen3",
     .class_name = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .keys = no_keys,
     .parts = qwen3_parts},
    {.name = "qwen3moe",
     .class_name = "Qwen3MoeForCausalLM",
     .model_type = "qwen3_moe",
     .experts = true,
     .keys = expert_keys,
     .parts = qwen3moe_parts,
     .experts_part = "mlp.experts",
     .merged = qwen3moe_merged},
    {.name = "phi3",
     .class_name = "Phi3ForCausalLM",
     .model_type = "phi3",
     .keys = phi3_keys,
     .parts = phi3_parts},
    {.name = "gemma2",
     .class_name = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .norms_from_one = true,
     .keys = gemma2_keys,
     .parts = gemma2_parts},
    {.name = "gemma3",
     .class_name = "Gemma3ForCausalLM",
     .model_type = "gemma3_text",
     .norms_from_one = true,
     .keys = gemma3_keys,
     .parts = gemma3_parts},
};
enum { N_ARCHITECTURES = sizeof architectures / sizeof *architectures };

/* Keys that are read, or whose meaning is none for this program. */
static const char *const usual_keys[] = {"block_count",
                                         "context_length",
                                         "embedding_length",
                                         "feed_forward_length",
                                         "attention.head_count",
                                         "attention.head_count_kv",
                                         "attention.key_length",
                                         "attention.value_length",
                                         "attention.layer_norm_rms_epsilon",
                                         "rope.dimension_count",
                                         "rope.freq_base",
                                         "rope.scaling.type",
                                         "rope.scaling.factor",
                                         "rope.scaling.original_context_length",
                                         "rope.scaling.finetuned",
                                         "vocab_size",
                                         "expert_count",
                                         "expert_used_count",
                                         "tensor_data_layout",
                                         NULL};

static bool is(gguf_string string, const char *text) {
  return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

/* Is the part of a key behind the name of the architecture one of these? */
static bool listed(const char *const *keys, const char *behind, size_t bytes) {
  for (; *keys != NULL; keys++)
    if (strlen(*keys) == bytes && memcmp(*keys, behind, bytes) == 0) return true;
  return false;
}

/* The error names all architectures that are read. */
static ellm_status not_read(const gguf_metadata *m, gguf_string name, ellm_error *err) {
  char names[200] = "";
  size_t used = 0;
  for (size_t i = 0; i < N_ARCHITECTURES && used < sizeof names; i++)
    if (i == 0 || strcmp(architectures[i].name, architectures[i - 1].name) != 0)
      used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", architectures[i].name);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: general.architecture %.*s is not read from GGUF files; these are: %s",
                   m->path, GGUF_SHOWN(name), names);
}

/* By name, and among those of one name by whether the file has experts. */
ellm_status gguf_arch_find(const gguf_metadata *m, const gguf_arch **out, ellm_error *err) {
  static const char key[] = "general.architecture";
  gguf_string name;
  int64_t experts = 0;
  if (gguf_find(m, key) == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: a GGUF file without key %s", m->path, key);
  ELLM_TRY(gguf_get_string(m, key, &name, err));
  *out = NULL;
  for (size_t i = 0; i < N_ARCHITECTURES && *out == NULL; i++)
    if (is(name, architectures[i].name)) *out = &architectures[i];
  if (*out == NULL) return not_read(m, name, err);
  char count[64];
  snprintf(count, sizeof count, "%s.expert_count", (*out)->name);
  if (gguf_find(m, count) != NULL) ELLM_TRY(gguf_get_integer(m, count, 0, INT32_MAX, &experts, err));
  /* 0 is in files of dense models */
  const bool wanted = experts > 0;
  for (const gguf_arch *a = *out; a < architectures + N_ARCHITECTURES && strcmp(a->name, (*out)->name) == 0; a++)
    if (a->experts == wanted) {
      *out = a;
      return ELLM_OK;
    }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %lld: files of architecture %s %s experts", m->path, count,
                   (long long)experts, (*out)->name, wanted ? "have no" : "have");
}

ellm_status gguf_arch_check_keys(const gguf_metadata *m, const gguf_arch *arch, ellm_error *err) {
  const size_t prefix = strlen(arch->name);
  for (size_t i = 0; i < m->n; i++) {
    const gguf_string key = m->values[i].key;
    if (key.bytes < prefix + 2 || memcmp(key.data, arch->name, prefix) != 0 || key.data[prefix] != '.') continue;
    const char *behind = (const char *)key.data + prefix + 1;
    if (!listed(usual_keys, behind, key.bytes - prefix - 1) && !listed(arch->keys, behind, key.bytes - prefix - 1))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %.*s is not supported", m->path, GGUF_SHOWN(key));
  }
  return ELLM_OK;
}

bool gguf_is_rope_factors(const char *tensor) {
  return strcmp(tensor, "rope_freqs.weight") == 0 || strcmp(tensor, "rope_factors_long.weight") == 0 ||
         strcmp(tensor, "rope_factors_short.weight") == 0;
}
