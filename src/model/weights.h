/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weights of a decoder-only transformer, found by name in a .ellm file or
 * a checkpoint and checked against its configuration.
 */
#ifndef ELLM_MODEL_WEIGHTS_H
#define ELLM_MODEL_WEIGHTS_H

#include "arch/arch.h"
#include "base/progress.h"
#include "model/matrix.h"
#include "source/source.h"

/* Matrices whose outputs lie one after the other. */
typedef struct matrix_group { weight_matrix matrix[3]; size_t n; } matrix_group;

typedef struct expert_weights { matrix_group gate_up, down; } expert_weights;

typedef struct layer_weights {
  float *attention_norm, *mlp_norm;  /* [hidden_size] */
  float *attention_post_norm, *mlp_post_norm; /* [hidden_size], or NULL */
  float *q_norm, *k_norm;            /* [head_dim], or NULL */
  matrix_group qkv, output;
  matrix_group gate_up, down;        /* empty where there are experts */
  matrix_group router;               /* n_experts x hidden_size; empty where there are none */
  expert_weights *experts;           /* [n_experts], owned; NULL */
  uint32_t n_experts;
} layer_weights;

typedef struct model_weights {
  weight_matrix embedding;   /* vocab_size x hidden_size */
  matrix_group head;         /* the same, or one of its own */
  float *norm;               /* [hidden_size] */
  layer_weights *layers;
  uint32_t n_layers;
  char **names;              /* owned: what weight_matrix.name points at */
  float **vectors;           /* owned: norms and biases */
  expanded_matrix **expanded; /* owned: what weight_matrix.expanded points at */
  size_t n_names, n_vectors, n_expanded;
  uint64_t parameters;
} model_weights;

/*
 * The source outlives the weights. A tensor that is missing, of another shape than the configuration says, or of a type
 * that is not a float is ELLM_ERR_INPUT, and so is a norm or a bias with a weight that is not finite. Matrices of a
 * checkpoint are not read here; a weight of theirs that is no number shows in the logits. Tensors that are not part of
 * the architecture are named in a note and left alone.
 */
ellm_status model_weights_bind(tensor_source *from, const model_config *config, const ellm_notes *notes,
                               model_weights *weights, ellm_error *err);
/* All that binding checks but what the elements are, without weights as the result: used[source_count(from)] says which
 * tensors it takes. No matrix is read. After an error `used` says nothing. */
ellm_status model_weights_check(tensor_source *from, const model_config *config, const ellm_notes *notes, bool *used,
                                ellm_error *err);
/* Decode every coded matrix once, into plain codes in memory. Stage "expand" of the progress, coded bytes. */
ellm_status model_weights_expand(model_weights *weights, compute *c, progress_meter *meter, ellm_error *err);
void model_weights_free(model_weights *weights);

#endif
