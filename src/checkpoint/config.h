/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and generation_config.json of the decoder-only models we run. */
#ifndef ELLM_CHECKPOINT_CONFIG_H
#define ELLM_CHECKPOINT_CONFIG_H

#include "base/status.h"

typedef enum model_arch { ARCH_LLAMA, ARCH_MISTRAL, ARCH_PHI3, ARCH_QWEN2, ARCH_QWEN3 } model_arch;
typedef enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN, ROPE_LONGROPE } rope_type;

enum { CONFIG_MAX_HEAD_DIM = 1024, CONFIG_MAX_EOS = 16, CONFIG_MAX_SIZE = 1 << 24, CONFIG_MAX_LAYERS = 1 << 16,
       CONFIG_MAX_POSITIONS = 1 << 30 };

/* Rotary position embedding, as transformers.modeling_rope_utils reads it. */
typedef struct rope_config {
  rope_type type;
  double theta;                    /* rope_theta */
  double partial_rotary_factor;    /* share of head_dim that rotates; 1 = all */
  double factor;                   /* linear, llama3, yarn, longrope (where not given: max_position_embeddings by
                                    * original_max_position_embeddings); else 1 */
  double low_freq_factor, high_freq_factor;              /* llama3 */
  uint32_t original_max_position_embeddings;             /* llama3, yarn, longrope: above 0; else 0 */
  double beta_fast, beta_slow, mscale, mscale_all_dim;   /* yarn; mscale 0 = not given */
  double attention_factor;         /* yarn, longrope; < 0 = not given */
  bool truncate;                   /* yarn, default true */
  uint32_t n_factors;              /* longrope: length of both lists */
  float short_factor[CONFIG_MAX_HEAD_DIM / 2], long_factor[CONFIG_MAX_HEAD_DIM / 2];
} rope_config;

typedef struct model_config {
  model_arch arch;
  const char *arch_name;           /* static, "LlamaForCausalLM" */
  uint32_t vocab_size, hidden_size, intermediate_size, n_layers;
  uint32_t n_heads, n_kv_heads, head_dim;
  uint32_t max_position_embeddings;
  double rms_norm_eps;
  bool attention_bias, mlp_bias, qkv_bias; /* attention_bias: q, k, v and o; qkv_bias: q, k, v only (Qwen2) */
  bool qk_norm;                    /* Qwen3 */
  bool tie_word_embeddings;
  uint32_t sliding_window;         /* 0 = none */
  uint32_t window_first_layer;     /* layers before it attend to everything (Qwen max_window_layers); 0 normally */
  rope_config rope;
  int64_t bos_token_id;            /* -1 if none */
} model_config;

typedef struct generation_config {
  uint32_t eos_ids[CONFIG_MAX_EOS]; /* generation_config's, else config's */
  size_t n_eos;
  int do_sample;                    /* -1 when not given */
  double temperature, top_p, min_p, repetition_penalty; /* negative when not given */
  int top_k;                        /* negative when not given */
} generation_config;

/* `origin` names the file in errors. Unknown architectures, activation
 * functions, rope types (dynamic, ...) and values out of range are refused by
 * name; every dimension is checked (non-zero, divisibility, <= 2^24 or so). */
ellm_status model_config_parse(const void *json, size_t bytes, const char *origin, model_config *config,
                               ellm_error *err);
/* A file's text; `json` is NULL where there is none, `origin` names it in errors. */
typedef struct config_text { const void *json; size_t bytes; const char *origin; } config_text;

/* generation_config.json; what it leaves out of the end-of-sequence ids is taken from config.json. */
ellm_status generation_config_parse(const config_text *generation, const config_text *model, generation_config *config,
                                    ellm_error *err);

#endif
