/* SPDX-License-Identifier: Apache-2.0 */
/* The attention kernels of every instruction set against their definition in kernels.h, bit by bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "random.h"

enum { MAX_DIM = 96, MAX_POSITIONS = 96 };

static float floats[MAX_POSITIONS * MAX_DIM + 16];
static uint16_t halves[MAX_POSITIONS * MAX_DIM + 16];
static float query[MAX_DIM], weights[MAX_POSITIONS];

static float random_float(void) { return ldexpf((float)(int32_t)random_u64() * 0x1p-31f, (int)random_below(8) - 4); }

static void fill(void) {
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) floats[i] = random_float();
  kernels_at(0)->f16_from_f32(floats, halves, sizeof halves / sizeof *halves);
  for (size_t i = 0; i < MAX_DIM; i++) query[i] = random_float();
  for (size_t i = 0; i < MAX_POSITIONS; i++) weights[i] = random_float();
}

static float element(bool half, size_t i) {
  float x = floats[i];
  if (half) kernels_at(0)->f32_from_f16(halves + i, &x, 1);
  return x;
}

static void expect_bits(const kernel_table *k, const char *what, size_t dim, size_t i, float got, float want) {
  if (float_bits(got) != float_bits(want))
    fail_msg("%s %s, dim %zu: element %zu is %a, not %a", k->isa, what, dim, i, (double)got, (double)want);
}

static void test_scores(void **state) {
  (void)state;
  random_state = 51;
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    for (size_t dim = 2; dim <= MAX_DIM; dim += 2)
      for (size_t n_tiles = 0; n_tiles <= MAX_POSITIONS / 16; n_tiles++)
        for (int half = 0; half < 2; half++) {
          float got[MAX_POSITIONS + 1];
          fill();
          got[n_tiles * 16] = 7.0f;
          k->attention_scores(query, half ? (const void *)halves : floats, half, n_tiles, dim, 0.37f, got);
          assert_true(got[n_tiles * 16] == 7.0f);
          for (size_t p = 0; p < n_tiles * 16; p++) {
            float sum = 0.0f;
            for (size_t d = 0; d < dim; d++) sum = fmaf(query[d], element(half, (p / 16 * dim + d) * 16 + p % 16), sum);
            expect_bits(k, "attention_scores", dim, p, got[p], sum * 0.37f);
          }
        }
  }
}

static void test_mix(void **state) {
  (void)state;
  random_state = 52;
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    for (size_t dim = 1; dim <= MAX_DIM; dim++)
      for (size_t n = 0; n <= 40; n += 1 + n / 3)
        for (int half = 0; half < 2; half++) {
          float got[MAX_DIM + 1], want[MAX_DIM];
          fill();
          for (size_t d = 0; d < dim; d++) got[d] = want[d] = random_float();
          got[dim] = 7.0f;
          k->attention_mix(weights, half ? (const void *)halves : floats, half, n, dim, got);
          assert_true(got[dim] == 7.0f);
          for (size_t d = 0; d < dim; d++) {
            for (size_t p = 0; p < n; p++) want[d] = fmaf(weights[p], element(half, p * dim + d), want[d]);
            expect_bits(k, "attention_mix", dim, d, got[d], want[d]);
          }
        }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores), cmocka_unit_test(test_mix)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
