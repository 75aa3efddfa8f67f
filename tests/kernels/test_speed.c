/* SPDX-License-Identifier: Apache-2.0 */
/* The matrices and measurements of the bench: what is measured is what it says, and damage is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/speed.h"

static kernel_coded make(int bits, double step, ellm_prefer prefer, ellm_code code) {
  kernel_coded coded;
  ellm_error err;
  assert_int_equal(kernel_coded_normal(&coded, step, bits, prefer, code, (size_t)3 << 17, &err), ELLM_OK);
  return coded;
}

static void test_layouts(void **state) {
  (void)state;
  kernel_coded coded = make(4, 1.77, ELLM_PREFER_SIZE, ELLM_CODE_HUFFMAN);
  assert_string_equal(kernel_coded_layout(&coded), "huffman");
  assert_true(coded.entropy > 1.3 && coded.entropy < 1.5);
  assert_true(kernel_coded_bits(&coded) >= coded.entropy && kernel_coded_bits(&coded) < coded.entropy + 0.3);
  assert_true(coded.geometry.rows * coded.geometry.columns >= (uint64_t)3 << 17);
  kernel_coded_free(&coded);
  coded = make(4, 1.77, ELLM_PREFER_SPEED, ELLM_CODE_NONE);
  assert_string_equal(kernel_coded_layout(&coded), "plain4");
  assert_true(kernel_coded_bits(&coded) == 4.0);
  kernel_coded_free(&coded);
  coded = make(8, 0.09, ELLM_PREFER_SPEED, ELLM_CODE_NONE);
  assert_string_equal(kernel_coded_layout(&coded), "plain8");
  assert_true(kernel_coded_bits(&coded) == 8.0);
  kernel_coded_free(&coded);
}

static void test_measure(void **state) {
  (void)state;
  thread_pool *pool = NULL;
  assert_int_equal(thread_pool_create(2, &pool, NULL), ELLM_OK);
  kernel_coded coded = make(5, 0.95, ELLM_PREFER_SPEED, ELLM_CODE_HUFFMAN);
  kernel_speed speed;
  ellm_error err;
  for (int op = KERNEL_READ; op <= KERNEL_MULTIPLY; op++)
    for (int cached = 0; cached < 2; cached++) {
      const kernel_speed_job job = {.coded = &coded, .table = kernels_best(), .op = (kernel_op)op,
                                    .digits = 1 + (unsigned)cached, .tokens = 45, .cached = cached != 0,
                                    .max_blocks = cached ? 2 : 0, .repeats = 3};
      assert_int_equal(kernel_speed_measure(&job, pool, &speed, &err), ELLM_OK);
      assert_true(speed.min > 0 && speed.min <= speed.median && speed.median <= speed.max);
    }
  kernel_speed_job job = {.coded = &coded, .table = kernels_best(), .op = KERNEL_DOT, .digits = 3, .repeats = 1};
  assert_int_equal(kernel_speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.digits = 2;
  job.repeats = 0;
  assert_int_equal(kernel_speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.repeats = 1;
  job.op = KERNEL_MULTIPLY; /* of no tokens */
  assert_int_equal(kernel_speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.op = KERNEL_DOT;
  uint8_t *data = coded.owned[0];
  memset(data + coded.offset[5], 0xff, 16); /* more escapes than symbols */
  assert_int_equal(kernel_speed_measure(&job, pool, &speed, &err), ELLM_ERR_INPUT);
  kernel_coded_free(&coded);
  thread_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts), cmocka_unit_test(test_measure)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
