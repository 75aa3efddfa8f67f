/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random weights that are made where they are read. An element is a function of a key and of its number alone, so that
 * any part of a tensor can be made at any time, by any thread, with the same bits on every machine.
 *
 * Weights follow Student's t with 5 degrees of freedom, cut off at 13 times its scale. Quantized with one step a tensor
 * they have about the entropies of trained models: 5.6 bits of 8 and 1.7 of 4.
 */
#ifndef ELLM_BENCH_RANDOM_WEIGHTS_H
#define ELLM_BENCH_RANDOM_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum { RANDOM_LEVELS = 1 << 16 }; /* values that a weight may have, all of them equally likely */

/* Values of the distribution from low to high, at the probabilities (i + 1/2) / RANDOM_LEVELS. */
void random_quantiles(double quantiles[RANDOM_LEVELS]);

/* The BF16 patterns of offset + scale * quantile, each as its two bytes, little-endian. */
void random_table(const double quantiles[RANDOM_LEVELS], double offset, double scale, uint16_t table[RANDOM_LEVELS]);

/* The key of the tensor `name`. */
uint64_t random_key(uint64_t seed, const char *name);

/* Elements [first, first + n) of the tensor with this key, little-endian, into out[2 * n], any alignment. */
void random_elements(const uint16_t table[RANDOM_LEVELS], uint64_t key, uint64_t first, void *out, size_t n);

#endif
