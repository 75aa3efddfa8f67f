/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float kernels. First the scalar table against the definitions in
 * kernels.h, spelled out here once more (and exp against the C library's in
 * double precision); then every other table against the scalar one, bit by bit,
 * at all small sizes and odd alignments, with zeros of both signs, subnormals,
 * infinities and numbers that overflow.
 */
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

enum { N_MAX = 200, N_TILES = 24, N_TOKENS = 15 };

/* Mostly ordinary numbers; `wild` adds the corner cases. */
static float random_float(bool wild) {
  static const float corners[] = {0.0f,      -0.0f,        1.0f,     -1.0f,     0x1p-149f,   -0x1p-149f,
                                  0x1p-126f, -0x1.8p-127f, 0x1p127f, -0x1p127f, INFINITY,    -INFINITY,
                                  88.7f,     88.8f,        -87.33f,  -87.34f,   -103.0f,     1e-30f,
                                  -1e-30f,   0x1.fp-14f,   65519.0f, 65520.0f,  0x1.002p-14f};
  if (wild && random_below(4) == 0) return corners[random_below(sizeof corners / sizeof corners[0])];
  const float unit = (float)(int32_t)random_u64() * 0x1p-31f;
  return ldexpf(unit, (int)random_below(wild ? 24 : 8) - (wild ? 12 : 4));
}
static void random_floats(float *x, size_t n, bool wild) {
  for (size_t i = 0; i < n; i++) x[i] = random_float(wild);
}

/* Equal bits; NaNs are one. */
static bool same(const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (float_bits(a[i]) != float_bits(b[i]) && !(isnan(a[i]) && isnan(b[i]))) return false;
  return true;
}
static void expect_same(const char *isa, const char *what, const float *got, const float *want, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!same(got + i, want + i, 1))
      fail_msg("%s %s: element %zu of %zu is %a, not %a", isa, what, i, n, (double)got[i], (double)want[i]);
}

/* --------------------------------------------- the scalar table against its definition */

static float reference_fold(const float lane[16]) {
  float f[16];
  memcpy(f, lane, sizeof f);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) f[i] = f[i] + f[i + half];
  return f[0];
}
static float reference_dot(const float *a, const float *b, size_t n) {
  float lane[16] = {0};
  for (size_t i = 0; i < (n + 15) / 16 * 16; i++)
    lane[i % 16] = fmaf(i < n ? a[i] : 0.0f, i < n ? b[i] : 0.0f, lane[i % 16]);
  return reference_fold(lane);
}

