/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of logits reduced: against sums in long double, and what is not finite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "model/random.h"
#include "model/score.h"

enum { MOST = 5000 };

static long double plain_log_sum(const float *row, size_t n) {
  long double sum = 0, most = -INFINITY;
  for (size_t i = 0; i < n; i++)
    if (row[i] > most) most = row[i];
  for (size_t i = 0; i < n; i++) sum += expl((long double)row[i] - most);
  return most + logl(sum);
}

static void fill(random_state *r, float *row, size_t n, double spread) {
  for (size_t i = 0; i < n; i++) row[i] = (float)((random_unit(r) + random_unit(r) - 1) * spread);
}

static void sums_of_rows(void **state) {
  (void)state;
  random_state r;
  random_seed(&r, 1);
  float *row = calloc(MOST, sizeof *row);
  assert_non_null(row);
  static const double spreads[] = {0, 0.01, 1, 20, 700, 5000};
  for (size_t round = 0; round < 300; round++) {
    size_t n = 1 + random_next(&r) % (round % 3 ? 60 : MOST);
    fill(&r, row, n, spreads[round % 6]);
    long double expected = plain_log_sum(row, n);
    assert_true(fabsl((long double)score_log_sum_exp(row, n) - expected) <= 1e-13L * (1 + fabsl(expected)));
  }
  /* every exponent on its own: two elements, a distance apart */
  for (double distance = 0; distance < 30; distance += 0.0137) {
    float two[] = {0, (float)-distance};
    long double expected = log1pl(expl(-(long double)(float)distance));
    assert_true(fabsl((long double)score_log_sum_exp(two, 2) - expected) <= 4e-15L);
  }
  free(row);
}

static void divergences(void **state) {
  (void)state;
  random_state r;
  random_seed(&r, 2);
  float *p = calloc(MOST, sizeof *p), *q = calloc(MOST, sizeof *q);
  assert_true(p && q);
  for (size_t round = 0; round < 200; round++) {
    size_t n = 2 + random_next(&r) % (round % 3 ? 60 : MOST);
    fill(&r, p, n, 8);
    fill(&r, q, n, round % 2 ? 8 : 0.01);
    if (round % 2 == 0)
      for (size_t i = 0; i < n; i++) q[i] += p[i]; /* nearly the same distribution */
    double p_sum = score_log_sum_exp(p, n), q_sum = score_log_sum_exp(q, n);
    long double expected = 0, a = plain_log_sum(p, n), b = plain_log_sum(q, n);
    for (size_t i = 0; i < n; i++)
      expected += expl((long double)p[i] - a) * (((long double)p[i] - a) - ((long double)q[i] - b));
    double got = score_divergence(p, p_sum, q, q_sum, n);
    assert_true(fabsl((long double)got - expected) <= 1e-12L + 1e-9L * expected);
    assert_true(score_divergence(p, p_sum, p, p_sum, n) == 0);
    for (size_t i = 0; i < n; i++) q[i] = p[i] + 64; /* a shift of all logits changes nothing */
    assert_true(fabs(score_divergence(p, p_sum, q, score_log_sum_exp(q, n), n)) < 1e-5);
  }
  free(p);
  free(q);
}

static void not_finite(void **state) {
  (void)state;
  const float nan_inside[] = {1, NAN, 2, 3, 4, 5}, masked[] = {1, -INFINITY, 1, -INFINITY, -INFINITY, 1};
  const float plain[] = {1, 2, 1, 2, 2, 1};
  assert_true(isnan(score_log_sum_exp(nan_inside, 6)));
  double masked_sum = score_log_sum_exp(masked, 6);
  assert_true(fabs(masked_sum - (1 + log(3))) < 1e-14);
  assert_true(score_divergence(masked, masked_sum, masked, masked_sum, 6) == 0);
  assert_true(score_divergence(plain, score_log_sum_exp(plain, 6), masked, masked_sum, 6) == INFINITY);
  assert_true(isfinite(score_divergence(masked, masked_sum, plain, score_log_sum_exp(plain, 6), 6)));
}

static void tops(void **state) {
  (void)state;
  float row[100] = {0};
  assert_int_equal(score_top(row, 100), 0);
  row[57] = row[93] = 2;
  assert_int_equal(score_top(row, 100), 57);
  row[99] = 3;
  assert_int_equal(score_top(row, 100), 99);
  row[3] = NAN;
  assert_int_equal(score_top(row, 100), 99);
}

static void moments(void **state) {
  (void)state;
  score_moments m = {0};
  assert_true(isnan(score_mean(&m)));
  score_moments_add(&m, 1);
  assert_true(score_mean_error(&m) == 0);
  score_moments_add(&m, 2);
  score_moments_add(&m, 6);
  assert_true(score_mean(&m) == 3);
  /* mean of squares 41/3, variance 14/3, over 2 */
  assert_true(fabs(score_mean_error(&m) - sqrt(14.0 / 3 / 2)) < 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sums_of_rows), cmocka_unit_test(divergences),
                                     cmocka_unit_test(not_finite), cmocka_unit_test(tops), cmocka_unit_test(moments)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
