/* SPDX-License-Identifier: Apache-2.0 */
/* See random_weights.h. A number is mixed into 64 bits, which pick four elements out of a table of 65,536. */
#include "bench/random_weights.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/exact_math.h"
#include "container/hash.h"

#define CLIP 13.0
#define PI 3.14159265358979323846
#define SQRT_5 2.23606797749978969641

/*
 * With t = sqrt(5) tan(a) the distribution function of Student's t with 5 degrees of freedom is
 *   1/2 + (a + s c (1 + 2/3 c^2)) / pi,  s = sin(a), c = cos(a),
 * and its derivative by a is 8/3 c^4 / pi. Above the median it is concave: Newton's steps that begin below a solution,
 * at the one before, never pass it.
 */
void random_quantiles(double quantiles[RANDOM_LEVELS]) {
  double angle = 0;
  for (int i = 0; i < RANDOM_LEVELS / 2; i++) {
    const double wanted = (i + 0.5) / RANDOM_LEVELS * PI; /* beyond the median, times pi */
    double s = exact_sin(angle), c = exact_cos(angle);
    for (int round = 0; round < 50; round++) {
      const double c2 = c * c, step = (wanted - (angle + s * c * (1 + c2 * (2.0 / 3)))) / (8.0 / 3 * c2 * c2);
      angle += step;
      s = exact_sin(angle);
      c = exact_cos(angle);
      if (step < 1e-13) break;
    }
    const double t = SQRT_5 * s / c;
    quantiles[RANDOM_LEVELS / 2 + i] = t < CLIP ? t : CLIP;
    quantiles[RANDOM_LEVELS / 2 - 1 - i] = -quantiles[RANDOM_LEVELS / 2 + i];
  }
}

void random_table(const double quantiles[RANDOM_LEVELS], double offset, double scale, uint16_t table[RANDOM_LEVELS]) {
  for (int i = 0; i < RANDOM_LEVELS; i++)
    store_u16(&table[i], bf16_from_float((float)(offset + scale * quantiles[i])));
}

/* A bijection of 64 bits in which every bit of the number reaches every bit of the result (Stafford's 13th variant). */
static inline uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

uint64_t random_key(uint64_t seed, const char *name) { return mix(hash64(name, strlen(name)) ^ mix(seed)); }

void random_elements(const uint16_t table[RANDOM_LEVELS], uint64_t key, uint64_t first, void *out, size_t n) {
  uint8_t *to = out;
  uint64_t group = first / 4;
  size_t skip = (size_t)(first % 4); /* of the first group */
  while (n > 0) {
    const uint64_t bits = mix(key + group++ * 0x9E3779B97F4A7C15u);
    const uint16_t four[4] = {table[bits & 0xFFFF], table[bits >> 16 & 0xFFFF], table[bits >> 32 & 0xFFFF],
                              table[bits >> 48]};
    const size_t room = 4 - skip, take = n < room ? n : room;
    if (take == 4) memcpy(to, four, sizeof four);
    else memcpy(to, four + skip, 2 * take);
    to += 2 * take;
    n -= take;
    skip = 0;
  }
}
