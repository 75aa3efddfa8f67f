/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mean squares of what the matrices of a model multiply, column by column: all that the quick effort knows of a
 * calibration text. Sums are gathered while text is evaluated. Each sequence has sums of its own, its positions
 * ascending, and they are added sequence by sequence: so the bits do not depend on how many are evaluated at a time.
 * An expert has sums of its own, of the tokens that have chosen it, and a count of them.
 */
#ifndef ELLM_TUNE_SQUARES_H
#define ELLM_TUNE_SQUARES_H

#include "model/forward.h"

typedef struct squares {
  uint32_t n_layers;
  const layer_facts *layers;          /* [n_layers], of the model, which outlives it */
  uint32_t hidden, mixed;             /* columns of INPUT_OUTPUT: mixed; of other inputs but INPUT_DOWN: hidden */
  size_t *begin;                      /* [n_layers + 1]: where the sums of a layer begin; of INPUT_HEAD the last */
  size_t total;                       /* columns of all inputs of all layers, and a count for each expert */
  double *sum;                        /* [total]: of sequences that are complete */
  uint64_t tokens, head_tokens;       /* that they have; of INPUT_HEAD: rows whose logits were wanted */
  size_t together;                    /* sequences at a time */
  double *open;                       /* [together][total]: of those that are being evaluated */
  uint64_t *open_tokens, *open_head;  /* [together] */
  size_t most;                        /* rows of items from this number on are not counted */
} squares;

/* Zeroed; free with squares_free, also after a failure. */
ellm_status squares_create(const ellm_model *model, size_t together, squares *out, ellm_error *err);
void squares_free(squares *s);

/* What counts rows by the item of their batch, item < together: for forward_set_watch. */
forward_watch squares_watch(squares *s);
/* The items 0 .. n - 1 are complete sequences: their sums are added in this order, and the next ones begin. */
void squares_close(squares *s, size_t n);

/* Columns of an input. layer is not looked at for INPUT_HEAD. */
size_t squares_columns(const squares *s, uint32_t layer, forward_input input);
/* The sums of an input, and over how many tokens. */
const double *squares_of(const squares *s, forward_place place, uint64_t *tokens);

#endif
