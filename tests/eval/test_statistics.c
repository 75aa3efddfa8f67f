/* SPDX-License-Identifier: Apache-2.0 */
/* Figures against values worked out with NumPy and SciPy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "eval/statistics.h"
#include "model/random.h"

#define CLOSE(got, expected) assert_true(fabs((got) - (expected)) <= 1e-12 * (1 + fabs(expected)))

static void means(void **state) {
  (void)state;
  const double values[] = {1, 2, 3, 4, 10};
  ellm_figure f = eval_mean(values, 5);
  CLOSE(f.value, 4.0);
  CLOSE(f.error, 1.5811388300841898); /* std(ddof=1) / sqrt(5) */
  CLOSE(f.low, 4 - 1.959963984540054 * f.error);
  ellm_figure e = eval_exp(f);
  CLOSE(e.value, 54.598150033144236);
  CLOSE(e.error, e.value * f.error);
  CLOSE(e.high, exp(f.high));
  assert_true(isnan(eval_mean(values, 0).value));
  assert_true(isnan(eval_mean(values, 1).error));
}

static void shares(void **state) {
  (void)state;
  ellm_figure f = eval_share(30, 100); /* Wilson: 0.2189488529, 0.3958485463 */
  CLOSE(f.value, 0.3);
  CLOSE(f.error, sqrt(0.3 * 0.7 / 99));
  assert_true(fabs(f.low - 0.2189488529) < 1e-9 && fabs(f.high - 0.3958485463) < 1e-9);
  f = eval_share(0, 10);
  assert_true(f.low == 0 && fabs(f.high - 0.2775327998) < 1e-9);
  f = eval_share(10, 10);
  assert_true(f.high == 1 && fabs(f.low - 0.7224672002) < 1e-9);
  assert_true(isnan(eval_share(0, 0).value));
}

static void ratios(void **state) {
  (void)state;
  const double a[] = {2, 4, 9}, ones[] = {1, 1, 1}, twice[] = {4, 8, 18};
  ellm_figure mean = eval_mean(a, 3), f = eval_ratio(a, ones, 3);
  CLOSE(f.value, mean.value);
  CLOSE(f.error, mean.error);
  f = eval_ratio(twice, a, 3);
  CLOSE(f.value, 2.0);
  CLOSE(f.error, 0.0);
}

static void quantiles(void **state) {
  (void)state;
  double values[] = {5, NAN, 1, 3, INFINITY, 2};
  eval_sort(values, 6);
  assert_true(values[0] == 1 && values[3] == 5 && values[4] == INFINITY && isnan(values[5]));
  CLOSE(eval_quantile(values, 4, 0), 1.0);
  CLOSE(eval_quantile(values, 4, 0.5), 2.5);
  CLOSE(eval_quantile(values, 4, 0.9), 4.4);
  CLOSE(eval_quantile(values, 4, 1), 5.0);
  CLOSE(eval_quantile(values, 1, 0.99), 1.0);
  assert_true(eval_quantile(values, 5, 0.75) == 5);
  eval_sort(values, 0);
}

/* The interval holds the true quantile of 95 of 100 samples, for a distribution that is nothing like normal. */
static void quantile_intervals(void **state) {
  (void)state;
  enum { SAMPLES = 1000, N = 400 };
  static const double levels[] = {0.5, 0.9, 0.99};
  random_state r;
  random_seed(&r, 3);
  double values[N];
  for (size_t k = 0; k < 3; k++) {
    const double truth = -log(1 - levels[k]); /* of the exponential distribution */
    size_t inside = 0;
    for (int sample = 0; sample < SAMPLES; sample++) {
      for (size_t i = 0; i < N; i++) values[i] = -log(1 - random_unit(&r));
      eval_sort(values, N);
      const ellm_figure f = eval_quantile_figure(values, N, levels[k]);
      assert_true(f.low <= f.value && f.value <= f.high && f.value == eval_quantile(values, N, levels[k]));
      inside += f.low <= truth && truth <= f.high;
    }
    assert_in_range(inside, 930, 990);
  }
  assert_true(isnan(eval_quantile_figure(values, 1, 0.5).error));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(means), cmocka_unit_test(shares), cmocka_unit_test(ratios),
                                     cmocka_unit_test(quantiles), cmocka_unit_test(quantile_intervals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
