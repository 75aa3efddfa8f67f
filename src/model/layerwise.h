/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text through a model layer by layer: all of its tokens through one layer, then all through the next. What
 * calibrates a model needs that: the weights of a layer may be replaced between two of its runs, and what is between
 * layers, one vector a token, is kept by the caller, so that memory does not grow with the number of layers.
 *
 * The residual stream of a sequence is stream[position][hidden_size], packed. Results are those of ellm_evaluate to
 * the bit. One thread at a time, and no evaluation of the model meanwhile.
 */
#ifndef ELLM_MODEL_LAYERWISE_H
#define ELLM_MODEL_LAYERWISE_H

#include "model/forward.h"

typedef struct layerwise layerwise;

/* For sequences of up to `positions`; takes that many positions of the model's pool, ELLM_ERR_FULL where they are not
 * free. The model outlives it. */
ellm_status layerwise_create(ellm_model *model, uint32_t positions, layerwise **out, ellm_error *err);
void layerwise_free(layerwise *w); /* NULL is fine */

/* stream = the rows of the embedding of ids[n]. */
ellm_status layerwise_begin(layerwise *w, const uint32_t *ids, size_t n, float *stream, ellm_error *err);
/* A whole sequence through one layer, in place. `watch` (NULL: nobody) sees the inputs of its products. */
ellm_status layerwise_layer(layerwise *w, uint32_t layer, size_t n, float *stream, const forward_watch *watch,
                            ellm_error *err);
/* Logits of positions [first, n) to logits[n - first][vocab_size]; NULL: none are computed. `watch` sees the input of
 * the output matrix. `stream` is left as it is. */
ellm_status layerwise_head(layerwise *w, size_t first, size_t n, const float *stream, float *logits,
                           const forward_watch *watch, ellm_error *err);

#endif
