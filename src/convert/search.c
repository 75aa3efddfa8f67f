/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/search.h"

#include "base/exact_math.h"

/* A try this near below the limit is good enough; the next one aims between. */
static const double near_enough = 0.95, aim = 0.975;
/* Tries whose bits differ by less than this tell nothing apart. */
static const double resolution = 0.002;

void search_add(search *s, double bits, double divergence) {
  if (s->n == SEARCH_MOST) return;
  s->tried[s->n].bits = bits;
  s->tried[s->n++].divergence = divergence;
}

/* Of what is divided by, and has a logarithm. */
static double positive(double divergence) { return divergence > 1e-12 ? divergence : 1e-12; }

static ellm_status predict(plan *p, double bits, double *divergence, ellm_error *err) {
  plan_recenter(p);
  ELLM_TRY(plan_steps(p, 0, bits, err));
  *divergence = plan_damage(p);
  return ELLM_OK;
}

/* The bits that the plan predicts this divergence for. */
static ellm_status bits_for(const search *s, plan *p, double divergence, double *bits, ellm_error *err) {
  double low = s->least, high = s->most;
  for (int i = 0; i < 30; i++) {
    double predicted;
    *bits = (low + high) / 2;
    ELLM_TRY(predict(p, *bits, &predicted, err));
    if (predicted > divergence) low = *bits;
    else high = *bits;
  }
  *bits = high;
  return ELLM_OK;
}

/* The best of those within the limit, and the nearest beyond it; -1: there is none. */
static void find_bounds(const search *s, int *good, int *bad) {
  *good = *bad = -1;
  for (size_t i = 0; i < s->n; i++) {
    const double bits = s->tried[i].bits;
    if (s->tried[i].divergence <= s->limit) {
      if (*good < 0 || bits < s->tried[*good].bits) *good = (int)i;
    } else if (*bad < 0 || bits > s->tried[*bad].bits) {
      *bad = (int)i;
    }
  }
}

ellm_status search_next(const search *s, plan *p, double *bits, bool *done, ellm_error *err) {
  int good, bad;
  double predicted;
  *done = false;
  if (s->n == 0) return bits_for(s, p, aim * s->limit, bits, err);
  find_bounds(s, &good, &bad);
  const int last = (int)s->n - 1;
  if (good >= 0) {
    const double best = s->tried[good].bits;
    const bool narrow = bad >= 0 && best - s->tried[bad].bits < resolution * best;
    if (s->tried[good].divergence >= near_enough * s->limit || best <= s->least * (1 + resolution) || narrow ||
        s->n >= SEARCH_TRIES) {
      *bits = best; /* once more, if something else was tried after it: the same bits make the same file */
      *done = s->tried[last].bits == best;
      return ELLM_OK;
    }
  }
  if (good < 0 && (s->n == SEARCH_MOST || s->tried[bad].bits >= s->most))
    return ellm_fail(err, ELLM_ERR_INPUT, "a divergence of %g cannot be reached: %.3g is the least that was",
                     s->limit, s->tried[bad].divergence);
  if (good >= 0 && bad >= 0) { /* its logarithm is nearly linear in bits */
    const double a = exact_log(s->tried[bad].divergence), b = exact_log(positive(s->tried[good].divergence));
    double share = (a - exact_log(aim * s->limit)) / (a - b);
    share = share < 0.1 ? 0.1 : share > 0.9 ? 0.9 : share;
    *bits = s->tried[bad].bits + share * (s->tried[good].bits - s->tried[bad].bits);
    return ELLM_OK;
  }
  const int from = good >= 0 ? good : bad;
  ELLM_TRY(predict(p, s->tried[from].bits, &predicted, err));
  /* aiming lower each time that it was missed */
  const double goal = (good >= 0 ? aim : aim - 0.02 * (double)(s->n - 1)) * s->limit;
  ELLM_TRY(bits_for(s, p, predicted * goal / positive(s->tried[from].divergence), bits, err));
  if (good < 0 && *bits < s->tried[bad].bits * (1 + resolution)) *bits = s->tried[bad].bits * (1 + 2 * resolution);
  if (*bits > s->most) *bits = s->most;
  return ELLM_OK;
}
