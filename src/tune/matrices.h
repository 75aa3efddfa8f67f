/* SPDX-License-Identifier: Apache-2.0 */
/* The matrices of a model that are quantized, each with the input that it multiplies. */
#ifndef ELLM_TUNE_MATRICES_H
#define ELLM_TUNE_MATRICES_H

#include "model/forward.h"

typedef struct tune_matrix {
  weight_matrix *matrix;  /* in the model's weights; raw, of a float type */
  weight_matrix *twin;    /* where the same tensor stands a second time: a tied embedding is the output matrix, too */
  uint32_t layer;         /* n_layers for what belongs to no layer */
  forward_input input;
  uint32_t expert;        /* that it belongs to; FORWARD_NO_EXPERT */
  size_t part;            /* which of those that multiply this input */
  bool looked_up;         /* an embedding that is not the output matrix: its rows are looked up, it multiplies nothing */
  const float *row_factors; /* [rows] of its row scales, larger for rows that matter less; NULL: all alike */
} tune_matrix;

typedef struct tune_matrices {
  tune_matrix *at;        /* layer by layer, in the order of inputs, for each expert by expert; output matrix and
                           * embedding last */
  size_t n;
  uint64_t weights;       /* of all of them */
} tune_matrices;

/* Of a model opened from a folder. ELLM_ERR_INPUT, naming it, for a matrix that is quantized already. Points into the
 * model's weights; free with tune_matrices_free. */
ellm_status tune_matrices_of(ellm_model *model, tune_matrices *out, ellm_error *err);
/* Factors of row scales for the matrices of the vocabulary, factors[vocab_size], which outlives the matrices' use. */
void tune_matrices_weigh(const tune_matrices *m, const float *factors, size_t vocab_size);
void tune_matrices_free(tune_matrices *m);

/* Do they multiply the same input, so that all that is known of it serves both? */
bool tune_same_input(const tune_matrix *a, const tune_matrix *b);
forward_place tune_place(const tune_matrix *m);

/* Rows [row, row + n) as floats to out[n][columns]. */
void tune_matrix_floats(const weight_matrix *m, uint64_t row, size_t n, float *out);

/* Where a matrix has its elements, so that they can be put back. */
typedef struct tune_elements { const uint8_t *data; ellm_dtype dtype; } tune_elements;
/* The model multiplies with these elements from now on, row after row; gives those from before. */
tune_elements tune_matrix_replace(tune_matrix *m, tune_elements elements);

#endif
