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
#include "base/notes.h"
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
  const char *nested;            /* the object that has all other fields; NULL: they are at the top */
  const char *nested_model_type; /* its model_type */
  const arch_fields *fields;
  const arch_tensors *tensors;
  arch_defaults defaults;
  arch_rope_rules rope;
  /* What differs from the plainest transformer. When it is called, *config is filled and every layer sees everything,
   * rotates by rope 0, scales by 1 / sqrt(head_dim), has no biases and a SiLU network. */
  ellm_status (*facts)(const config_reader *in, model_config *config, ellm_error *err);
} arch_class;

#endif
