/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model reads for one token: products of matrices, in the order in which the forward pass makes them. Of a large
 * model a part stands for the whole: some layers, as many experts of them as a token uses, the head, and of very large
 * matrices the first rows. Each product says how many of a token it stands for.
 */
#ifndef ELLM_BENCH_TOKEN_PLAN_H
#define ELLM_BENCH_TOKEN_PLAN_H

#include "arch/arch.h"
#include "source/source.h"

typedef struct plan_matrix {
  const source_tensor *tensor;
  uint64_t rows;      /* that stand for all of them */
  uint64_t columns;
} plan_matrix;

/* Matrices with the same input, multiplied together. */
typedef struct plan_product {
  size_t first, n;    /* of plan_matrix */
  double per_token;   /* products of a token that it stands for */
} plan_product;

typedef struct token_plan {
  tensor_source *source;  /* not owned */
  plan_matrix *matrices;
  plan_product *products;
  size_t n_matrices, n_products;
  double weights;         /* of all matrices of the model */
  double token_weights;   /* of those that a token multiplies */
  uint64_t raw_bytes;     /* of matrices that a token reads and that are not quantized, in a .ellm file */
  uint64_t other_bytes;   /* of a file: all but the matrices */
  uint32_t n_layers, hidden_size;
} token_plan;

/* `wanted`: weights of the products to take, about; at least a layer. The source stays open as long as the plan.
 * ELLM_ERR_INPUT where the configuration is none that can be run or a matrix is missing. */
ellm_status token_plan_make(tensor_source *source, double wanted, token_plan *plan, ellm_error *err);
void token_plan_free(token_plan *plan);
/* Weights of the products that were taken. */
double token_plan_taken(const token_plan *plan);

#endif