static void test_definitions(void **state) {
  (void)state;
  random_state = 21;
  const kernel_table *scalar = kernels_at(0);
  float a[N_MAX], b[N_MAX], got[N_MAX], want[N_MAX];
  for (size_t n = 0; n <= N_MAX; n++) {
    random_floats(a, n, false);
    random_floats(b, n, false);
    const float dot = scalar->dot(a, b, n), dot_want = reference_dot(a, b, n);
    expect_same("scalar", "dot", &dot, &dot_want, 1);

    memcpy(got, b, sizeof got);
    for (size_t i = 0; i < n; i++) want[i] = fmaf(1.25f, a[i], b[i]);
    scalar->axpy(1.25f, a, got, n);
    expect_same("scalar", "axpy", got, want, n);

    memcpy(got, b, sizeof got);
    for (size_t i = 0; i < n; i++) want[i] = b[i] + a[i];
    scalar->add(a, got, n);
    expect_same("scalar", "add", got, want, n);

    memcpy(got, b, sizeof got);
    for (size_t i = 0; i < n; i++) want[i] = b[i] * 0.3f;
    scalar->scale(got, 0.3f, n);
    expect_same("scalar", "scale", got, want, n);

    uint16_t factors[N_MAX];
    const quant_scales scales = {.step = 0.3f, .rows = factors + N_MAX - n};
    memcpy(got, b, sizeof got);
    for (size_t i = 0; i < N_MAX; i++) factors[i] = random_factor();
    for (size_t i = 0; i < n; i++) want[i] = b[i] * 0.3f * float_from_bf16(scales.rows[i]);
    scalar->scale_rows(got, &scales, n);
    expect_same("scalar", "scale_rows", got, want, n);

    float largest = -INFINITY;
    for (size_t i = 0; i < n; i++) largest = a[i] > largest ? a[i] : largest;
    assert_true(scalar->max(a, n) == largest);

    if (n > 0) {
      const float r = 1.0f / sqrtf(reference_dot(a, a, n) / (float)n + 1e-5f);
      for (size_t i = 0; i < n; i++) want[i] = (a[i] * r) * b[i];
      scalar->rms_norm(a, b, 1e-5f, got, n);
      expect_same("scalar", "rms_norm", got, want, n);
    }

    scalar->silu_mul(a, b, got, n);
    for (size_t i = 0; i < n; i++) {
      const double silu = (double)a[i] / (1.0 + exp(-(double)a[i])) * (double)b[i];
      assert_true(fabs((double)got[i] - silu) <= 3e-7 * fabs(silu) + 1e-37);
    }

    scalar->gelu_tanh_mul(a, b, got, n);
    for (size_t i = 0; i < n; i++) {
      const double g = a[i], gelu = 0.5 * g * (1 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))) * (double)b[i];
      assert_true(fabs((double)got[i] - gelu) <= 4e-7 * fabs((double)a[i] * (double)b[i]) + 1e-37);
    }
    memcpy(got, a, sizeof got);
    scalar->soft_cap(got, 1.5f, n);
    for (size_t i = 0; i < n; i++) {
      const double capped = 1.5 * tanh((double)a[i] / 1.5);
      assert_true(fabs((double)got[i] - capped) <= 4e-7 * fabs(capped) + 1e-37);
    }

    const size_t half = n / 2;
    memcpy(got, a, sizeof got);
    for (size_t i = 0; i < half; i++) {
      const float first = a[i] * b[i], second = a[i + half] * b[i + half];
      const float third = a[i + half] * b[i], fourth = a[i] * b[i + half];
      want[i] = first - second;
      want[i + half] = third + fourth;
    }
    scalar->rope(got, b, half);
    expect_same("scalar", "rope", got, want, 2 * half);

    memcpy(got, a, sizeof got);
    const float sum = scalar->exp_sum(got, 2.0f, n);
    float lane[16] = {0};
    for (size_t i = 0; i < n; i++) {
      const double e = exp((double)(a[i] - 2.0f));
      assert_true(fabs((double)got[i] - e) <= 1.2e-7 * e);
      lane[i % 16] += got[i];
    }
    assert_true(sum == reference_fold(lane));
  }
}

static float exp_of(const kernel_table *table, float x) {
  table->exp_sum(&x, 0.0f, 1);
  return x;
}

static void test_exp(void **state) {
  (void)state;
  const kernel_table *scalar = kernels_at(0);
  const float limits[][2] = {{0.0f, 1.0f}, {-0.0f, 1.0f}, {-INFINITY, 0.0f}, {INFINITY, INFINITY}, {-87.34f, 0.0f},
                             {-1e30f, 0.0f}, {89.0f, INFINITY}, {0x1.62e430p+6f, INFINITY}};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
    assert_true(exp_of(scalar, limits[i][0]) == limits[i][1]);
  assert_true(isnan(exp_of(scalar, NAN)));
  assert_true(exp_of(scalar, -87.3365f) >= 0x1p-126f);
  assert_true(exp_of(scalar, nextafterf(-87.3365f, -100.0f)) == 0.0f);
  assert_true(isfinite(exp_of(scalar, 0x1.62e42ep+6f)));
  /* Error in units in the last place of the result, over a grid of 200,000 arguments. */
  double worst = 0;
  enum { STEPS = 200000, AT_ONCE = 100 };
  for (int i = 0; i < STEPS; i += AT_ONCE) {
    float x[AT_ONCE], y[AT_ONCE];
    for (int j = 0; j < AT_ONCE; j++) y[j] = x[j] = -87.3f + (float)(i + j) * (176.0f / STEPS);
    scalar->exp_sum(y, 0.0f, AT_ONCE);
    for (int j = 0; j < AT_ONCE; j++) {
      const double exact = exp((double)x[j]);
      int exponent;
      frexp(exact, &exponent);
      const double error = fabs((double)y[j] - exact) / ldexp(1.0, exponent - 24);
      if (error > worst) worst = error;
    }
  }
  printf("# exp: at most %.3f ulp off\n", worst);
  assert_true(worst <= 1.0);
}

