/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model is: its sizes, what its tensors are called, and the facts of
 * each layer, read from config.json. Those who compute read this and nothing
 * else; none of them asks which architecture it is. Families are in files of
 * their own (llama.c, gemma.c, qwen.c, ...) and in the list of families.c.
 */
#ifndef ELLM_ARCH_ARCH_H
#define ELLM_ARCH_ARCH_H

#include <stddef.h>

#include "arch/rope.h"

enum { CONFIG_MAX_SIZE = 1 << 24, CONFIG_MAX_LAYERS = 1 << 16, CONFIG_MAX_EXPERTS = 1 << 12, ARCH_MAX_ROPES = 2, ARCH_NAME_BYTES = 128 };

typedef enum arch_activation {
  ARCH_SILU,      /* x / (1 + exp(-x)) */
  ARCH_GELU_TANH  /* 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
} arch_activation;

/* `layer_facts.rope` of a layer whose queries and keys are not rotated. */
#define ARCH_NO_ROPE UINT32_MAX
/* Of the layers with a window, where these rotate with a base of their own. */
#define ROPE_OF_WINDOWS 1

/*
 * One layer of the transformer. With n(x) an RMS norm and optional parts in brackets it computes
 *   x += residual_scale * [n](attention(n(x)))
 *   x += residual_scale * [n](mlp(n(x)))
 * Norms are there where arch_tensors names them. Attention's scores are
 *   score_scale * (q . k), soft-capped, over the last `window` positions,
 * with q and k normed (qk_norm) and then rotated by table `rope`. The network is
 *   down(activation(gate(x)) * up(x)), or the weighted sum of n_experts_used such networks out of n_experts.
 */
typedef struct layer_facts {
  uint32_t window;            /* positions that a token sees, its own among them; 0: all before it */
  uint32_t rope;              /* index into model_config.ropes, or ARCH_NO_ROPE */
  float score_scale;          /* above 0; 1 / sqrt(head_dim) mostly */
  float score_soft_cap;       /* scores become cap * tanh(score / cap); 0: they do not */
  bool qkv_bias, output_bias; /* of the projections q, k, v; of o */
  bool qk_norm;               /* a norm of head_dim weights for every head of q and of k */
  arch_activation activation;
  bool mlp_bias;
  uint32_t intermediate_size; /* rows of gate and up, of one expert where there are experts */
  uint32_t n_experts;         /* 0: one network */
  uint32_t n_experts_used;    /* a token; their router scores are a softmax over all experts */
  bool normalize_experts;     /* weights of those used are divided by their sum */
  float residual_scale;       /* what is added to the residual stream is multiplied by it; 1 mostly */
} layer_facts;

/* What tensors are called. Whole names, except a layer's: those lack "LAYER.N." before and ".weight" or ".bias" behind
 * (arch_tensor_name puts them together). NULL: there is none. */
typedef struct arch_tensors {
  const char *embedding, *norm, *head;
  const char *layer;                                /* "model.layers" */
  const char *attention_norm, *attention_post_norm; /* before and after attention */
  const char *mlp_norm, *mlp_post_norm;             /* before and after the network */
  const char *qkv[3];     /* query, key, value; or one matrix that has the rows of all three in this order */
  const char *q_norm, *k_norm;
  const char *output;
  const char *gate_up[2]; /* likewise */
  const char *down;
  /* of layers with experts: the matrix that chooses, the part before ".NUMBER.", and what follows it */
  const char *router, *experts, *expert_gate_up[2], *expert_down;
} arch_tensors;

typedef struct model_config {
  const char *arch_name;           /* static, "LlamaForCausalLM" */
  const arch_tensors *tensors;     /* static */
  uint32_t vocab_size, hidden_size, n_layers;
  uint32_t intermediate_size;      /* of a layer, as the configuration gives it */
  uint32_t n_heads, n_kv_heads, head_dim;
  uint32_t max_position_embeddings;
  uint32_t max_context;            /* positions that can be computed: all of them, or fewer */
  const char *max_context_reason;  /* static, for messages: why not more, where other programs continue; else NULL */
  double rms_norm_eps;
  float norm_offset;               /* norms multiply by norm_offset + weight; 0 mostly */
  bool tie_word_embeddings;
  float embedding_scale;           /* rows of the embedding are multiplied by it when they are looked up; 1 mostly */
  float logits_scale;              /* logits are multiplied by it; 1 mostly */
  float logits_soft_cap;           /* and become cap * tanh(logit / cap); 0: they do not */
  int64_t bos_token_id;            /* -1 if none */
  int64_t class_eos_id;            /* what the architecture's class of Transformers ends with where nothing is given;
                                    * -1: nothing */
  uint32_t n_ropes;                /* 1 to ARCH_MAX_ROPES */
  rope_config ropes[ARCH_MAX_ROPES];
  layer_facts *layers;             /* [n_layers], owned */
} model_config;

void model_config_free(model_config *config);

/* "model.layers.N.PART.WHAT" */
const char *arch_tensor_name(const arch_tensors *tensors, uint32_t layer, const char *part, const char *what,
                             char text[ARCH_NAME_BYTES]);
/* "EXPERTS.N.PART", a part of a layer for arch_tensor_name */
const char *arch_expert_part(const arch_tensors *tensors, uint32_t expert, const char *part,
                             char text[ARCH_NAME_BYTES]);

#endif
