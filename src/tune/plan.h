/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan says which step each matrix of a model gets. For every matrix a curve is measured: the bits at several steps,
 * from a sample of its rows, and the damage, from the divergence at one step (tune/damage.h) and the squared errors at
 * the others. Then one lambda for the whole model (calib/allocate.h) gives the steps for a size.
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
  allocation_point (*points)[PLAN_POINTS];     /* the parts of these curves near the center, where steps are chosen */
  allocation_curve *curves;                    /* [matrices->n] */
  double center;                               /* log2 of the one step for all matrices that meets the size */
  bool centered;
} plan;

/* What rounding needs to know about the input of matrix i. Called layer by layer in the order of inputs, once for
 * consecutive matrices that read the same input, and for the experts of a layer once for each kind of matrix. */
typedef ellm_status (*plan_columns_fn)(void *user, size_t i, input_columns *out, ellm_error *err);

typedef struct plan_request {
  thread_pool *pool;
  uint32_t n_layers;
  const tune_matrices *matrices;
  plan_columns_fn columns;
  void *user;
  damage_meter *meter;       /* NULL: nothing can be measured; then all weights count by their own error */
  double overhead;           /* bits stored per bit of entropy, about 1.02 */
} plan_request;

/* Measures all curves. Progress has stage "measure" and counts weights of finished matrices. Free with plan_free, also
 * after a failure. */
ellm_status plan_measure(const plan_request *request, progress_meter *progress, plan *out, ellm_error *err);
/* Makes a plan from curves of all matrices that were measured before. */
ellm_status plan_take(const tune_matrices *matrices, const allocation_point (*known)[PLAN_POINTS], plan *out,
                      ellm_error *err);
void plan_free(plan *p);
/* Whether a matrix of a model with n_layers is measured itself; the others are interpolated. The matrices of one kind
 * of all experts of a layer are measured together. */
bool plan_measures(const tune_matrix *m, uint32_t n_layers);

/*
 * Chooses the steps of the matrices from number `first` on, so that together they take `bits`. The first call finds the
 * center, which is the common step of all matrices that meets the size. Steps are chosen within an octave of it,
 * because a divergence that was measured with one matrix at a time and few tokens cannot be trusted further.
 * ELLM_ERR_INPUT if no steps are coarse enough for `bits`; the message names the least possible number.
 */
ellm_status plan_steps(plan *p, size_t first, double bits, ellm_error *err);
/* Bits that all matrices take at the coarsest and at the finest steps. */
double plan_least_bits(const plan *p);
double plan_most_bits(const plan *p);
/* Lets the next plan_steps find a new center. */
void plan_recenter(plan *p);
/* The divergence that the chosen steps are expected to make. */
double plan_damage(const plan *p);
/* The chosen step of a matrix, relative to its rows. */
double plan_step(const plan *p, size_t matrix);

#endif
