/* SPDX-License-Identifier: Apache-2.0 */
/* Summaries of measurements and how sure they are; formulas in docs/EVALUATION.md. */
#ifndef ELLM_EVAL_STATISTICS_H
#define ELLM_EVAL_STATISTICS_H

#include "entrollm.h"

#define EVAL_Z95 1.959963984540054 /* 0.975 quantile of the normal distribution */

/* Mean of n values; the error of a mean by the sample's variance (n - 1). */
ellm_figure eval_mean(const double *values, size_t n);
/* exp of a mean: value and interval transformed, error by the delta method. */
ellm_figure eval_exp(ellm_figure mean);
/* hits / n, error sqrt(p (1 - p) / (n - 1)), Wilson's interval. */
ellm_figure eval_share(size_t hits, size_t n);
/* sum(a) / sum(b) over independent pairs, error by the delta method. */
ellm_figure eval_ratio(const double *a, const double *b, size_t n);

/* Sort ascending, NaN last. */
void eval_sort(double *values, size_t n);
/* Quantile q of n >= 1 sorted values, linear between neighbours. */
double eval_quantile(const double *sorted, size_t n, double q);
/* The same as a figure. Its interval is between order statistics, whatever the distribution: the ranks q n -+ 1.96
 * sqrt(n q (1 - q)); its error is the interval's length over 2 * 1.96. */
ellm_figure eval_quantile_figure(const double *sorted, size_t n, double q);

#endif
