/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of logits reduced in double precision.
 *
 * A row of 150,000 logits is summed for every token of a text, so the
 * exponential here is a quicker one than base/exact_math.h's: 2^(k/64) from a
 * table times a polynomial of degree 5 on |r| <= ln(2)/128, where r^6/720 is
 * below 4e-17. Only +, - and * in one fixed order: the same bits everywhere.
 */
#include "model/score.h"

#include <math.h>
#include <string.h>

#include "base/exact_math.h"

enum { STEPS = 64, PARTS = 4 };

/* 2^(i/64), rounded to nearest. */
static const double powers[STEPS] = {
    0x1.0000000000000p+0, 0x1.02c9a3e778061p+0, 0x1.059b0d3158574p+0, 0x1.0874518759bc8p+0,
    0x1.0b5586cf9890fp+0, 0x1.0e3ec32d3d1a2p+0, 0x1.11301d0125b51p+0, 0x1.1429aaea92de0p+0,
    0x1.172b83c7d517bp+0, 0x1.1a35beb6fcb75p+0, 0x1.1d4873168b9aap+0, 0x1.2063b88628cd6p+0,
    0x1.2387a6e756238p+0, 0x1.26b4565e27cddp+0, 0x1.29e9df51fdee1p+0, 0x1.2d285a6e4030bp+0,
    0x1.306fe0a31b715p+0, 0x1.33c08b26416ffp+0, 0x1.371a7373aa9cbp+0, 0x1.3a7db34e59ff7p+0,
    0x1.3dea64c123422p+0, 0x1.4160a21f72e2ap+0, 0x1.44e086061892dp+0, 0x1.486a2b5c13cd0p+0,
    0x1.4bfdad5362a27p+0, 0x1.4f9b2769d2ca7p+0, 0x1.5342b569d4f82p+0, 0x1.56f4736b527dap+0,
    0x1.5ab07dd485429p+0, 0x1.5e76f15ad2148p+0, 0x1.6247eb03a5585p+0, 0x1.6623882552225p+0,
    0x1.6a09e667f3bcdp+0, 0x1.6dfb23c651a2fp+0, 0x1.71f75e8ec5f74p+0, 0x1.75feb564267c9p+0,
    0x1.7a11473eb0187p+0, 0x1.7e2f336cf4e62p+0, 0x1.82589994cce13p+0, 0x1.868d99b4492edp+0,
    0x1.8ace5422aa0dbp+0, 0x1.8f1ae99157736p+0, 0x1.93737b0cdc5e5p+0, 0x1.97d829fde4e50p+0,
    0x1.9c49182a3f090p+0, 0x1.a0c667b5de565p+0, 0x1.a5503b23e255dp+0, 0x1.a9e6b5579fdbfp+0,
    0x1.ae89f995ad3adp+0, 0x1.b33a2b84f15fbp+0, 0x1.b7f76f2fb5e47p+0, 0x1.bcc1e904bc1d2p+0,
    0x1.c199bdd85529cp+0, 0x1.c67f12e57d14bp+0, 0x1.cb720dcef9069p+0, 0x1.d072d4a07897cp+0,
    0x1.d5818dcfba487p+0, 0x1.da9e603db3285p+0, 0x1.dfc97337b9b5fp+0, 0x1.e502ee78b3ff6p+0,
    0x1.ea4afa2a490dap+0, 0x1.efa1bee615a27p+0, 0x1.f50765b6e4540p+0, 0x1.fa7c1819e90d8p+0};

/* exp(x) for x <= 0; below -708 as at -708; NaN stays NaN. */
static inline double exp_below(double x) {
  static const double magic = 0x1.8p52, scale = 0x1.71547652b82fep6; /* 64 / ln 2 */
  static const double step_high = 0x1.62e42fefp-7, step_low = 0x1.473de6af278edp-40; /* ln 2 / 64; k * high is exact */
  x = x < -708 ? -708 : x;
  const double shifted = x * scale + magic, k = shifted - magic;
  uint64_t bits, exponent;
  memcpy(&bits, &shifted, 8); /* its low bits are k in two's complement */
  const double r = (x - k * step_high) - k * step_low;
  const double p = r + r * r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120))));
  const double value = powers[bits & (STEPS - 1)];
  exponent = ((bits >> 6) + 1023) << 52; /* k / 64 rounded down, >= -1022 */
  double power;
  memcpy(&power, &exponent, 8);
  return (value + value * p) * power;
}

static float row_max(const float *row, size_t n) {
  float most[16];
  for (size_t i = 0; i < 16; i++) most[i] = -INFINITY;
  size_t at = 0;
  for (; at + 16 <= n; at += 16)
    for (size_t i = 0; i < 16; i++) most[i] = row[at + i] > most[i] ? row[at + i] : most[i];
  for (; at < n; at++) most[0] = row[at] > most[0] ? row[at] : most[0];
  for (size_t i = 1; i < 16; i++) most[0] = most[i] > most[0] ? most[i] : most[0];
  return most[0];
}

double score_log_sum_exp(const float *row, size_t n) {
  const double most = (double)row_max(row, n);
  double sums[PARTS] = {0};
  size_t at = 0;
  for (; at + PARTS <= n; at += PARTS)
    for (size_t i = 0; i < PARTS; i++) sums[i] += exp_below((double)row[at + i] - most);
  for (; at < n; at++) sums[0] += exp_below((double)row[at] - most);
  return most + exact_log((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

double score_divergence(const float *p, double p_log_sum, const float *q, double q_log_sum, size_t n) {
  const double shift = p_log_sum - q_log_sum; /* log p - log q = (p - q) - shift */
  double sums[PARTS] = {0};
  for (size_t at = 0; at < n; at++) {
    const double log_p = (double)p[at] - p_log_sum; /* a rounding above 0 at most */
    if (log_p < -700) continue;                     /* also -infinity, whatever q has there */
    const double e = exp_below(log_p > 0 ? 0 : log_p);
    sums[at % PARTS] += e * (((double)p[at] - (double)q[at]) - shift);
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

uint32_t score_top(const float *row, size_t n) {
  const float most = row_max(row, n);
  for (size_t i = 0; i < n; i++)
    if (row[i] == most) return (uint32_t)i;
  return 0;
}

void score_moments_add(score_moments *m, double nll) {
  m->count++;
  m->sum += nll;
  m->squares += nll * nll;
}

double score_mean(const score_moments *m) { return m->count ? m->sum / (double)m->count : NAN; }

double score_mean_error(const score_moments *m) {
  if (m->count < 2) return 0;
  const double mean = score_mean(m), variance = m->squares / (double)m->count - mean * mean;
  return variance > 0 ? sqrt(variance / (double)(m->count - 1)) : 0;
}
