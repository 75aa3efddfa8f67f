/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms, entropies and the thresholds of rate-aware rounding. */
#include "calib/rates.h"

#include "base/exact_math.h"
#include "coder/statistics.h"

static const double BITS_OF_NAT = 1.4426950408889634074;

void rates_count(rates_histogram *histogram, const int32_t *codes, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const int32_t code = codes[i] < -RATES_MOST ? -RATES_MOST : codes[i] > RATES_MOST ? RATES_MOST : codes[i];
    histogram->count[RATES_MOST + code]++;
  }
}

double rates_entropy_bits(const rates_histogram *histogram) {
  return coder_entropy_bits(histogram->count, RATES_COUNTS);
}

/* Half of lambda times what code b is longer than code a. A code that did not occur counts as a tenth. */
static float half_cost(const rates_histogram *histogram, int a, int b, double lambda) {
  const double count_a = (double)histogram->count[RATES_MOST + a] + 0.1;
  const double count_b = (double)histogram->count[RATES_MOST + b] + 0.1;
  const double longer = exact_log(count_a / count_b) * BITS_OF_NAT;
  return longer > 0 ? (float)(0.5 * lambda * longer) : 0.0f;
}

void rates_from_histogram(const rates_histogram *histogram, double lambda, rates *out) {
  for (int code = 0; code < RATES_MOST; code++) {
    out->up[code] = half_cost(histogram, code, code + 1, lambda);
    out->down[code] = half_cost(histogram, -code, -code - 1, lambda);
  }
  out->up[RATES_MOST] = out->down[RATES_MOST] = 0; /* never asked for beyond */
}
