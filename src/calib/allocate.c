/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sharing out bits among matrices. Each matrix has a curve: bits and damage over its step. The sum of all damage is
 * least for a given sum of bits where every matrix is at the same slope, -d damage / d bits = lambda: otherwise a
 * bit moved from a flat curve to a steep one would lower the sum. So for a lambda each matrix takes, independently, the
 * step with the least damage + lambda x bits (best_between), and bisection finds the lambda at which the bits add up to
 * the target.
 */
#include "calib/allocate.h"

#include <math.h>

#include "base/exact_math.h"

static const double LN2 = 0.69314718055994530942;
/* Halvings of [-650, 650]. A double has 53 bits, so about 64 are enough until no number is left between the two ends,
 * except close to 0. */
enum { HALVINGS = 200 };

static double log2_of(double x) { return exact_log(x) / LN2; }

allocation_point allocation_between(const allocation_point *a, const allocation_point *b, double log2_step) {
  if (!(log2_step > a->log2_step) || !(b->log2_step > a->log2_step)) return *a;
  if (log2_step >= b->log2_step) return *b;
  const double share = (log2_step - a->log2_step) / (b->log2_step - a->log2_step);
  return (allocation_point){.log2_step = log2_step,
                            .bits = a->bits + share * (b->bits - a->bits),
                            .damage = a->damage * exact_exp(share * exact_log(b->damage / a->damage))};
}

/*
 * The best step between two points, where damage rises as fast as lambda x bits fall. With x octaves from point a on,
 *   damage = D 2^(g x), bits = B - b x;   d/dx (damage + lambda bits) = D g ln2 2^(g x) - lambda b = 0
 * gives x = log2(lambda b / (g ln2 D)) / g. The sum is convex in x, so where x is outside of the interval its nearer
 * end is best.
 */
static double best_between(const allocation_point *a, double lambda) {
  const double octaves = a[1].log2_step - a->log2_step;
  const double growth = log2_of(a[1].damage / a->damage) / octaves;   /* power of the step */
  const double saved = lambda * (a->bits - a[1].bits) / octaves;      /* an octave */
  if (!(growth > 0)) return a[1].log2_step;
  const double ratio = saved / (growth * LN2 * a->damage);
  if (!(ratio > 1)) return a->log2_step;
  const double best = a->log2_step + log2_of(ratio) / growth;
  return best < a[1].log2_step ? best : a[1].log2_step;
}

static void choose(allocation_curve *curve, double lambda) {
  double least = INFINITY;
  for (size_t i = 0; i < curve->n_points; i++) {
    const bool last = i + 1 == curve->n_points;
    if (last && i > 0) break;
    const double step = last ? curve->points[i].log2_step : best_between(&curve->points[i], lambda);
    const allocation_point *a = &curve->points[i];
    const allocation_point at = allocation_between(a, last ? a : a + 1, step);
    const double cost = at.damage + lambda * at.bits;
    if (!(cost < least)) continue;
    least = cost;
    curve->log2_step = step;
    curve->bits = at.bits;
    curve->damage = at.damage;
  }
}

static void choose_all(allocation_curve *curves, size_t n_curves, double log_lambda) {
  for (size_t i = 0; i < n_curves; i++) choose(&curves[i], exact_exp(log_lambda));
}

double allocation_bits(const allocation_curve *curves, size_t n_curves) {
  double sum = 0;
  for (size_t i = 0; i < n_curves; i++) sum += curves[i].bits;
  return sum;
}

double allocation_damage(const allocation_curve *curves, size_t n_curves) {
  double sum = 0;
  for (size_t i = 0; i < n_curves; i++) sum += curves[i].damage;
  return sum;
}

static ellm_status check(const allocation_curve *curves, size_t n_curves, ellm_error *err) {
  for (size_t i = 0; i < n_curves; i++) {
    if (curves[i].n_points == 0) return ellm_fail(err, ELLM_ERR_INPUT, "allocation: matrix %zu has no points", i);
    for (size_t k = 0; k < curves[i].n_points; k++) {
      const allocation_point *p = &curves[i].points[k];
      const bool good = isfinite(p->log2_step) && isfinite(p->bits) && p->damage > 0 && isfinite(p->damage);
      if (!good || (k > 0 && (p->log2_step <= p[-1].log2_step || p->bits > p[-1].bits || p->damage < p[-1].damage)))
        return ellm_fail(err, ELLM_ERR_INPUT, "allocation: point %zu of matrix %zu (step 2^%g, %g bits, damage %g)", k, i,
                         p->log2_step, p->bits, p->damage);
    }
  }
  return ELLM_OK;
}

enum { COARSEST = 650, FINEST = -650 }; /* logarithms of lambda, beyond all that occur; their exp is still finite */

ellm_status allocate_for_bits(allocation_curve *curves, size_t n_curves, double bits, ellm_error *err) {
  ELLM_TRY(check(curves, n_curves, err));
  choose_all(curves, n_curves, COARSEST);
  const double least = allocation_bits(curves, n_curves);
  if (least > bits)
    return ellm_fail(err, ELLM_ERR_INPUT, "allocation: %.0f bits are asked for, the least possible are %.0f", bits, least);
  double within = COARSEST, beyond = FINEST;
  for (int i = 0; i < HALVINGS; i++) {
    const double middle = 0.5 * (within + beyond);
    choose_all(curves, n_curves, middle);
    if (allocation_bits(curves, n_curves) <= bits) within = middle;
    else beyond = middle;
  }
  choose_all(curves, n_curves, within);
  return ELLM_OK;
}
