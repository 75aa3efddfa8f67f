/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file of a family says about each of its architectures: the names of
 * its fields and tensors, the values of fields that are missing, and how its
 * layers differ. To add a family, write its file and add its line to the list
 * in families.c; nothing else names families.
 */
#ifndef ELLM_ARCH_FAMILY_H
#define ELLM_ARCH_FAMILY_H

#include "arch/arch.h"
#include "json/lenient.h"

/* What the fields of config.json are called. */
typedef struct arch_fields {
  const char *vocab_size, *hidden_size, *intermediate_size, *n_layers, *n_heads, *n_kv_heads, *head_dim;
  const char *max_position_embeddings, *rms_norm_eps, *activation;
} arch_fields;

/* What the architecture's configuration class of Transformers takes where a field is missing. */
typedef struct arch_defaults {
  uint32_t n_kv_heads;         /* 0: as many as heads */
  uint32_t head_dim;           /* 0: hidden_size / heads */
  uint32_t max_position_embeddings;
  double rms_norm_eps;
  int64_t eos_token_id;        /* -1: none */
  bool tie_word_embeddings;
  arch_activation activation;
  /* mostly 0: the field must be there */
  uint32_t vocab_size, hidden_size, intermediate_size, n_layers, n_heads;
} arch_defaults;

/* What the architecture's rotary embedding may be. */
typedef struct arch_rope_rules {
  double theta;                /* rope_theta where it is missing; 0: 10,000 */
  bool partial;                /* partial_rotary_factor is read; else it must be 1 */
  bool only_longrope;          /* besides default; "yarn" is its old name there */
  uint32_t original_positions; /* original_max_position_embeddings where it is missing; 0: max_position_embeddings */
  double window_theta;         /* 0: all layers rotate alike. Else those with a window have a rotation of their own: its
                                * rope_theta where it is missing, */
  const char *window_theta_field; /* and the field that has it in configurations of the older style */
} arch_rope_rules;

typedef struct config_reader {
  const json_t *root;          /* an object */
  const char *origin;          /* the file, for errors */
  const struct arch_class *arch;
  const ellm_notes *notes;
} config_reader;

/* One class of Transformers. */
typedef struct arch_class {
  const char *name, *model_type; /* "LlamaForCausalLM", "llama" */
  const char *nested;            /* the object that has all other fields; NULL: they stand at the top */
  const char *nested_model_type; /* its model_type */
  const arch_fields *fields;
  const arch_tensors *tensors;
  arch_defaults defaults;
  arch_rope_rules rope;
  /* What differs from the plainest transformer. When it is called, *config is filled and every layer sees everything,
   * rotates by rope 0, scales by 1 / sqrt(head_dim), has no biases and a SiLU network. */
  ellm_status (*facts)(const config_reader *in, model_config *config, ellm_error *err);
} arch_class;

/* Names and fields that most architectures share. */
extern const arch_fields arch_usual_fields;
extern const arch_tensors arch_usual_tensors;

/* The class by the first of `architectures`, else by model_type; both must agree. */
ellm_status arch_class_find(const json_t *root, const char *origin, const arch_class **found, ellm_error *err);

/* ------------------------------------------------ reading a configuration */

/* A size of 1..limit; if not `required`, *out holds the default. */
ellm_status config_size(const config_reader *in, const char *field, bool required, uint32_t limit, uint32_t *out,
                        ellm_error *err);
ellm_status config_bool(const config_reader *in, const char *field, bool *out, ellm_error *err);
bool config_is_missing(const config_reader *in, const char *field);
bool config_is_null(const config_reader *in, const char *field);
/* attention_bias must not be true. */
ellm_status config_no_attention_bias(const config_reader *in, ellm_error *err);

/* Experts of layers: the number of them by the first of these fields that is there, else `missing`; *used by
 * num_experts_per_tok, else `missing_used`; each from 1 on, no more used than there are. */
ellm_status config_experts(const config_reader *in, const char *const fields[2], uint32_t missing,
                           uint32_t missing_used, uint32_t *n, uint32_t *used, ellm_error *err);

/* `layer_types`, where it is given: sliding[n_layers] says which layers are "sliding_attention", the others are
 * "full_attention". *given: is it there? */
ellm_status config_layer_types(const config_reader *in, uint32_t n_layers, bool *given, bool *sliding, ellm_error *err);
/* The field sliding_window where it is neither missing nor null; else `missing`, or 0 for null. */
ellm_status config_window(const config_reader *in, uint32_t missing, uint32_t *window, ellm_error *err);
/* For architectures whose layers are all alike: every layer has `window`, and layer_types must not say otherwise. */
ellm_status config_same_window(const config_reader *in, uint32_t window, model_config *config, ellm_error *err);

#endif
