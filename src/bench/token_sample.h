/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrices of a token plan in memory, coded in some way: as a file has them, or its codes coded again as another
 * preference would have it, or codes that the paper's method makes of a model that is not quantized. Of each matrix
 * some rows of blocks are real; they repeat over the others, so that coding takes a moment and memory is read as it
 * would be.
 */
#ifndef ELLM_BENCH_TOKEN_SAMPLE_H
#define ELLM_BENCH_TOKEN_SAMPLE_H

#include "base/threads.h"
#include "bench/coded.h"
#include "bench/token_plan.h"
#include "coder/cost.h"

/* Codes of some blocks of a matrix. */
typedef struct sampled_matrix {
  coder_geometry geometry;  /* of all rows in the plan */
  coder_geometry distinct;  /* of the blocks that are real */
  uint8_t *codes;           /* [distinct.n_blocks][CODER_MAX_CODES], tile order */
  coder_statistics stats;
  int bits, zero;
  uint8_t pad;
  double error, energy;     /* sums of squares of what quantizing lost, and of the weights; 0 where nobody knows */
} sampled_matrix;

typedef struct token_sample {
  const token_plan *plan;
  sampled_matrix **matrices; /* [plan->n_matrices] */
  double entropy;            /* bits per weight of a token */
  double weight_error;       /* root mean square of the error by that of the weights; negative: unknown */
} token_sample;

/* The codes of a quantized model, bits 0; or those of `bits` bits that its weights get. */
ellm_status token_sample_make(const token_plan *plan, int bits, thread_pool *pool, token_sample *sample,
                              ellm_error *err);
void token_sample_free(token_sample *sample);

/* All matrices coded: what a token multiplies. */
typedef struct coded_sample {
  const token_plan *plan;
  bench_coded *coded;       /* [plan->n_matrices] */
  ellm_bench_matrix **file; /* [plan->n_matrices], of those that are in a file; NULL */
  double bits;              /* a weight of a token */
} coded_sample;

/* As `aim` says. */
ellm_status coded_sample_make(const token_sample *sample, coder_aim aim, thread_pool *pool, coded_sample *coded,
                              ellm_error *err);
/* The same without coding: bits per weight, and the cycles that a core of the class takes for a weight, decoding with
 * product, by its table (coder/machine.h). */
ellm_status coded_sample_model(const token_sample *sample, coder_aim aim, ellm_machine machine, double *bits,
                               double *cycles, ellm_error *err);
/* The same of the books that a file has. */
ellm_status coded_sample_model_file(const token_sample *sample, ellm_machine machine, double *bits, double *cycles,
                                    ellm_error *err);
/* As the file has them. */
ellm_status coded_sample_of_file(const token_plan *plan, coded_sample *coded, ellm_error *err);
void coded_sample_free(coded_sample *coded);

#endif