static void test_tile_definitions(void **state) {
  (void)state;
  random_state = 22;
  const kernel_table *scalar = kernels_at(0);
  static uint8_t codes[N_TILES * CODER_TILE];
  static float w[N_TILES * CODER_TILE];
  for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)random_u64();
  uint16_t rows[16], columns[4 * N_TILES];
  for (size_t i = 0; i < 16; i++) rows[i] = random_factor();
  for (size_t i = 0; i < 4 * N_TILES; i++) columns[i] = random_factor();
  for (int with = 0; with < 4; with++) {
    const quant_scales scales = {
        .step = -0.037f, .zero = 93, .rows = with & 1 ? rows : NULL, .columns = with & 2 ? columns : NULL};
    scalar->tiles_from_codes(codes, N_TILES, &scales, w);
    for (size_t i = 0; i < N_TILES * CODER_TILE; i++) {
      const size_t tile = i / 64, row = i / 4 % 16, column = i % 4;
      float want = (float)((int)codes[i] - 93) * -0.037f;
      if (with & 1) want *= float_from_bf16(rows[row]);
      if (with & 2) want *= float_from_bf16(columns[4 * tile + column]);
      expect_same("scalar", "tiles_from_codes", &w[tile * 64 + column * 16 + row], &want, 1);
      const float weight = quant_weight(&scales, codes[i], row, 4 * tile + column);
      expect_same("quant_weight", "of a code", &weight, &want, 1);
    }
  }

  static float x[3][4 * N_TILES], sums[3 * 64], want[3 * 64];
  random_floats(&x[0][0], sizeof x / sizeof x[0][0], false);
  random_floats(sums, 3 * 64, false);
  memcpy(want, sums, sizeof want);
  const float *const xs[3] = {x[0], x[1], x[2]};
  scalar->tiles_multiply(w, N_TILES, xs, 3, sums);
  for (size_t token = 0; token < 3; token++)
    for (size_t tile = 0; tile < N_TILES; tile++)
      for (size_t column = 0; column < 4; column++)
        for (size_t row = 0; row < 16; row++) {
          float *sum = &want[token * 64 + column * 16 + row];
          *sum = fmaf(w[tile * 64 + column * 16 + row], x[token][4 * tile + column], *sum);
        }
  expect_same("scalar", "tiles_multiply", sums, want, 3 * 64);
}

/* ---------------------------------------------------- every table against the scalar one */

/* Three inputs and outputs at an odd offset each, guarded right after the last element. */
typedef struct arrays { float *a, *b, *c; } arrays;
static guarded areas[6];

static arrays place(int first, size_t n) {
  return (arrays){(float *)(void *)guarded_tail(&areas[first], n * sizeof(float)),
                  (float *)(void *)guarded_tail(&areas[first + 1], n * sizeof(float)),
                  (float *)(void *)guarded_tail(&areas[first + 2], n * sizeof(float))};
}

static int setup(void **state) {
  (void)state;
  for (int i = 0; i < 6; i++) areas[i] = guarded_create(1 << 16);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < 6; i++) guarded_free(&areas[i]);
  return 0;
}

