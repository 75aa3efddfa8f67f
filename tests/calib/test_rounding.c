/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding with error feedback: bit by bit against plain loops, for every
 * instruction set and number of threads; the damage it reports against its
 * definition, e H e^T; what it gains over rounding to nearest; rates; and rows
 * and columns of zeros, dead inputs, outliers.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/rounding.h"
#include "numbers.h"

enum { TOKENS = 500, MOST = 130, ROWS = 70 };
static float x[TOKENS * MOST], weights[ROWS * MOST];
static uint16_t row_scales[ROWS];
static int32_t codes[ROWS * MOST], want[ROWS * MOST];
static double damage[ROWS], want_damage[ROWS];
static thread_pool *pool;

static void make(size_t n, moments *m, input_columns *c) {
  const columns_options options = COLUMNS_DEFAULTS;
  number_inputs(x, TOKENS, n);
  for (size_t i = 0; i < ROWS * n; i++) weights[i] = 0.02f * number_normal();
  for (size_t i = 0; i < n; i++) weights[5 * n + i] = 0; /* a row of zeros */
  rounding_row_scales(weights, ROWS, n, row_scales);
  assert_int_equal(moments_create(n, m, NULL), ELLM_OK);
  moments_add(m, pool, x, TOKENS, n);
  assert_int_equal(columns_from_moments(pool, m, &options, "m", c, NULL), ELLM_OK);
}

/* One row, place by place, as the header says it. */
static void plain_row(const rounding *how, size_t row, int32_t *out, double *sum) {
  const input_columns *c = how->columns;
  static float errors[MOST];
  const float inverse = 1.0f / (how->scales->step * float_from_bf16(how->scales->rows[row]));
  *sum = 0;
  for (size_t p = 0; p < c->n; p++) {
    const size_t column = c->order[p];
    const float w = weights[row * c->n + column];
    float target = w;
    for (size_t k = 0; k < p && c->strips != NULL; k++)
      target = fmaf(columns_strip(c, p / 12)[12 * k + p % 12], errors[k], target);
    const float t = target * inverse * (1.0f / float_from_bf16(c->scale[column]));
    int32_t code = (int32_t)nearbyintf(t);
    if (how->rates != NULL) {
      const int inner = (int)t, outer = t < 0 ? inner - 1 : inner + 1;
      const float *cost = t < 0 ? how->rates->down : how->rates->up;
      code = fabsf(t - (float)inner) > 0.5f + cost[abs(inner)] * c->slack[p] ? outer : inner;
    }
    const float near = quant_weight(how->scales, code, row, column), miss = c->pivot[p] * (target - near);
    errors[p] = w - near;
    *sum += (double)miss * (double)miss;
    out[row * c->n + column] = code;
  }
}

static void expect_plain(const rounding *how) {
  const size_t n = how->columns->n;
  for (size_t row = 0; row < ROWS; row++) plain_row(how, row, want, &want_damage[row]);
  for (size_t isa = 0; kernels_at(isa) != NULL; isa++)
    for (int threads = 1; threads <= 3; threads += 2) {
      thread_pool *some;
      assert_true(kernels_force(kernels_at(isa)->isa));
      assert_int_equal(thread_pool_create(threads, &some, NULL), ELLM_OK);
      memset(codes, 0x55, sizeof codes);
      assert_int_equal(rounding_rows(some, how, weights, ROWS, codes, damage, NULL), ELLM_OK);
      assert_memory_equal(codes, want, ROWS * n * sizeof codes[0]);
      assert_memory_equal(damage, want_damage, sizeof damage);
      thread_pool_free(some);
    }
  kernels_force(NULL);
}

static void same_bits(void **state) {
  static const size_t shapes[] = {1, 4, 12, 13, 96, 97, MOST};
  (void)state;
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    moments m;
    input_columns c;
    make(shapes[s], &m, &c);
    const quant_scales scales = {.step = 0.4f, .rows = row_scales, .columns = c.scale};
    rounding how = {&c, &scales, NULL};
    expect_plain(&how);
    rates_histogram histogram = {{0}};
    rates cost;
    rates_count(&histogram, want, ROWS * shapes[s]);
    rates_from_histogram(&histogram, 0.2, &cost);
    how.rates = &cost;
    expect_plain(&how);
    columns_free(&c);
    moments_free(&m);
  }
}

/* e H e^T of a row, H with its damping. */
static double true_damage(const moments *m, const quant_scales *scales, const int32_t *row_codes, size_t row) {
  const size_t n = m->sum.n;
  double sum = 0, mean = 0;
  static double error[MOST];
  for (size_t i = 0; i < n; i++) {
    mean += (double)m->sum.at[i * (m->sum.stride + 1)] / (double)n;
    error[i] = (double)weights[row * n + i] - (double)quant_weight(scales, row_codes[i], row, i);
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = i; j < n; j++) {
      const double h = (double)m->sum.at[i * m->sum.stride + j] + (i == j ? 0.01 * mean : 0);
      sum += (i == j ? 1 : 2) * error[i] * h * error[j];
    }
  return sum / (double)m->tokens;
}

