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

enum { MAX_DIM = 96, MAX_POSITIONS = 96, WIDEST = KERNEL_MAX_HEAD_DIM };

static float floats[MAX_POSITIONS * MAX_DIM + 16];
static uint16_t halves[MAX_POSITIONS * MAX_DIM + 16], scales[MAX_POSITIONS];
static uint8_t bytes[MAX_POSITIONS * WIDEST + 64];
static float query[KERNEL_MAX_QUERIES][WIDEST], weights[KERNEL_MAX_QUERIES][MAX_POSITIONS];

static float random_float(void) { return ldexpf((float)(int32_t)random_u64() * 0x1p-31f, (int)random_below(8) - 4); }

static void fill(void) {
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) floats[i] = random_float();
  kernels_at(0)->f16_from_f32(floats, halves, sizeof halves / sizeof *halves);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random_u64();
  for (size_t i = 0; i < MAX_POSITIONS; i++) scales[i] = (uint16_t)(float_bits(random_float()) >> 16);
  for (size_t q = 0; q < KERNEL_MAX_QUERIES; q++) {
    for (size_t i = 0; i < WIDEST; i++) query[q][i] = random_float();
    for (size_t i = 0; i < MAX_POSITIONS; i++) weights[q][i] = random_float();
  }
}

static float element(kernel_cache type, size_t i) {
  if (type == KERNEL_CACHE_Q8) return (float)(int8_t)bytes[i];
  float x = floats[i];
  if (type == KERNEL_CACHE_F16) kernels_at(0)->f32_from_f16(halves + i, &x, 1);
  return x;
}

static const void *cache_of(kernel_cache type) {
  return type == KERNEL_CACHE_F32 ? (const void *)floats : type == KERNEL_CACHE_F16 ? (const void *)halves : bytes;
}

static void expect_bits(const kernel_table *k, const char *what, size_t dim, size_t i, float got, float want) {
  if (float_bits(got) != float_bits(want))
    fail_msg("%s %s, dim %zu: element %zu is %a, not %a", k->isa, what, dim, i, (double)got, (double)want);
}

/* Scores of n queries, which must end where they should. */
typedef struct scores { float of[KERNEL_MAX_QUERIES][MAX_POSITIONS + 1], *at[KERNEL_MAX_QUERIES]; } scores;

static float *const *scores_to(scores *s, size_t n_positions) {
  for (size_t q = 0; q < KERNEL_MAX_QUERIES; q++) {
    s->at[q] = s->of[q];
    s->of[q][n_positions] = 7.0f;
  }
  return s->at;
}

static void expect_ends(const scores *s, size_t n_queries, size_t n_positions) {
  for (size_t q = 0; q < n_queries; q++) assert_true(s->of[q][n_positions] == 7.0f);
}

static void test_scores(void **state) {
  (void)state;
  random_state = 51;
  fill();
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    for (size_t dim = 2; dim <= MAX_DIM; dim += 2)
      for (size_t n_tiles = 0; n_tiles <= MAX_POSITIONS / 16; n_tiles++)
        for (kernel_cache type = KERNEL_CACHE_F32; type <= KERNEL_CACHE_F16; type++) {
          const size_t n_queries = 1 + random_below(KERNEL_MAX_QUERIES);
          const float *queries[KERNEL_MAX_QUERIES] = {query[0], query[1], query[2], query[3]};
          scores got;
          k->attention_scores(queries, n_queries, cache_of(type), type == KERNEL_CACHE_F16, n_tiles, dim, 0.37f,
                              scores_to(&got, n_tiles * 16));
          expect_ends(&got, n_queries, n_tiles * 16);
          for (size_t q = 0; q < n_queries; q++)
            for (size_t p = 0; p < n_tiles * 16; p++) {
              float sum = 0.0f;
              for (size_t d = 0; d < dim; d++)
                sum = fmaf(query[q][d], element(type, (p / 16 * dim + d) * 16 + p % 16), sum);
              expect_bits(k, "attention_scores", dim, p, got.of[q][p], sum * 0.37f);
            }
        }
  }
}

static float scale_at(size_t p) { return float_from_bf16(scales[p]); }

/* The definition of kernels.h: bytes are codes, four elements of 16 positions together. */
static float score_q8(const kernel_activations *a, size_t q, size_t dim, size_t p) {
  const size_t tiles = (dim + 3) / 4;
  float score = 0.0f;
  for (size_t g = 0; g < a->n_groups; g++) {
    int64_t sum = 0;
    for (size_t d = g * 256; d < dim && d < (g + 1) * 256; d++) {
      const size_t at = q * a->stride + d;
      const int code = bytes[(p / 16 * tiles + d / 4) * 64 + p % 16 * 4 + d % 4];
      sum += (int64_t)(code - 128) * (256 * a->high[at] + a->low[at]);
    }
    score = fmaf((float)sum, a->scale[q * a->n_groups + g], score);
  }
  return score * 0.37f * scale_at(p);
}

