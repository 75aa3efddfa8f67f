/* SPDX-License-Identifier: Apache-2.0 */
/* Reproducible floats (splitmix64, public domain algorithm by S. Vigna), and inputs like those of a model. */
#ifndef ELLM_TESTS_CALIB_NUMBERS_H
#define ELLM_TESTS_CALIB_NUMBERS_H

#include <math.h>
#include <stdint.h>

static uint64_t number_state = 1;

static inline uint64_t number_u64(void) {
  uint64_t z = number_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static inline float number_unit(void) { return (float)(int32_t)number_u64() * 0x1p-31f; } /* -1 to 1 */

/* Roughly normal, standard deviation 1. */
static inline float number_normal(void) {
  float sum = 0;
  for (int i = 0; i < 12; i++) sum += number_unit();
  return sum * 0.5f;
}

/* x[tokens][columns]: neighbours are correlated, column 3 is an outlier, some columns are nearly dead. */
static inline void number_inputs(float *x, size_t tokens, size_t columns) {
  for (size_t token = 0; token < tokens; token++) {
    float last = 0;
    for (size_t column = 0; column < columns; column++) {
      last = 0.7f * last + number_normal();
      x[token * columns + column] = last * (column == 3 ? 50.0f : column % 17 == 5 ? 0.01f : 1.0f);
    }
  }
}

#endif
