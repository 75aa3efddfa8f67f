/* SPDX-License-Identifier: Apache-2.0 */
/* Deterministic random numbers and quantized Gaussian codes for tests. */
#ifndef ELLM_TESTS_GAUSSIAN_H
#define ELLM_TESTS_GAUSSIAN_H

#include <math.h>
#include <stdint.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static inline uint64_t random_u64(void) {
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static inline double random_unit(void) { return (double)((random_u64() >> 11) + 1) * 0x1p-53; }

static inline double random_normal(void) {
  return sqrt(-2 * log(random_unit())) * cos(6.283185307179586 * random_unit());
}

/* A Gaussian weight quantized with this step over sigma, the middle code being 2^(bits-1). */
static inline uint8_t gaussian_code(double step, int bits) {
  const double q = nearbyint(random_normal() / step) + (double)(1 << (bits - 1)), top = (double)((1 << bits) - 1);
  return (uint8_t)(q < 0 ? 0 : q > top ? top : q);
}

#endif
