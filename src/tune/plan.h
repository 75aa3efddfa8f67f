/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which step each matrix of a model gets. For every matrix a curve is measured: what it costs at some steps, from a
 * sample of its rows, and what it damages, from the divergence at one step (tune/damage.h) and the squared errors at
 * the others. Then one lambda for the whole model (calib/allocate.h) gives the steps for a size, or for a divergence.
 */
#ifndef ELLM_TUNE_PLAN_H
#define ELLM_TUNE_PLAN_H

#include "base/progress.h"
#include "calib/allocate.h"
#include "tune/damage.h"
#include "tune/rounder.h"

enum { PLAN_POINTS = 9 };

typedef struct plan {
  const tune_matrices *matrices;
  allocation_point (*measured)[PLAN_POINTS];   /* [matrices->n], the whole range of steps */
  allocation_point (*points)[PLAN_POINTS];     /* the same curves about the center, which steps are chosen from */
  allocation_curve *curves;                    /* [matrices->n] */
  double center;                               /* log2 of the one step for all matrices that meets the size */
  bool centered;
} plan;

/* What rounding is to know of the input of matrix i. Asked layer by layer in the order of inputs, once for matrices that
 * read the same input and follow each other; of the experts of a layer once for each kind of their matrices. */
typedef ellm_status (*plan_columns_fn)(void *user, size_t i, input_columns *out, ellm_error *err);

typedef struct plan_request {
  thread_pool *pool;
  uint32_t n_layers;
  const tune_matrices *matrices;
  plan_columns_fn columns;
  void *user;
  damage_meter *meter;       /* NULL: nothing can be measured; then all weights count by their own error */
  double overhead;           /* bits that are stored for a bit of entropy, 1.02 or so */
} plan_request;

/* Stage "measure" of the progress, weights of matrices that are done. Free with plan_free, also after a failure. */
ellm_status plan_measure(const plan_request *request, progress_meter *progress, plan *out, ellm_error *err);
/* With curves that were measured before, of all matrices. */
ellm_status plan_take(const tune_matrices *matrices, const allocation_point (*known)[PLAN_POINTS], plan *out,
                      ellm_error *err);
void plan_free(plan *p);
/* Is a matrix of a model of n_layers measured alone? Others lie between their neighbours. Matrices of a kind of all experts
 * of a layer are measured together. */
bool plan_measures(const tune_matrix *m, uint32_t n_layers);

/*
 * Steps of the matrices from number `first` on, which are to take `bits` together. The first call finds the center:
 * the one step for all that meets the size. Steps are chosen within an octave of it, as a divergence that was measured
 * with one matrix at a time and few tokens is not to be trusted farther. ELLM_ERR_INPUT, naming the least possible
 * number, where bits are too few for any steps.
 */
ellm_status plan_steps(plan *p, size_t first, double bits, ellm_error *err);
/* Bits that all matrices take at the coarsest and at the finest steps. */
double plan_least_bits(const plan *p);
double plan_most_bits(const plan *p);
/* The next plan_steps finds the center anew. */
void plan_recenter(plan *p);
/* The divergence that the chosen steps are expected to make. */
double plan_damage(const plan *p);
/* The chosen step of a matrix, relative to its rows. */
double plan_step(const plan *p, size_t matrix);

#endif
