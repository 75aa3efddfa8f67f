/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sharing out bits between the matrices of a model. Each matrix has a curve:
 * how many bits it takes and how much damage it does at some steps, measured.
 * Damage is in one unit for all matrices (divergence of the model's output), and
 * adds up. Then the best steps for a size are those where one more bit saves the same damage everywhere: for one lambda, each matrix has the
 * step that makes
 *
 *   damage(step) + lambda x bits(step)
 *
 * smallest. Between two points of a curve bits are linear and damage is a power
 * of the step (its square, at fine steps), in the logarithm of the step, so the
 * minimum is a formula. Lambda is found by bisection.
 *
 * A curve is an estimate; what a matrix takes is known when it is coded. So
 * matrices are coded one by one, and what is left is shared out again between
 * those that follow.
 */
#ifndef ELLM_CALIB_ALLOCATE_H
#define ELLM_CALIB_ALLOCATE_H

#include "base/status.h"

typedef struct allocation_point {
  double log2_step;
  double bits;    /* of the whole matrix, everything that belongs to it counted */
  double damage;  /* > 0, in the model's output */
} allocation_point;

/* A point at a step between a and b, a's step being the lower one (or equal: a itself); nearer ones where it lies beyond. */
allocation_point allocation_between(const allocation_point *a, const allocation_point *b, double log2_step);

/* Plain data. A step is chosen between the first and the last point. */
typedef struct allocation_curve {
  const allocation_point *points; /* ascending log2_step, not ascending bits, not falling damage */
  size_t n_points;                /* >= 1 */
  double log2_step, bits, damage; /* chosen */
} allocation_curve;

/* Steps for the least damage within `bits`. ELLM_ERR_INPUT: bad curves, or `bits` is less than the coarsest steps take
 * (the least possible number is named). Bits beyond what the finest steps take are left over. */
ellm_status allocate_for_bits(allocation_curve *curves, size_t n_curves, double bits, ellm_error *err);
/* Sums over the chosen steps. */
double allocation_bits(const allocation_curve *curves, size_t n_curves);
double allocation_damage(const allocation_curve *curves, size_t n_curves);

#endif
