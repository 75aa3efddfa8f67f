/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/exact_math.h"

static const double z95 = EVAL_Z95;

static ellm_figure around(double value, double error) {
  return (ellm_figure){value, error, value - z95 * error, value + z95 * error};
}

ellm_figure eval_mean(const double *values, size_t n) {
  double sum = 0, squares = 0;
  if (n == 0) return around(NAN, NAN);
  for (size_t i = 0; i < n; i++) sum += values[i];
  double mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += (values[i] - mean) * (values[i] - mean);
  return around(mean, n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : NAN);
}

ellm_figure eval_exp(ellm_figure mean) {
  double value = exact_exp(mean.value);
  return (ellm_figure){value, value * mean.error, exact_exp(mean.low), exact_exp(mean.high)};
}

ellm_figure eval_share(size_t hits, size_t n) {
  if (n == 0) return around(NAN, NAN);
  double m = (double)n, p = (double)hits / m, zz = z95 * z95;
  double middle = (p + zz / (2 * m)) / (1 + zz / m);
  double half = z95 / (1 + zz / m) * sqrt(p * (1 - p) / m + zz / (4 * m * m));
  double low = hits == 0 ? 0 : middle - half, high = hits == n ? 1 : middle + half;
  return (ellm_figure){p, n > 1 ? sqrt(p * (1 - p) / (m - 1)) : NAN, low, high};
}

ellm_figure eval_ratio(const double *a, const double *b, size_t n) {
  double sum_a = 0, sum_b = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    sum_a += a[i];
    sum_b += b[i];
  }
  double ratio = sum_a / sum_b;
  for (size_t i = 0; i < n; i++) squares += (a[i] - ratio * b[i]) * (a[i] - ratio * b[i]);
  return around(ratio, n > 1 ? sqrt(squares * (double)n / (double)(n - 1)) / fabs(sum_b) : NAN);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  if (isnan(x) || isnan(y)) return (isnan(x) != 0) - (isnan(y) != 0);
  return (x > y) - (x < y);
}

void eval_sort(double *values, size_t n) {
  if (n > 1) qsort(values, n, sizeof *values, ascending);
}

double eval_quantile(const double *sorted, size_t n, double q) {
  double place = q * (double)(n - 1), below = floor(place);
  size_t at = (size_t)below;
  if (at + 1 >= n) return sorted[n - 1];
  double share = place - below;
  return share > 0 ? sorted[at] + share * (sorted[at + 1] - sorted[at]) : sorted[at];
}

ellm_figure eval_quantile_figure(const double *sorted, size_t n, double q) {
  const double last = (double)(n - 1), half = z95 * sqrt((double)n * q * (1 - q));
  const double low = floor(q * last - half), high = ceil(q * last + half);
  ellm_figure f = {eval_quantile(sorted, n, q), NAN, sorted[low > 0 ? (size_t)low : 0],
                   sorted[high < last ? (size_t)high : n - 1]};
  if (n > 1) f.error = (f.high - f.low) / (2 * z95);
  return f;
}