static void compare_vectors(const kernel_table *scalar, const kernel_table *table, size_t n, bool wild) {
  const arrays want = place(0, n), got = place(3, n);
  const size_t bytes = n * sizeof(float);
  float saved[2][N_MAX];
  random_floats(saved[0], n, wild);
  random_floats(saved[1], n, wild);
#define RESTORE() (memcpy(want.a, saved[0], bytes), memcpy(want.b, saved[1], bytes), \
                   memcpy(got.a, saved[0], bytes), memcpy(got.b, saved[1], bytes))
  const float factor = random_float(wild), shift = random_float(false);
  float result_want, result_got;
  RESTORE();
  result_want = scalar->dot(want.a, want.b, n);
  result_got = table->dot(got.a, got.b, n);
  expect_same(table->isa, "dot", &result_got, &result_want, 1);
  result_want = scalar->max(want.a, n);
  result_got = table->max(got.a, n);
  expect_same(table->isa, "max", &result_got, &result_want, 1);
  scalar->axpy(factor, want.a, want.b, n);
  table->axpy(factor, got.a, got.b, n);
  expect_same(table->isa, "axpy", got.b, want.b, n);
  RESTORE();
  scalar->add(want.a, want.b, n);
  table->add(got.a, got.b, n);
  expect_same(table->isa, "add", got.b, want.b, n);
  scalar->scale(want.a, factor, n);
  table->scale(got.a, factor, n);
  expect_same(table->isa, "scale", got.a, want.a, n);
  static uint16_t factors[N_MAX];
  for (size_t i = 0; i < N_MAX; i++) factors[i] = random_factor();
  const quant_scales scales = {.step = factor, .rows = n % 2 == 1 ? factors + N_MAX - n : NULL};
  scalar->scale_rows(want.a, &scales, n);
  table->scale_rows(got.a, &scales, n);
  expect_same(table->isa, "scale_rows", got.a, want.a, n);
  RESTORE();
  result_want = scalar->exp_sum(want.a, shift, n);
  result_got = table->exp_sum(got.a, shift, n);
  expect_same(table->isa, "exp_sum", got.a, want.a, n);
  expect_same(table->isa, "exp_sum's sum", &result_got, &result_want, 1);
  RESTORE();
  if (n > 0) {
    scalar->rms_norm(want.a, want.b, 1e-6f, want.c, n);
    table->rms_norm(got.a, got.b, 1e-6f, got.c, n);
    expect_same(table->isa, "rms_norm", got.c, want.c, n);
    table->rms_norm(got.a, got.b, 1e-6f, got.a, n); /* in place */
    expect_same(table->isa, "rms_norm in place", got.a, want.c, n);
  }
  RESTORE();
  scalar->silu_mul(want.a, want.b, want.c, n);
  table->silu_mul(got.a, got.b, got.c, n);
  expect_same(table->isa, "silu_mul", got.c, want.c, n);
  table->silu_mul(got.a, got.b, got.a, n);
  expect_same(table->isa, "silu_mul in place", got.a, want.c, n);
  RESTORE();
  scalar->gelu_tanh_mul(want.a, want.b, want.c, n);
  table->gelu_tanh_mul(got.a, got.b, got.c, n);
  expect_same(table->isa, "gelu_tanh_mul", got.c, want.c, n);
  table->gelu_tanh_mul(got.a, got.b, got.a, n);
  expect_same(table->isa, "gelu_tanh_mul in place", got.a, want.c, n);
  RESTORE();
  scalar->soft_cap(want.a, shift, n);
  table->soft_cap(got.a, shift, n);
  expect_same(table->isa, "soft_cap", got.a, want.a, n);
  RESTORE();
  scalar->rope(want.a, want.b, n / 2);
  table->rope(got.a, got.b, n / 2);
  expect_same(table->isa, "rope", got.a, want.a, n);
  RESTORE();
  uint16_t *half_want = (uint16_t *)(void *)guarded_tail(&areas[2], n * 2);
  uint16_t *half_got = (uint16_t *)(void *)guarded_tail(&areas[5], n * 2);
  scalar->f16_from_f32(want.a, half_want, n);
  table->f16_from_f32(got.a, half_got, n);
  assert_true(memcmp(half_want, half_got, n * 2) == 0);
  scalar->f32_from_f16(half_want, want.b, n);
  table->f32_from_f16(half_got, got.b, n);
  expect_same(table->isa, "f32_from_f16", got.b, want.b, n);
#undef RESTORE
}

static void test_vectors(void **state) {
  (void)state;
  random_state = 23;
  for (size_t i = 1; kernels_at(i); i++)
    for (size_t n = 0; n <= N_MAX; n++)
      for (int round = 0; round < 6; round++) compare_vectors(kernels_at(0), kernels_at(i), n, round % 2 == 1);
}

