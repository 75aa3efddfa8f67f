/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second moments against their definition in double, and bit by bit against the
 * plain loop of fma: for every instruction set, number of threads and cut of the
 * tokens into batches.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/moments.h"
#include "numbers.h"

enum { TOKENS = 300, MOST = 230 };
static float x[TOKENS * MOST];

static void plain_loop(size_t columns, float *sum) {
  memset(sum, 0, columns * columns * sizeof(float));
  for (size_t i = 0; i < columns; i++)
    for (size_t j = i; j < columns; j++)
      for (size_t token = 0; token < TOKENS; token++)
        sum[i * columns + j] = fmaf(x[token * columns + i], x[token * columns + j], sum[i * columns + j]);
}

static void check_all(size_t columns, const float *want, int threads, size_t batch) {
  thread_pool *pool;
  moments m;
  assert_int_equal(thread_pool_create(threads, &pool, NULL), ELLM_OK);
  assert_int_equal(moments_create(columns, &m, NULL), ELLM_OK);
  for (size_t done = 0; done < TOKENS; done += batch)
    moments_add(&m, pool, x + done * columns, TOKENS - done < batch ? TOKENS - done : batch, columns);
  assert_int_equal(m.tokens, TOKENS);
  for (size_t i = 0; i < m.sum.stride; i++)
    for (size_t j = i; j < m.sum.stride; j++) {
      const float value = m.sum.at[i * m.sum.stride + j];
      if (value != (j < columns ? want[i * columns + j] : 0.0f)) fail_msg("%zu columns: [%zu][%zu]", columns, i, j);
    }
  assert_int_equal(moments_check(&m, "m", NULL), ELLM_OK);
  moments_free(&m);
  thread_pool_free(pool);
}

static void same_bits(void **state) {
  static const size_t shapes[] = {1, 31, 96, 97, MOST};
  static float want[MOST * MOST];
  (void)state;
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    number_inputs(x, TOKENS, shapes[s]);
    plain_loop(shapes[s], want);
    for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
      assert_true(kernels_force(kernels_at(isa)->isa));
      check_all(shapes[s], want, 1, TOKENS);
      check_all(shapes[s], want, 3, 7);
    }
    kernels_force(NULL);
    for (size_t i = 0; i < shapes[s]; i++) { /* and the plain loop is right */
      double sum = 0;
      for (size_t token = 0; token < TOKENS; token++) sum += (double)x[token * shapes[s] + i] * x[token * shapes[s]];
      assert_true(fabs(sum - (double)want[i]) <=
                  1e-5 * sqrt((double)want[0] * (double)want[i * shapes[s] + i]) + 1e-30);
    }
  }
}

static void squares(void **state) {
  double sum[5] = {0}, want[5] = {0};
  (void)state;
  number_inputs(x, TOKENS, 7);
  for (size_t token = 0; token < TOKENS; token++)
    for (size_t column = 0; column < 5; column++) want[column] += (double)x[token * 7 + column] * x[token * 7 + column];
  moments_add_squares(x, 100, 7, 5, sum);
  moments_add_squares(x + 700, TOKENS - 100, 7, 5, sum);
  assert_memory_equal(sum, want, sizeof sum);
}

static void not_finite(void **state) {
  thread_pool *pool;
  static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
  (void)state;
  assert_int_equal(thread_pool_create(1, &pool, NULL), ELLM_OK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    moments m;
    ellm_error error;
    float input[100] = {0};
    input[99] = bad[i];
    assert_int_equal(moments_create(100, &m, NULL), ELLM_OK);
    moments_add(&m, pool, input, 1, 100);
    assert_int_equal(moments_check(&m, "blk.q_proj", &error), ELLM_ERR_INPUT);
    assert_string_equal(error.message, "blk.q_proj: moments of column 99 are not finite");
    moments_free(&m);
  }
  thread_pool_free(pool);
}

static void too_large(void **state) {
  moments m;
  (void)state;
  assert_int_equal(moments_create(SIZE_MAX / 2, &m, NULL), ELLM_ERR_IO);
  moments_free(&m);
  assert_int_equal(moments_create(SIZE_MAX - 5, &m, NULL), ELLM_ERR_IO);
  moments_free(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(squares),
                                     cmocka_unit_test(not_finite), cmocka_unit_test(too_large)};
  return cmocka_run_group_tests_name("moments", tests, NULL, NULL);
}
