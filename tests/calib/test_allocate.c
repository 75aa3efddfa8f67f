/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation against the closed form, against brute force on rough curves, at its ends, and what it refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "calib/allocate.h"
#include "numbers.h"

enum { N = 20, POINTS = 9 };
static allocation_point points[N][POINTS];
static allocation_curve curves[N];

/* Damage a x step^2, and the bits of weights / step of a smooth density: a matrix of many fine steps. */
static void smooth_curve(double weights, double bits_at_one, double damage_at_one, double least, double most,
                         allocation_point out[POINTS]) {
  for (size_t i = 0; i < POINTS; i++) {
    const double l = log2(least) + (log2(most) - log2(least)) * (double)i / (POINTS - 1);
    out[i] = (allocation_point){l, fmax(bits_at_one - weights * l, 0), damage_at_one * exp2(2 * l)};
  }
}

static void smooth(double least, double most) {
  number_state = 9;
  for (size_t i = 0; i < N; i++) {
    const double weights = 1000.0 * (double)(1 + number_u64() % 100), damage = exp(4 * (double)number_unit());
    smooth_curve(weights, 2 * weights, damage, least, most, points[i]);
    curves[i] = (allocation_curve){.points = points[i], .n_points = POINTS};
  }
}

/* Equal slopes: damage a s^2, bits -n log2 s: s^2 is proportional to n / a. */
static void closed_form(void **state) {
  (void)state;
  smooth(1e-6, 1.9); /* so fine that no end is reached; coarse enough for bits > 0 */
  assert_int_equal(allocate_for_bits(curves, N, 4.5e6, NULL), ELLM_OK);
  assert_true(fabs(allocation_bits(curves, N) / 4.5e6 - 1) < 1e-9);
  double want = 0;
  for (size_t i = 0; i < N; i++) {
    const double a = points[i][0].damage / exp2(2 * points[i][0].log2_step);
    const double n = (points[i][0].bits - points[i][1].bits) / (points[i][1].log2_step - points[i][0].log2_step);
    const double ratio = exp2(2 * curves[i].log2_step) * a / n;
    if (i == 0) want = ratio;
    assert_true(fabs(ratio / want - 1) < 1e-6);
    assert_true(fabs(curves[i].damage / (a * exp2(2 * curves[i].log2_step)) - 1) < 1e-9);
  }
}

/* Measured curves are rough; no choice among 20,000 random ones that takes as few bits does less damage. */
static void rough_curves(void **state) {
  (void)state;
  for (size_t i = 0; i < N; i++) {
    double bits = 1000, damage = 0.001;
    for (size_t k = 0; k < POINTS; k++) {
      points[i][k] = (allocation_point){-3 + 0.5 * (double)k, bits, damage};
      bits -= 40 + 30 * (double)number_unit();
      damage *= 2 + (double)number_unit();
    }
    curves[i] = (allocation_curve){.points = points[i], .n_points = POINTS};
  }
  assert_int_equal(allocate_for_bits(curves, N, 16500, NULL), ELLM_OK);
  const double bits = allocation_bits(curves, N), damage = allocation_damage(curves, N);
  assert_true(bits <= 16500 && bits > 16500 - 350); /* a rough curve may jump */
  for (int round = 0; round < 20000; round++) {
    double other_bits = 0, other_damage = 0;
    for (size_t i = 0; i < N; i++) {
      const int near = (int)nearbyint((curves[i].log2_step + 3) * 2), k = near + (int)(number_u64() % 3) - 1;
      const allocation_point *p = &points[i][k < 0 ? 0 : k >= POINTS ? POINTS - 1 : k];
      other_bits += p->bits;
      other_damage += p->damage;
    }
    assert_true(other_bits > bits || other_damage > damage * (1 - 1e-9));
  }
}

static void ends(void **state) {
  ellm_error error;
  (void)state;
  smooth(0.1, 1.0);
  double least = 0, most = 0;
  for (size_t i = 0; i < N; i++) {
    least += points[i][POINTS - 1].bits;
    most += points[i][0].bits;
  }
  assert_int_equal(allocate_for_bits(curves, N, 2 * most, NULL), ELLM_OK); /* more than can be used */
  for (size_t i = 0; i < N; i++) assert_true(fabs(curves[i].log2_step - points[i][0].log2_step) < 1e-9);
  assert_int_equal(allocate_for_bits(curves, N, least, NULL), ELLM_OK);
  for (size_t i = 0; i < N; i++) assert_true(fabs(curves[i].log2_step - points[i][POINTS - 1].log2_step) < 1e-9);
  assert_int_equal(allocate_for_bits(curves, N, least - 1, &error), ELLM_ERR_INPUT);
  assert_non_null(strstr(error.message, "the least possible are"));
  curves[4].n_points = 1; /* one point is no choice */
  assert_int_equal(allocate_for_bits(curves, N, most, NULL), ELLM_OK);
  assert_true(curves[4].bits == points[4][0].bits);
}

static void between(void **state) {
  (void)state;
  const allocation_point a = {.log2_step = 1, .bits = 80, .damage = 2}, b = {.log2_step = 3, .bits = 40, .damage = 32};
  const allocation_point half = allocation_between(&a, &b, 2);
  assert_true(half.log2_step == 2 && half.bits == 60 && fabs(half.damage - 8) < 1e-12);
  assert_true(allocation_between(&a, &b, 0.5).bits == 80 && allocation_between(&a, &b, 1).damage == 2);
  assert_true(allocation_between(&a, &b, 9).log2_step == 3 && allocation_between(&a, &b, 3).damage == 32);
  assert_true(allocation_between(&a, &a, 1).bits == 80 && allocation_between(&a, &a, 2).bits == 80);
}

static void refused(void **state) {
  (void)state;
  for (int what = 0; what < 6; what++) {
    ellm_error error;
    smooth(0.1, 1.0);
    if (what == 0) points[3][2].damage = NAN;
    if (what == 1) points[3][2].damage = 0;
    if (what == 2) points[3][2].bits = INFINITY;
    if (what == 3) points[3][2].bits = points[3][1].bits + 1;
    if (what == 4) points[3][2].log2_step = points[3][1].log2_step;
    if (what == 5) points[3][2].damage = points[3][1].damage / 2;
    assert_int_equal(allocate_for_bits(curves, N, 4e6, &error), ELLM_ERR_INPUT);
    assert_non_null(strstr(error.message, "allocation: point 2 of matrix 3"));
    curves[0].n_points = 0;
    assert_int_equal(allocate_for_bits(curves, N, 4e6, &error), ELLM_ERR_INPUT);
    assert_string_equal(error.message, "allocation: matrix 0 has no points");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(closed_form), cmocka_unit_test(rough_curves),
                                     cmocka_unit_test(ends), cmocka_unit_test(between), cmocka_unit_test(refused)};
  return cmocka_run_group_tests_name("allocate", tests, NULL, NULL);
}