/* Zeros of both signs in every order: which one max returns. */
static void test_max_of_zeros(void **state) {
  (void)state;
  random_state = 24;
  for (size_t i = 1; kernels_at(i); i++)
    for (size_t n = 1; n < 70; n++)
      for (int round = 0; round < 10; round++) {
        float x[70];
        for (size_t j = 0; j < n; j++) x[j] = random_below(2) ? 0.0f : random_below(8) ? -0.0f : -1.0f;
        const float want = kernels_at(0)->max(x, n), got = kernels_at(i)->max(x, n);
        expect_same(kernels_at(i)->isa, "max of zeros", &got, &want, 1);
      }
}

static void test_all_halves(void **state) {
  (void)state;
  random_state = 25;
  static uint16_t half[65536], back_got[65536];
  static float want[65536], got[65536];
  for (unsigned h = 0; h < 65536; h++) half[h] = (uint16_t)h;
  for (size_t i = 0; kernels_at(i); i++) {
    const kernel_table *table = kernels_at(i);
    for (unsigned h = 0; h < 65536; h++) want[h] = float_from_f16((uint16_t)h);
    table->f32_from_f16(half, got, 65536);
    expect_same(table->isa, "all f16", got, want, 65536);
    table->f16_from_f32(got, back_got, 65536);
    for (unsigned h = 0; h < 65536; h++) assert_true(isnan(got[h]) || back_got[h] == h);
    for (int round = 0; round < 4; round++) {
      /* any bits; then the range of f16 and its neighbours and ties */
      for (unsigned j = 0; j < 65536; j++)
        got[j] =
            round % 2
                ? float_from_bits((uint32_t)random_u64())
                : float_from_bits(float_bits(want[j]) + (uint32_t)((int)random_below(3) - 1) + (round ? 0x1000u : 0u));
      table->f16_from_f32(got, back_got, 65536);
      for (unsigned j = 0; j < 65536; j++) assert_true(isnan(got[j]) || back_got[j] == f16_from_float(got[j]));
    }
  }
}

static void test_exp_everywhere(void **state) {
  (void)state;
  random_state = 26;
  enum { N = 4096 };
  static float x[N], want[N], got[N];
  for (int round = 0; round < 24; round++) {
    for (int i = 0; i < N; i++)
      x[i] = round == 0 ? float_from_bits((uint32_t)random_u64()) : (float)(int32_t)random_u64() * 0x1p-31f * 90.0f;
    memcpy(want, x, sizeof x);
    const float sum = kernels_at(0)->exp_sum(want, 0.0f, N);
    for (size_t i = 1; kernels_at(i); i++) {
      memcpy(got, x, sizeof x);
      const float sum_got = kernels_at(i)->exp_sum(got, 0.0f, N);
      expect_same(kernels_at(i)->isa, "exp", got, want, N);
      expect_same(kernels_at(i)->isa, "exp's sum", &sum_got, &sum, 1);
    }
  }
}

