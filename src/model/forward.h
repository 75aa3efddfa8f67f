/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wiring of a transformer: which operations of a backend follow each other. What calibrates a model watches the
 * inputs of its products here, and runs one layer at a time (model/layerwise.h).
 */
#ifndef ELLM_MODEL_FORWARD_H
#define ELLM_MODEL_FORWARD_H

#include "model/model.h"

/* What the matrices of a layer multiply. Matrices that read the same input belong together. */
typedef enum forward_input {
  INPUT_QKV,     /* hidden_size, normed: of query, key and value */
  INPUT_OUTPUT,  /* n_heads * head_dim: of attention's output */
  INPUT_GATE_UP, /* hidden_size, normed */
  INPUT_DOWN,    /* intermediate_size */
  LAYER_INPUTS,
  INPUT_HEAD = LAYER_INPUTS /* hidden_size, normed: of the output matrix; only rows whose logits are asked for */
} forward_input;

/* Where an input is read. Where a layer has experts, the rows that have chosen one are its INPUT_GATE_UP and its
 * INPUT_DOWN; without expert, INPUT_GATE_UP is that of all rows, whichever they choose, and INPUT_DOWN does not
 * occur. */
#define FORWARD_NO_EXPERT UINT32_MAX
typedef struct forward_place {
  uint32_t layer; /* n_layers for INPUT_HEAD */
  forward_input input;
  uint32_t expert; /* FORWARD_NO_EXPERT: of none */
} forward_place;

/* Sees x[n][stride], a copy of what the matrices are about to read, zero beyond its columns; rows[n] are those of the
 * batch. Called by the thread that evaluates; x is valid during the call. */
typedef struct forward_watch {
  void (*see)(void *user, forward_place place, const batch_row *rows, size_t n, const float *x, size_t stride);
  void *user;
} forward_watch;

/* From now on `watch` sees all inputs of a model; NULL: nobody does any more. It stays the caller's and outlives that.
 * ELLM_ERR_IO: nobody sees them. Not while the model evaluates. */
ellm_status forward_set_watch(ellm_model *model, const forward_watch *watch, ellm_error *err);

/* Shows n rows at work of a buffer, an input of the layer, to the model's watch, where it has one. */
void forward_show(const ellm_model *model, uint32_t layer, forward_input input, const batch_row *rows, size_t n,
                  backend_buffer x);

/* The group of matrices behind an input. */
matrix_group *layer_group(layer_weights *layer, forward_input input);

/* Computes rows[n], 1 .. BACKEND_MAX_ROWS of them, with the invariants of backend.h: their keys and values go to their
 * pages, logits where they are asked for. */
ellm_status forward(ellm_model *model, const batch_row *rows, size_t n, ellm_error *err);

/* One layer of rows that are at work: STREAM before it to STREAM behind it. */
ellm_status forward_layer(ellm_model *model, uint32_t layer, const batch_row *rows, size_t n, ellm_error *err);

#endif
