/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weight matrices and the one place where they are multiplied. A matrix is
 * coded (blocks of a .ellm file, decoded while it is multiplied) or raw
 * (F32, F16 or BF16 bytes of a checkpoint, or of a kept tensor). Nothing of it
 * is expanded beyond one panel a thread, unless that was asked for (expand.h).
 * A coded matrix is quantized, or its elements are stored exactly: then it is
 * multiplied as a raw one with the same elements, and gives the same bits.
 *
 * Outputs are computed panel by panel of 16 rows and never depend on how panels
 * are dealt to threads or tokens to batches (kernels/kernels.h, the order of sums).
 */
#ifndef ELLM_MODEL_MATRIX_H
#define ELLM_MODEL_MATRIX_H

#include "base/threads.h"
#include "container/reader.h"
#include "kernels/kernels.h"
#include "model/expand.h"

/* Tokens that are multiplied in one pass at most. */
enum { MATRIX_MAX_TOKENS = 256 };

typedef struct weight_matrix {
  const char *name;              /* of the tensor, for errors */
  uint32_t rows, columns;
  const ellm_file *file;         /* coded: both set */
  const container_tensor *coded;
  const expanded_matrix *expanded; /* its codes in memory, or NULL */
  const uint8_t *data;           /* raw, or exact and expanded: row-major, little-endian, any alignment; else NULL */
  ellm_dtype dtype;
  uint8_t *seen;                 /* raw: for each 16 rows, exact: for each row group, whether all of their elements were
                                  * found to be finite; NULL, raw only: they are not looked at. Written by the product
                                  * that multiplies with them first */
  const char *origin;            /* the file that it is in, for errors */
  const float *bias;             /* [rows], or NULL */
} weight_matrix;

/* Threads with their scratch memory, shared by all products of a model. One product at a time. */
typedef struct compute compute;
ellm_status compute_create(int n_threads, compute **out, ellm_error *err); /* 0 = all of the process's affinity */
void compute_free(compute *c);
thread_pool *compute_pool(compute *c);
const kernel_table *compute_kernels(const compute *c);
double compute_product_seconds(const compute *c); /* spent in matrix_multiply so far */

/* Rows that a product is asked for: of each `period` rows of its matrices, one below the other, those of up to three
 * ranges [first, end), which ascend and do not overlap. No matrix is in two periods. */
enum { MATRIX_MAX_RANGES = 3 };
typedef struct row_range { uint32_t first, end; } row_range;
typedef struct matrix_rows { uint32_t period; size_t n; row_range range[MATRIX_MAX_RANGES]; } matrix_rows;

/* Row groups [first, end) of a matrix. */
typedef struct group_span { uint64_t first, end; } group_span;
/* Those that range number `range` of `rows` asks for, and no range before it; `at`: where the matrix's first row is among
 * all that `rows` is about. `rows` NULL: all, as one range. */
group_span matrix_groups(const matrix_rows *rows, const weight_matrix *m, uint64_t at, size_t range);

/*
 * y_t = W x_t + bias for n_tokens tokens (<= MATRIX_MAX_TOKENS), W being the
 * rows of n matrices of equal columns one below the other. x[n_tokens][x_stride],
 * x_stride a multiple of 4 and >= columns, zero beyond the columns;
 * y[n_tokens][y_stride], y_stride >= the rows together. `digits` 0: the float
 * product. Else coded matrices take the integer product, raw ones the float
 * product all the same. Matrices with the same factors of columns (the same
 * array) that follow each other share the rounding of activations. Where `rows` is set, only these rows of y are sure to be
 * computed: they, and the others of their row groups.
 */
typedef struct matrix_product {
  const weight_matrix *const *matrices;
  size_t n_matrices;
  const float *x;
  size_t x_stride;
  unsigned digits;      /* of activations: 0 none, 1 (i8), 2 (i16) */
  void *scratch;        /* kernel_activations_bytes(columns, n_tokens, digits), aligned to 64; NULL without digits */
  size_t n_tokens;
  float *y;
  size_t y_stride;
  const matrix_rows *rows; /* NULL: all */
} matrix_product;
ellm_status matrix_multiply(compute *c, const matrix_product *product, ellm_error *err);

/* Row `row` as floats to out[columns]: the embedding of a token. */
ellm_status matrix_row(compute *c, const weight_matrix *matrix, uint32_t row, float *out, ellm_error *err);

#endif
