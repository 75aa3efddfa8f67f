/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exact_exp and its kin: within their stated bounds of libm's long double
 * functions, and the same bits everywhere: golden values and checksums made on
 * one machine hold for every compiler and processor.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/exact_math.h"

static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  return bits;
}

static double of_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

static uint64_t random_state;
static uint64_t next_random(void) { /* splitmix64 */
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static double uniform(double low, double high) {
  return low + (high - low) * ((double)(next_random() >> 11) * 0x1p-53);
}

/* Distance of `got` from `want` in units in the last place of `want` as a double. */
static double ulps(double got, long double want) {
  const double rounded = fabs((double)want);
  const double unit = rounded < DBL_MIN ? 0x1p-1074 : nextafter(rounded, INFINITY) - rounded;
  return (double)(fabsl((long double)got - want) / unit);
}

#include "exact_math_golden.h"

static double apply(int function, double x, double y) {
  switch (function) {
    case GOLDEN_EXP: return exact_exp(x);
    case GOLDEN_LOG: return exact_log(x);
    case GOLDEN_POW: return exact_pow(x, y);
    case GOLDEN_SIN: return exact_sin(x);
    default: return exact_cos(x);
  }
}

static void argument(int function, double *x, double *y) {
  *y = 0;
  switch (function) {
    case GOLDEN_EXP: *x = next_random() % 4 == 0 ? uniform(-745, 709) : uniform(-20, 20); break;
    case GOLDEN_LOG:
      *x = next_random() % 4 == 0 ? uniform(0.9, 1.1) : of_bits(next_random() % 0x7ff0000000000000u);
      break;
    case GOLDEN_POW:
      *x = uniform(0, 1e6);
      *y = uniform(-20, 20);
      break;
    default: *x = next_random() % 2 == 0 ? uniform(-7, 7) : uniform(-1048576, 1048576); break;
  }
}

static void golden_values(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
    const double got = apply(golden[i].function, of_bits(golden[i].x), of_bits(golden[i].y));
    if (bits_of(got) != golden[i].result) {
      fail_msg("value %d: function %d of %a, %a is %a, not %a", (int)i, golden[i].function, of_bits(golden[i].x),
               of_bits(golden[i].y), got, of_bits(golden[i].result));
    }
  }
}

/* A checksum over many values a function, for the bits that the list does not name. */
static uint64_t checksum(int function) {
  uint64_t sum = 0;
  random_state = 1000 + (uint64_t)function;
  for (int i = 0; i < 50000; i++) {
    double x, y;
    argument(function, &x, &y);
    sum = (sum ^ bits_of(apply(function, x, y))) * 0x9e3779b97f4a7c15u;
    sum ^= sum >> 29;
  }
  return sum;
}

static void golden_checksums(void **state) {
  (void)state;
  for (int function = 0; function < GOLDEN_FUNCTIONS; function++) {
    const uint64_t sum = checksum(function);
    if (sum != golden_sums[function]) fail_msg("function %d: checksum 0x%016llx", function, (unsigned long long)sum);
  }
}

static long double reference(int function, double x, double y) {
  switch (function) {
    case GOLDEN_EXP: return expl(x);
    case GOLDEN_LOG: return logl(x);
    case GOLDEN_POW: return powl(x, y);
    case GOLDEN_SIN: return sinl(x);
    default: return cosl(x);
  }
}

static void accuracy(void **state) {
  (void)state;
  if (LDBL_MANT_DIG < 64) {
    print_message("long double is no wider than double here: no reference\n");
    skip();
  }
  static const double bounds[GOLDEN_FUNCTIONS] = {2, 2, 4, 2, 2};
  for (int function = 0; function < GOLDEN_FUNCTIONS; function++) {
    double worst = 0, worst_x = 0;
    random_state = 7;
    for (int i = 0; i < 200000; i++) {
      double x, y;
      argument(function, &x, &y);
      const long double want = reference(function, x, y);
      if ((double)want == 0 || isinf((double)want)) continue;
      const double error = ulps(apply(function, x, y), want);
      if (!(error <= worst)) {
        worst = error;
        worst_x = x;
      }
    }
    print_message("function %d: at most %.3f ulp, at %a\n", function, worst, worst_x);
    assert_true(worst < bounds[function]);
  }
}

/* Arguments near multiples of pi/2, where the reduction loses most. */
static void near_multiples_of_half_pi(void **state) {
  (void)state;
  for (int k = 1; k < 600000; k += k < 2000 ? 1 : 997) {
    double x = (double)((long double)k * 1.57079632679489661923132169163975144L);
    x = nextafter(nextafter(x, 0), 0);
    for (int i = 0; i < 5; i++, x = nextafter(x, INFINITY)) {
      assert_true(ulps(exact_sin(x), sinl(x)) < 2);
      assert_true(ulps(exact_cos(x), cosl(x)) < 2);
    }
  }
}

static void special_values(void **state) {
  (void)state;
  assert_true(exact_exp(0) == 1 && exact_log(1) == 0 && exact_sin(0) == 0 && exact_cos(0) == 1);
  assert_true(exact_exp(710) == INFINITY && exact_exp(INFINITY) == INFINITY);
  assert_true(exact_exp(-746) == 0 && exact_exp(-INFINITY) == 0);
  assert_true(exact_exp(709.782712893384) < INFINITY && exact_exp(709.782712893384) > 1.797e308);
  assert_true(exact_exp(-745.13) == 0x1p-1074);
  assert_true(isnan(exact_exp(NAN)) && isnan(exact_log(NAN)) && isnan(exact_sin(NAN)) && isnan(exact_cos(NAN)));
  assert_true(exact_log(0) == -INFINITY && exact_log(INFINITY) == INFINITY && isnan(exact_log(-1)));
  assert_true(ulps(exact_log(0x1p-1074), logl(0x1p-1074L)) < 2);
  assert_true(isnan(exact_sin(INFINITY)) && isnan(exact_cos(-INFINITY)));
  assert_true(isnan(exact_sin(0x1p30)) && !isnan(exact_cos(0x1.fp29)));
  assert_true(exact_pow(10000, 0) == 1 && exact_pow(1, 5) == 1 && exact_pow(2, 10) == 1024 && exact_pow(10, -1) == 0.1);
  assert_true(isnan(exact_pow(-2, 2)) && exact_pow(10, 400) == INFINITY && exact_pow(10, -400) == 0);
}

#ifdef PRINT_GOLDEN /* compile with -DPRINT_GOLDEN to print tests/base/exact_math_golden.h anew */
#include <stdio.h>
#endif

int main(void) {
#ifdef PRINT_GOLDEN
  for (int function = 0; function < GOLDEN_FUNCTIONS; function++) {
    random_state = 1 + (uint64_t)function;
    for (int i = 0; i < 80; i++) {
      double x, y;
      argument(function, &x, &y);
      printf("    {%d, 0x%016llx, 0x%016llx, 0x%016llx},\n", function, (unsigned long long)bits_of(x),
             (unsigned long long)bits_of(y), (unsigned long long)bits_of(apply(function, x, y)));
    }
  }
  for (int function = 0; function < GOLDEN_FUNCTIONS; function++)
    printf("    0x%016llx,\n", (unsigned long long)checksum(function));
  return 0;
#endif
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(golden_values),
      cmocka_unit_test(golden_checksums),
      cmocka_unit_test(accuracy),
      cmocka_unit_test(near_multiples_of_half_pi),
      cmocka_unit_test(special_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