static void damage_is_true(void **state) {
  moments m;
  input_columns c;
  (void)state;
  make(MOST, &m, &c);
  const quant_scales scales = {.step = 0.4f, .rows = row_scales, .columns = c.scale};
  const rounding how = {&c, &scales, NULL};
  assert_int_equal(rounding_rows(pool, &how, weights, ROWS, codes, damage, NULL), ELLM_OK);
  double with = 0, nearest = 0;
  for (size_t row = 0; row < ROWS; row++) {
    const double is = true_damage(&m, &scales, codes + row * MOST, row);
    assert_true(fabs(is - damage[row]) <= 1e-3 * is);
    with += is;
    for (size_t i = 0; i < MOST; i++) /* the same scales, no feedback */
      want[i] = (int32_t)nearbyintf(weights[row * MOST + i] / quant_weight(&scales, 1, row, i));
    nearest += true_damage(&m, &scales, want, row);
    if (row == 5) assert_true(damage[row] == 0 && codes[row * MOST] == 0);
  }
  assert_true(with < 0.7 * nearest); /* 0.60 here: neighbours are correlated by 0.7 */
  columns_free(&c);
  moments_free(&m);
}

static void order_and_factor(void **state) {
  moments m;
  input_columns c;
  (void)state;
  make(MOST, &m, &c);
  assert_int_equal(c.order[0], 3); /* the outlier first */
  bool seen[MOST] = {false};
  double mean = 0;
  for (size_t i = 0; i < MOST; i++) mean += (double)m.sum.at[i * (m.sum.stride + 1)] / MOST / TOKENS;
  for (size_t p = 0; p < MOST; p++) {
    assert_false(seen[c.order[p]]);
    seen[c.order[p]] = true;
    assert_true(quant_scale_valid(c.scale[c.order[p]]));
    /* row p of R R^T, of which the places after p make the sum */
    double sum = (double)c.pivot[p] * (double)c.pivot[p];
    for (size_t q = p + 1; q < MOST; q++) {
      const double r = (double)columns_strip(&c, q / 12)[12 * p + q % 12] * (double)c.pivot[q];
      sum += r * r;
    }
    const double h = (double)m.sum.at[c.order[p] * (m.sum.stride + 1)] / TOKENS + 0.01 * mean;
    assert_true(fabs(sum - h) < 1e-4 * h);
  }
  /* scale ~ 1 / pivot: every place weighs the same, but for the outlier, whose codes would become too large */
  for (size_t p = 1; p < MOST; p++) assert_true(fabsf(c.slack[p] / c.slack[1] - 1) < 0.03f);
  assert_true(float_from_bf16(c.scale[3]) == 0x1p-5f && c.slack[0] < c.slack[1]);
  columns_free(&c);
  moments_free(&m);
}

/* A column of massive activations does not drive its codes out of their range: a finer step gains what it should. */
static void finer_steps_gain(void **state) {
  const columns_options options = COLUMNS_DEFAULTS;
  moments m;
  input_columns c;
  double sum[2] = {0, 0};
  (void)state;
  make(MOST, &m, &c);
  columns_free(&c);
  moments_free(&m);
  for (size_t t = 0; t < TOKENS; t++) x[t * MOST + 3] *= 1000;
  for (size_t row = 0; row < ROWS; row++) weights[row * MOST + 3] *= 6;
  assert_int_equal(moments_create(MOST, &m, NULL), ELLM_OK);
  moments_add(&m, pool, x, TOKENS, MOST);
  assert_int_equal(columns_from_moments(pool, &m, &options, "m", &c, NULL), ELLM_OK);
  for (int fine = 0; fine < 2; fine++) {
    const quant_scales scales = {.step = fine ? 1.0f / 32 : 0.5f, .rows = row_scales, .columns = c.scale};
    const rounding how = {&c, &scales, NULL};
    assert_int_equal(rounding_rows(pool, &how, weights, ROWS, codes, damage, NULL), ELLM_OK);
    for (size_t i = 0; i < ROWS * MOST; i++) assert_true(codes[i] > -ROUNDING_LARGEST && codes[i] < ROUNDING_LARGEST);
    for (size_t row = 0; row < ROWS; row++) sum[fine] += damage[row];
  }
  assert_true(sum[1] * 200 < sum[0]); /* 256 times less */
  columns_free(&c);
  moments_free(&m);
}

