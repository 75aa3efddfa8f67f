/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator behind sampling: xoshiro256** of Blackman and Vigna ("Scrambled
 * linear pseudorandom number generators", 2018), its state filled from the seed
 * by splitmix64, as its authors recommend. Not for cryptography. The same seed
 * gives the same numbers on every machine.
 */
#ifndef ELLM_MODEL_RANDOM_H
#define ELLM_MODEL_RANDOM_H

#include <stdint.h>

typedef struct random_state { uint64_t s[4]; } random_state;

static inline uint64_t random_rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

/* One step of splitmix64. */
static inline uint64_t random_split(uint64_t *x) {
  uint64_t z = *x += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static inline void random_seed(random_state *r, uint64_t seed) {
  for (int i = 0; i < 4; i++) r->s[i] = random_split(&seed);
}

/* 64 random bits. */
static inline uint64_t random_next(random_state *r) {
  uint64_t *s = r->s, result = random_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = random_rotate(s[3], 45);
  return result;
}

/* Uniform in [0, 1): a multiple of 2^-53. */
static inline double random_unit(random_state *r) { return (double)(random_next(r) >> 11) * 0x1p-53; }

#endif
