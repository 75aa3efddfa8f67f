/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What codes cost. An entropy code spends about log2(all / count) bits on a
 * code, and codes nearer to zero are more frequent, so shorter. Rounding that
 * knows it takes the code that makes
 *
 *   (error / step)^2 + lambda x length
 *
 * smallest, where plain rounding has lambda = 0. Of the two codes beside a value
 * only the one nearer to zero ever gains, so a rule is one threshold a code: how
 * far beyond it a value must lie to be rounded away from zero, 0.5 if lambda = 0.
 * Lengths come from the histogram of a first pass. At a low rate, where most
 * codes are 0 and 1, this saves up to a tenth of a bit at equal damage.
 */
#ifndef ELLM_CALIB_RATES_H
#define ELLM_CALIB_RATES_H

#include <stddef.h>
#include <stdint.h>

enum { RATES_MOST = 255, RATES_COUNTS = 2 * RATES_MOST + 1 };

/* Counts of codes, -RATES_MOST first; larger codes count as the last. */
typedef struct rates_histogram { uint64_t count[RATES_COUNTS]; } rates_histogram;

void rates_count(rates_histogram *histogram, const int32_t *codes, size_t n);
/* Entropy of the codes, in bits in all. */
double rates_entropy_bits(const rates_histogram *histogram);

/* up[c], down[c]: half of lambda times the bits by which c + 1 is longer than c, -c - 1 longer than -c; not below 0. A
 * value between the two is rounded away from zero if it lies farther than 0.5 + this from the nearer to zero, in steps.
 * Read-only once made. */
typedef struct rates { float up[RATES_MOST + 1], down[RATES_MOST + 1]; } rates;
void rates_from_histogram(const rates_histogram *histogram, double lambda, rates *out);

#endif