static void test_scores_q8(void **state) {
  (void)state;
  _Alignas(64) static uint8_t memory[1 << 16];
  random_state = 53;
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    fill();
    for (size_t dim = 1; dim <= WIDEST; dim += dim < MAX_DIM ? 1 : 116) {
      const size_t n_queries = 1 + random_below(KERNEL_MAX_QUERIES), n_tiles = random_below(MAX_POSITIONS / 16 + 1);
      kernel_activations a;
      scores got;
      if (dim % 5 == 1) fill();
      if (dim % 5 == 0) memset(bytes, dim % 2 ? 255 : 0, sizeof bytes); /* the largest sums */
      if (dim % 7 == 0) for (size_t d = 0; d < dim; d++) query[0][d] = -3.0f;
      assert_true(kernel_activations_bytes(dim, n_queries, 2) <= sizeof memory);
      kernel_activations_init(&a, memory, dim, n_queries, 2);
      for (size_t q = 0; q < n_queries; q++) k->quantize_activations(query[q], NULL, &a, q);
      k->attention_scores_q8(&a, n_queries, bytes, scales, n_tiles, 0.37f, scores_to(&got, n_tiles * 16));
      expect_ends(&got, n_queries, n_tiles * 16);
      for (size_t q = 0; q < n_queries; q++)
        for (size_t p = 0; p < n_tiles * 16; p++)
          expect_bits(k, "attention_scores_q8", dim, p, got.of[q][p], score_q8(&a, q, dim, p));
    }
  }
}

static void test_mix(void **state) {
  (void)state;
  random_state = 52;
  fill();
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    for (size_t dim = 1; dim <= MAX_DIM; dim++)
      for (size_t n = 0; n <= 40; n += 1 + n / 3)
        for (kernel_cache type = KERNEL_CACHE_F32; type <= KERNEL_CACHE_Q8; type++) {
          const size_t n_queries = 1 + random_below(KERNEL_MAX_QUERIES);
          const size_t row = type == KERNEL_CACHE_Q8 ? (dim + 3) / 4 * 4 : dim;
          const float *from[KERNEL_MAX_QUERIES] = {weights[0], weights[1], weights[2], weights[3]};
          float got[KERNEL_MAX_QUERIES][MAX_DIM + 1], want[KERNEL_MAX_QUERIES][MAX_DIM], *to[KERNEL_MAX_QUERIES];
          for (size_t q = 0; q < n_queries; q++) {
            for (size_t d = 0; d < dim; d++) got[q][d] = want[q][d] = random_float();
            got[q][dim] = 7.0f;
            to[q] = got[q];
          }
          k->attention_mix(from, n_queries, cache_of(type), type, n, dim, to);
          for (size_t q = 0; q < n_queries; q++) {
            assert_true(got[q][dim] == 7.0f);
            for (size_t d = 0; d < dim; d++) {
              for (size_t p = 0; p < n; p++) want[q][d] = fmaf(weights[q][p], element(type, p * row + d), want[q][d]);
              expect_bits(k, "attention_mix", dim, d, got[q][d], want[q][d]);
            }
          }
        }
  }
}

static void test_multiply_bf16(void **state) {
  (void)state;
  random_state = 54;
  fill();
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++)
    for (size_t n = 0; n < MAX_POSITIONS; n++) {
      float x[MAX_POSITIONS];
      memcpy(x, floats, sizeof x);
      kernels_at(isa)->multiply_bf16(x, scales, n);
      for (size_t i = 0; i < MAX_POSITIONS; i++)
        expect_bits(kernels_at(isa), "multiply_bf16", n, i, x[i], i < n ? floats[i] * scale_at(i) : floats[i]);
    }
}

/* By definition; *q is as long as x. */
static uint16_t q8_of(const float *x, size_t n, int8_t *q) {
  float max = 0;
  bool finite = true;
  for (size_t i = 0; i < n; i++) {
    finite = finite && isfinite(x[i]);
    max = fmaxf(max, fabsf(x[i]));
    q[i] = 0;
  }
  if (!finite) return 0x7fc0;
  if (max < 0x1p-100f) return 0;
  const float exact = max / 127.0f;
  uint16_t scale = (uint16_t)(float_bits(exact) >> 16);
  if (float_from_bf16(scale) < exact) scale++;
  const float inverse = 1.0f / float_from_bf16(scale);
  for (size_t i = 0; i < n; i++) q[i] = (int8_t)lrintf(x[i] * inverse);
  return scale;
}

static void test_q8_from_f32(void **state) {
  (void)state;
  random_state = 55;
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
    const kernel_table *k = kernels_at(isa);
    for (size_t n = 1; n < 200; n++) {
      int8_t got[201], want[200];
      float x[200];
      const int exponent = (int)random_below(252) - 126;
      for (size_t i = 0; i < n; i++) x[i] = ldexpf(random_float(), exponent);
      if (n % 9 == 0) x[random_below((uint32_t)n)] = n % 2 ? INFINITY : NAN;
      if (n % 11 == 0) for (size_t i = 0; i < n; i++) x[i] = i % 2 ? 3.4e38f : -3.4028234e38f;
      if (n % 13 == 0) memset(x, 0, sizeof x);
      got[n] = 77;
      const uint16_t scale = k->q8_from_f32(x, n, got), expected = q8_of(x, n, want);
      assert_int_equal(got[n], 77);
      if (scale != expected || memcmp(got, want, n) != 0)
        fail_msg("%s q8_from_f32: scale %04x, not %04x, or an element of %zu is wrong", k->isa, scale, expected, n);
      for (size_t i = 0; i < n; i++) assert_true(got[i] >= -127);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores), cmocka_unit_test(test_scores_q8),
                                     cmocka_unit_test(test_mix), cmocka_unit_test(test_multiply_bf16),
                                     cmocka_unit_test(test_q8_from_f32)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
