/* SPDX-License-Identifier: Apache-2.0 */
/* What rows of a vocabulary matter is the mean of p (1 - p), and the factors of their scales follow from it. */
#include <math.h>
#include <string.h>

#include "model/model_testing.h"
#include "tune/chances.h"
#include "tune/rounder.h"

enum { VOCAB = 5000 }; /* more than a thread takes at a time */

static float logit(size_t row, size_t token) { return (float)((token * 7 + row * 13) % 97) / 8 - 6; }

static double importance(size_t n_rows, size_t token) {
  double mean = 0;
  for (size_t row = 0; row < n_rows; row++) {
    double sum = 0;
    for (size_t i = 0; i < VOCAB; i++) sum += exp((double)logit(row, i));
    const double p = exp((double)logit(row, token)) / sum;
    mean += p * (1 - p);
  }
  return mean / (double)n_rows;
}

static void add_rows(token_chances *c, compute *on, size_t first, size_t n) {
  float *logits = malloc(n * VOCAB * sizeof *logits), *rows[8];
  assert_non_null(logits);
  for (size_t i = 0; i < n; i++) {
    rows[i] = logits + i * VOCAB;
    for (size_t t = 0; t < VOCAB; t++) rows[i][t] = logit(first + i, t);
  }
  chances_add(c, on, rows, n);
  free(logits);
}

static void sums_are_those_of_the_definition_in_any_order(void **state) {
  (void)state;
  token_chances together, apart;
  compute *on;
  ASSERT_OK(compute_create(2, &on, ERR));
  ASSERT_OK(chances_create(VOCAB, &together, ERR));
  ASSERT_OK(chances_create(VOCAB, &apart, ERR));
  add_rows(&together, on, 0, 6);
  add_rows(&apart, on, 4, 2);
  add_rows(&apart, on, 0, 4);
  assert_int_equal(together.positions, 6);
  assert_int_equal(apart.positions, 6);
  assert_memory_equal(together.sum, apart.sum, VOCAB * sizeof *together.sum);
  for (size_t token = 0; token < VOCAB; token += 499) {
    const double want = importance(6, token), got = (double)together.sum[token] / 6 / 1099511627776.0;
    assert_true(fabs(got - want) < 1e-5 * want + 1e-11);
  }
  chances_free(&together);
  chances_free(&apart);
  compute_free(on);
}

static void a_certain_token_and_one_that_never_comes_matter_nothing(void **state) {
  (void)state;
  token_chances c;
  compute *on;
  float row[VOCAB], *rows[] = {row};
  ASSERT_OK(compute_create(1, &on, ERR));
  ASSERT_OK(chances_create(VOCAB, &c, ERR));
  for (size_t i = 0; i < VOCAB; i++) row[i] = -200;
  row[17] = 0;
  chances_add(&c, on, rows, 1);
  assert_int_equal(c.sum[17], 0);
  assert_int_equal(c.sum[18], 0);
  chances_free(&c);
  compute_free(on);
}

static void factors_fall_with_what_a_row_matters(void **state) {
  (void)state;
  uint64_t sums[4] = {1099511627776 / 4, 1099511627776 / 64, 1099511627776 / 1024, 0};
  const token_chances c = {.n = 4, .positions = 1, .sum = sums};
  float f[4];
  chances_row_factors(&c, f);
  for (int i = 0; i + 1 < 4; i++) assert_true(f[i] < f[i + 1]);
  assert_true(fabs(f[2] / f[1] - 2) < 1e-6);  /* the fourth root of 16 */
  assert_true(f[0] == 0.25f && f[3] == 4);     /* two octaves at most */
  sums[1] = sums[2] = sums[3] = sums[0];
  chances_row_factors(&c, f);
  for (int i = 0; i < 4; i++) assert_true(f[i] == 1);
}

static void row_scales_are_multiplied_by_the_factors(void **state) {
  enum { ROWS = 3, COLUMNS = 4 };
  static const float weights[ROWS * COLUMNS] = {1, -1, 1, 1, 2, 2, -2, 2, 0, 0, 0, 0};
  static const float factors[ROWS] = {0.5f, 4, 2};
  (void)state;
  weight_matrix w = {
      .name = "w", .rows = ROWS, .columns = COLUMNS, .data = (const uint8_t *)weights, .dtype = ELLM_F32};
  tune_matrix head = {.matrix = &w, .input = INPUT_HEAD}, other = {.matrix = &w, .input = INPUT_DOWN};
  tune_matrix both[] = {other, head};
  const tune_matrices all = {.at = both, .n = 2};
  input_columns columns;
  rounder r;
  ASSERT_OK(columns_unknown(COLUMNS, &columns, ERR));
  tune_matrices_weigh(&all, factors, ROWS);
  assert_null(both[0].row_factors);
  ASSERT_OK(rounder_open(NULL, &both[1], &columns, &r, ERR));
  assert_int_equal(r.row_scales[0], bf16_from_float(0.5f));
  assert_int_equal(r.row_scales[1], bf16_from_float(8));
  assert_int_equal(r.row_scales[2], bf16_from_float(2)); /* a row of zeros has scale 1 */
  rounder_close(&r);
  tune_matrices_weigh(&all, factors, ROWS + 1); /* another vocabulary: left alone */
  assert_ptr_equal(both[1].row_factors, factors);
  columns_free(&columns);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_those_of_the_definition_in_any_order),
                                     cmocka_unit_test(a_certain_token_and_one_that_never_comes_matter_nothing),
                                     cmocka_unit_test(row_scales_are_multiplied_by_the_factors),
                                     cmocka_unit_test(factors_fall_with_what_a_row_matters)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
