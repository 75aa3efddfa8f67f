/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The factorization against the textbook's loops, bit by bit, for every
 * instruction set and number of threads; against its definition; and what it
 * says of matrices that have no factor.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/cholesky.h"
#include "numbers.h"

enum { MOST = 300, TOKENS = 400 };
static float x[TOKENS * MOST], matrix[MOST * MOST], factor[MOST * MOST];

static void make_matrix(size_t n) {
  number_inputs(x, TOKENS, n);
  double mean = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = i; j < n; j++) {
      double sum = 0;
      for (size_t token = 0; token < TOKENS; token++) sum += (double)x[token * n + i] * (double)x[token * n + j];
      matrix[i * n + j] = (float)sum;
      if (i == j) mean += sum / (double)n;
    }
  for (size_t i = 0; i < n; i++) matrix[i * n + i] += (float)(0.01 * mean);
}

static void textbook(size_t n) {
  memset(factor, 0, sizeof factor);
  for (size_t i = 0; i < n; i++) {
    float inverse = 0;
    for (size_t j = i; j < n; j++) {
      float sum = matrix[i * n + j];
      for (size_t k = 0; k < i; k++) sum = fmaf(-factor[k * n + i], factor[k * n + j], sum);
      if (j == i) inverse = 1.0f / sqrtf(sum);
      factor[i * n + j] = j == i ? sqrtf(sum) : sum * inverse;
    }
  }
}

static void load(square_matrix *a, size_t n) {
  assert_int_equal(square_matrix_create(n, a, NULL), ELLM_OK);
  for (size_t i = 0; i < n; i++) memcpy(a->at + i * a->stride + i, matrix + i * n + i, (n - i) * sizeof(float));
}

static void same_bits(void **state) {
  static const size_t shapes[] = {1, 12, 95, 96, 97, 200, MOST};
  (void)state;
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    const size_t n = shapes[s];
    make_matrix(n);
    textbook(n);
    for (size_t isa = 0; kernels_at(isa) != NULL; isa++)
      for (int threads = 1; threads <= 3; threads += 2) {
        thread_pool *pool;
        square_matrix a;
        assert_true(kernels_force(kernels_at(isa)->isa));
        assert_int_equal(thread_pool_create(threads, &pool, NULL), ELLM_OK);
        load(&a, n);
        assert_int_equal(cholesky_factor(pool, &a, "a", NULL), ELLM_OK);
        for (size_t i = 0; i < n; i++)
          if (memcmp(a.at + i * a.stride + i, factor + i * n + i, (n - i) * sizeof(float)) != 0)
            fail_msg("%s, %d threads, order %zu: row %zu", kernels_at(isa)->isa, threads, n, i);
        square_matrix_free(&a);
        thread_pool_free(pool);
      }
    kernels_force(NULL);
    double worst = 0; /* U^T U is the matrix again */
    for (size_t i = 0; i < n; i++)
      for (size_t j = i; j < n; j++) {
        double sum = 0;
        for (size_t k = 0; k <= i; k++) sum += (double)factor[k * n + i] * (double)factor[k * n + j];
        const double size = sqrt((double)matrix[i * n + i] * (double)matrix[j * n + j]);
        worst = fmax(worst, fabs(sum - (double)matrix[i * n + j]) / size);
      }
    assert_true(worst < 1e-5);
  }
}

static void refused(void **state) {
  static const float bad[] = {0.0f, -1.0f, NAN, INFINITY};
  thread_pool *pool;
  (void)state;
  assert_int_equal(thread_pool_create(2, &pool, NULL), ELLM_OK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    square_matrix a;
    ellm_error error;
    make_matrix(200);
    matrix[150 * 200 + 150] = bad[i];
    load(&a, 200);
    assert_int_equal(cholesky_factor(pool, &a, "layers.3.down_proj", &error), ELLM_ERR_INPUT);
    assert_non_null(strstr(error.message, "layers.3.down_proj: moments are not positive definite (row 150 of 200"));
    square_matrix_free(&a);
  }
  thread_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(refused)};
  return cmocka_run_group_tests_name("cholesky", tests, NULL, NULL);
}
