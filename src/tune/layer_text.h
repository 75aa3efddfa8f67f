/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A calibration text between two layers of a model: the residual stream of all its tokens, in a scratch file. A layer
 * is run twice: once to see the second moments of its inputs, and once more, with the weights that it has by then, to
 * take the text to the next layer. So each layer is quantized for what the quantized layers before it make of the text.
 */
#ifndef ELLM_TUNE_LAYER_TEXT_H
#define ELLM_TUNE_LAYER_TEXT_H

#include "base/scratch_file.h"
#include "calib/moments.h"
#include "model/layerwise.h"
#include "tune/corpus.h"

typedef struct layer_text {
  ellm_model *model;
  const corpus *text;        /* outlives it */
  size_t n;                  /* its first n sequences */
  layerwise *layers;
  scratch_file streams;      /* [n][length][hidden_size] */
  float *stream;             /* of one sequence */
} layer_text;

/* Stands before layer 0. The scratch file lies in the folder of `path`. Free with layer_text_close, also after a failure. */
ellm_status layer_text_open(ellm_model *model, const corpus *text, size_t n, const char *path, layer_text *out,
                            ellm_error *err);
void layer_text_close(layer_text *t);
/* Back before layer 0. */
ellm_status layer_text_rewind(layer_text *t, ellm_error *err);

/* What is gathered of a layer. */
typedef struct layer_moments {
  moments *inputs[LAYER_INPUTS + 1]; /* NULL where one is not wanted */
  /* One of the inputs of experts, as far as there is memory: */
  forward_input expert_input;
  uint32_t first_expert, n_experts;  /* 0: of none */
  moments *experts;                  /* [n_experts] */
  uint64_t expert_tokens;            /* of all experts of the layer together, ... */
  double *expert_squares;            /* [columns], ... their sums of squares; NULL: not wanted */
} layer_moments;

/* Adds the inputs of a layer to `m`. The text stays before the layer. */
ellm_status layer_text_moments(layer_text *t, uint32_t layer, layer_moments *m, ellm_error *err);
/* Takes the text behind the layer, and adds the inputs on its way to m, NULL: to nothing. */
ellm_status layer_text_advance(layer_text *t, uint32_t layer, layer_moments *m, ellm_error *err);
/* Behind the last layer: adds the inputs of the output matrix to m. */
ellm_status layer_text_head(layer_text *t, moments *m, ellm_error *err);

#endif
