/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exp, log, sin, cos from IEEE 754 operations in one fixed order. Polynomials
 * are Taylor series or the atanh series on ranges reduced far enough that their
 * truncation is below 2^-56; reductions use fma with constants split in parts.
 */
#include "base/exact_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* fma is a call into the C library where the compiler may not assume the instruction, which takes most of the time.
 * So the functions are compiled twice and the processor's is taken: the same bits, as fma rounds once either way.
 * Sanitizers may not run as early as the choice is made. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__FMA__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define WITH_FMA __attribute__((target_clones("fma", "default")))
#else
#define WITH_FMA
#endif
#define PART static inline __attribute__((always_inline))

PART double double_from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, 8);
  return x;
}

static uint64_t double_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  return bits;
}

/* Nearest integer, ties to even, |x| < 2^51. */
PART double nearest(double x) {
  const double big = 0x1.8p52;
  return (x + big) - big;
}

static const double ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;

/* exp(high + low), |low| far below |high|. */
PART double exp_parts(double high, double low) {
  if (high != high) return high;
  if (high > 709.79) return INFINITY;
  if (high < -745.2) return 0;
  const double k = nearest(high * 0x1.71547652b82fep0);
  double r = fma(-k, ln2_high, high);
  r = r + fma(-k, ln2_low, low); /* |r| <= 0.3466 */
  /* Taylor to r^14 / 14!: the rest is below 2^-61. */
  static const double inverse_factorial[] = {
      1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,          1.0 / 5040,         1.0 / 40320,
      1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0, 1.0 / 87178291200.0};
  double p = inverse_factorial[12];
  for (int i = 11; i >= 0; i--) p = fma(p, r, inverse_factorial[i]);
  const double value = 1 + fma(r * r, p, r);
  const int64_t e = (int64_t)k;
  if (e >= -1021 && e <= 1023) return value * double_from_bits((uint64_t)(e + 1023) << 52);
  const int64_t half = e / 2; /* in two steps near the ends of the range */
  return value * double_from_bits((uint64_t)(half + 1023) << 52) * double_from_bits((uint64_t)(e - half + 1023) << 52);
}

static WITH_FMA double exp_of(double x) { return exp_parts(x, 0); }

/* log(x) as high + low. x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1). */
PART void log_parts(double x, double *high, double *low) {
  int64_t e = 0;
  uint64_t bits = double_bits(x);
  if (bits < 0x0010000000000000u) {
    bits = double_bits(x * 0x1p54);
    e = -54;
  }
  e += (int64_t)(bits >> 52) - 1023;
  double m = double_from_bits((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 0x1.6a09e667f3bcdp0) {
    m *= 0.5;
    e++;
  }
  const double f = m - 1, d = m + 1; /* f exact; d rounded, d_low its error */
  const double d_low = m - (d - 1);
  const double s = f / d;
  const double s_low = (fma(-s, d, f) - s * d_low) / d;
  const double z = s * s; /* <= 0.02944 */
  /* 2 (z/3 + z^2/5 + ...): 15 terms, the rest is below 2^-80 */
  double p = 2.0 / 31;
  for (int n = 29; n >= 3; n -= 2) p = fma(p, z, 2.0 / n);
  const double k = (double)e;
  /* k ln2 + 2 s + 2 s_low + s z p, largest terms first, their rounding errors kept */
  const double a = k * ln2_high, a_low = fma(k, ln2_high, -a) + k * ln2_low;
  const double b = 2 * s;
  const double sum = a + b;
  const double bb = sum - a;
  const double sum_low = (a - (sum - bb)) + (b - bb);
  const double rest = sum_low + (a_low + (2 * s_low + s * z * p));
  *high = sum + rest;
  *low = rest - (*high - sum);
}

static WITH_FMA double log_of(double x) {
  if (x != x || x < 0) return double_from_bits(0x7ff8000000000000u);
  if (x == 0) return -INFINITY;
  if (x == INFINITY) return x;
  double high, low;
  log_parts(x, &high, &low);
  return high;
}

static WITH_FMA double pow_of(double x, double y) {
  if (x == 1 || y == 0) return 1;
  if (!(x > 0) || x == INFINITY || y != y) return double_from_bits(0x7ff8000000000000u);
  double high, low;
  log_parts(x, &high, &low);
  const double product = high * y;
  return exp_parts(product, fma(high, y, -product) + low * y);
}

/*
 * x = k pi/2 + r + r_low, |r| about pi/4 at most; returns k mod 4. The first
 * part of pi/2 has 53 bits: k times it, less x, is a multiple of 2^-53 below 1
 * and so exact by fma. NaN for |x| >= 2^30.
 */
PART int reduce_half_pi(double x, double *r, double *r_low) {
  if (!(x > -0x1p30 && x < 0x1p30)) { /* NaN and infinities too */
    *r = double_from_bits(0x7ff8000000000000u);
    *r_low = 0;
    return 0;
  }
  static const double part[3] = {0x1.921fb54442d18p0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
  const double k = nearest(x * 0x1.45f306dc9c883p-1);
  const double a = fma(-k, part[0], x);
  const double b = k * part[1], b_low = fma(k, part[1], -b);
  const double high = a - b;
  *r = high;
  *r_low = ((a - high) - b) - b_low - k * part[2];
  return (int)((int64_t)k & 3);
}

PART double sin_near(double r, double low) {
  static const double c[] = {-1.0 / 6,        1.0 / 120,          -1.0 / 5040,            1.0 / 362880,
                             -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368000.0, 1.0 / 355687428096000.0};
  const double z = r * r;
  double p = c[7];
  for (int i = 6; i >= 0; i--) p = fma(p, z, c[i]);
  return r + (fma(z * r, p, low * (1 - 0.5 * z)));
}

PART double cos_near(double r, double low) {
  static const double c[] = {1.0 / 24,        -1.0 / 720,           1.0 / 40320,           -1.0 / 3628800,
                             1.0 / 479001600, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
  const double z = r * r, half = 0.5 * z, w = 1 - half;
  double p = c[6];
  for (int i = 5; i >= 0; i--) p = fma(p, z, c[i]);
  return w + (((1 - w) - half) + fma(z * z, p, -r * low));
}

static WITH_FMA double sin_of(double x) {
  double r, low;
  switch (reduce_half_pi(x, &r, &low)) {
    case 0: return sin_near(r, low);
    case 1: return cos_near(r, low);
    case 2: return -sin_near(r, low);
    default: return -cos_near(r, low);
  }
}

static WITH_FMA double cos_of(double x) {
  double r, low;
  switch (reduce_half_pi(x, &r, &low)) {
    case 0: return cos_near(r, low);
    case 1: return -sin_near(r, low);
    case 2: return -cos_near(r, low);
    default: return sin_near(r, low);
  }
}

/* Not compiled twice themselves: what the compiler makes of such functions would be visible outside of a shared library,
 * whatever is said of them. */
double exact_exp(double x) { return exp_of(x); }
double exact_log(double x) { return log_of(x); }
double exact_pow(double x, double y) { return pow_of(x, y); }
double exact_sin(double x) { return sin_of(x); }
double exact_cos(double x) { return cos_of(x); }