static void rates_save_bits(void **state) {
  moments m;
  input_columns c;
  (void)state;
  make(MOST, &m, &c);
  const quant_scales scales = {.step = 1.0f, .rows = row_scales, .columns = c.scale};
  rounding how = {&c, &scales, NULL};
  rates_histogram before = {{0}}, after = {{0}};
  rates cost;
  assert_int_equal(rounding_rows(pool, &how, weights, ROWS, codes, damage, NULL), ELLM_OK);
  rates_count(&before, codes, ROWS * MOST);
  rates_from_histogram(&before, 0, &cost);
  for (int i = 0; i < RATES_MOST; i++) assert_true(cost.up[i] == 0 && cost.down[i] == 0);
  rates_from_histogram(&before, 0.15, &cost);
  how.rates = &cost;
  assert_int_equal(rounding_rows(pool, &how, weights, ROWS, codes, want_damage, NULL), ELLM_OK);
  rates_count(&after, codes, ROWS * MOST);
  assert_true(rates_entropy_bits(&after) < 0.95 * rates_entropy_bits(&before));
  double plain = 0, cheap = 0;
  for (size_t row = 0; row < ROWS; row++) plain += damage[row], cheap += want_damage[row];
  assert_true(cheap > plain && cheap < 1.25 * plain);
  columns_free(&c);
  moments_free(&m);
}

static void quick_and_none(void **state) {
  enum { N = 40 };
  double squares[N];
  input_columns c;
  ellm_error error;
  const columns_options options = COLUMNS_QUICK_DEFAULTS;
  (void)state;
  for (size_t i = 0; i < N; i++) squares[i] = i == 7 ? 0 : i == 9 ? 1e6 : 100;
  for (size_t i = 0; i < ROWS * N; i++) weights[i] = 0.02f * number_normal();
  weights[11] = 90; /* an outlier is not clipped */
  rounding_row_scales(weights, ROWS, N, row_scales);
  row_scales[0] = bf16_from_float(0.02f);
  assert_int_equal(columns_from_squares(squares, N, 100, &options, "m", &c, NULL), ELLM_OK);
  const float ratio = float_from_bf16(c.scale[0]) / float_from_bf16(c.scale[9]);
  assert_true(ratio > 9.8f && ratio < 10.2f); /* (E[x^2])^(1/4) */
  assert_true(c.scale[7] > c.scale[0] && c.strips == NULL);
  quant_scales scales = {.step = 0.5f, .rows = row_scales, .columns = c.scale};
  rounding how = {&c, &scales, NULL};
  expect_plain(&how);
  assert_true(codes[11] > 4000);
  columns_free(&c);
  assert_int_equal(columns_unknown(N, &c, NULL), ELLM_OK);
  for (size_t i = 0; i < N; i++) assert_int_equal(c.scale[i], QUANT_SCALE_ONE);
  scales.columns = c.scale;
  expect_plain(&how);
  columns_free(&c);
  squares[3] = NAN;
  assert_int_equal(columns_from_squares(squares, N, 100, &options, "up", &c, &error), ELLM_ERR_INPUT);
  assert_string_equal(error.message, "up: moments of column 3 are not finite");
  memset(squares, 0, sizeof squares);
  assert_int_equal(columns_from_squares(squares, N, 100, &options, "up", &c, &error), ELLM_ERR_INPUT);
  assert_string_equal(error.message, "up: moments are all zero");
}

static void no_factor(void **state) {
  moments m;
  input_columns c;
  ellm_error error;
  columns_options options = {.damping = 0, .power = 1};
  (void)state;
  assert_int_equal(moments_create(20, &m, NULL), ELLM_OK);
  number_inputs(x, 10, 20); /* fewer tokens than columns: singular */
  moments_add(&m, pool, x, 10, 20);
  m.sum.at[4 * m.sum.stride + 4] = 0;
  assert_int_equal(columns_from_moments(pool, &m, &options, "gate", &c, &error), ELLM_ERR_INPUT);
  assert_non_null(strstr(error.message, "gate: moments are not positive definite"));
  m.sum.at[4 * m.sum.stride + 4] = NAN;
  assert_int_equal(columns_from_moments(pool, &m, &options, "gate", &c, &error), ELLM_ERR_INPUT);
  assert_string_equal(error.message, "gate: moments of column 4 are not finite");
  moments_free(&m);
}

static void row_scales_are_rms(void **state) {
  static const float rows[3][5] = {{1, -1, 1, -1, 1}, {0, 0, 0, 0, 0}, {3, 0, 0, 0, 4}};
  uint16_t scales[3];
  (void)state;
  rounding_row_scales(rows[0], 3, 5, scales);
  assert_int_equal(scales[0], QUANT_SCALE_ONE);
  assert_int_equal(scales[1], QUANT_SCALE_ONE);
  assert_int_equal(scales[2], bf16_from_float(sqrtf(5)));
}

static int start(void **state) {
  (void)state;
  return thread_pool_create(2, &pool, NULL) == ELLM_OK ? 0 : -1;
}
static int stop(void **state) {
  (void)state;
  thread_pool_free(pool);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_bits),     cmocka_unit_test(damage_is_true),  cmocka_unit_test(order_and_factor),
      cmocka_unit_test(rates_save_bits), cmocka_unit_test(quick_and_none), cmocka_unit_test(no_factor),
      cmocka_unit_test(row_scales_are_rms), cmocka_unit_test(finer_steps_gain)};
  return cmocka_run_group_tests_name("rounding", tests, start, stop);
}