static void test_tiles(void **state) {
  (void)state;
  random_state = 27;
  static float w_want[N_TILES * 64], x[N_TOKENS][4 * N_TILES + 1], sums_want[N_TOKENS * 64], start[N_TOKENS * 64];
  const float *tokens[N_TOKENS];
  for (size_t t = 0; t < N_TOKENS; t++) tokens[t] = x[t] + t % 2;
  for (size_t i = 1; kernels_at(i); i++) {
    const kernel_table *scalar = kernels_at(0), *table = kernels_at(i);
    for (size_t n_tiles = 0; n_tiles <= N_TILES; n_tiles++) {
      uint8_t *codes = guarded_tail(&areas[0], 64 * n_tiles);
      float *w = (float *)(void *)guarded_tail(&areas[1], n_tiles * 64 * sizeof(float));
      for (size_t j = 0; j < 64 * n_tiles; j++) codes[j] = (uint8_t)random_u64();
      uint16_t *rows = (uint16_t *)(void *)guarded_tail(&areas[3], 16 * sizeof *rows);
      uint16_t *columns = (uint16_t *)(void *)guarded_tail(&areas[4], 4 * n_tiles * sizeof *columns);
      for (size_t j = 0; j < 16; j++) rows[j] = random_factor();
      for (size_t j = 0; j < 4 * n_tiles; j++) columns[j] = random_factor();
      const quant_scales scales = {.step = random_float(false),
                                   .zero = (int)random_below(256),
                                   .rows = random_below(2) ? rows : NULL,
                                   .columns = random_below(2) ? columns : NULL};
      scalar->tiles_from_codes(codes, n_tiles, &scales, w_want);
      table->tiles_from_codes(codes, n_tiles, &scales, w);
      expect_same(table->isa, "tiles_from_codes", w, w_want, 64 * n_tiles);

      for (size_t n_tokens = 0; n_tokens <= N_TOKENS; n_tokens++) {
        const bool wild = n_tokens % 3 == 2;
        random_floats(&x[0][0], sizeof x / sizeof x[0][0], wild);
        random_floats(start, n_tokens * 64, wild);
        memcpy(sums_want, start, sizeof start);
        float *sums = (float *)(void *)guarded_tail(&areas[2], n_tokens * 64 * sizeof(float));
        memcpy(sums, start, n_tokens * 64 * sizeof(float));
        scalar->tiles_multiply(w_want, n_tiles, tokens, n_tokens, sums_want);
        table->tiles_multiply(w, n_tiles, tokens, n_tokens, sums);
        expect_same(table->isa, "tiles_multiply", sums, sums_want, n_tokens * 64);
      }
    }
  }
}

/* All shapes of a chunk, rows at odd addresses that end at a guard, values with all bit patterns. */
static void test_tiles_from_rows(void **state) {
  (void)state;
  random_state = 28;
  static const ellm_dtype dtypes[] = {ELLM_F32, ELLM_F16, ELLM_BF16, ELLM_I8};
  static float w_want[64 * 64];
  enum { ROOM = 1024 };
  for (size_t i = 0; kernels_at(i); i++)
    for (size_t d = 0; d < 4; d++)
      for (size_t n_columns = 0; n_columns <= 200; n_columns += n_columns < 40 ? 1 : 9) {
        const size_t n_rows = random_below(3) ? 16 : random_below(17);
        const size_t size = dtypes[d] == ELLM_F32 ? 4 : 2;
        const uint8_t *rows[16] = {NULL};
        for (size_t row = 0; row < n_rows; row++) { /* the last row ends at the guard, the others anywhere */
          uint8_t *bytes = guarded_tail(&areas[0], ROOM * (n_rows - row) - (row + 1 < n_rows ? random_below(100) : 0));
          if (row + 1 == n_rows) bytes = guarded_tail(&areas[0], n_columns * size);
          for (size_t j = 0; j < n_columns * size; j++) bytes[j] = (uint8_t)random_u64();
          rows[row] = bytes;
        }
        const size_t n = (n_columns + 3) / 4 * 64;
        for (size_t j = 0; j < n; j++) {
          const size_t column = j / 64 * 4 + j % 64 / 16, row = j % 16;
          w_want[j] = 0.0f;
          if (row >= n_rows || column >= n_columns || dtypes[d] == ELLM_I8) continue;
          const uint8_t *p = rows[row] + size * column;
          w_want[j] = dtypes[d] == ELLM_F32   ? float_from_bits(load_u32(p))
                      : dtypes[d] == ELLM_F16 ? float_from_f16(load_u16(p))
                                              : float_from_bf16(load_u16(p));
        }
        float *w = (float *)(void *)guarded_tail(&areas[1], n * sizeof(float));
        kernels_at(i)->tiles_from_rows(dtypes[d], rows, n_rows, n_columns, n_columns % 2 ? 4096 : 0, w);
        expect_same(kernels_at(i)->isa, "tiles_from_rows", w, w_want, n);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_definitions),    cmocka_unit_test(test_exp),          cmocka_unit_test(test_tile_definitions),
    cmocka_unit_test(test_vectors),        cmocka_unit_test(test_max_of_zeros), cmocka_unit_test(test_all_halves),
    cmocka_unit_test(test_exp_everywhere), cmocka_unit_test(test_tiles),        cmocka_unit_test(test_tiles_from_rows),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
