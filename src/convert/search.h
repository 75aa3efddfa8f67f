/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fewest bits for a divergence. A plan predicts how divergence falls with bits, but not where it begins: that is
 * measured, with a whole model that was quantized for some bits. So: predict, measure, correct, until a model is within
 * the divergence and not far below it. Each try costs as much as compressing the model once.
 */
#ifndef ELLM_CONVERT_SEARCH_H
#define ELLM_CONVERT_SEARCH_H

#include "tune/plan.h"

enum { SEARCH_TRIES = 6, SEARCH_MOST = 10 };

typedef struct search {
  double limit;                      /* divergence, nats per token, > 0 */
  double least, most;                /* bits that steps are possible for */
  struct { double bits, divergence; } tried[SEARCH_MOST];
  size_t n;
} search;

/* What was measured with so many bits. */
void search_add(search *s, double bits, double divergence);
/* The bits to try next; *done: the last try is the answer, and *bits its bits. The plan's steps are changed.
 * ELLM_ERR_INPUT, naming the least divergence that was reached, where there is no answer. */
ellm_status search_next(const search *s, plan *p, double *bits, bool *done, ellm_error *err);

#endif
