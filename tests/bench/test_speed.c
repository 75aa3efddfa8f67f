/* SPDX-License-Identifier: Apache-2.0 */
/* The matrices and measurements of the bench: what is measured is what it says, and damage is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/read.h"
#include "bench/speed.h"

static bench_coded make(int bits, double step, ellm_prefer prefer, ellm_code code) {
  bench_coded coded;
  ellm_error err;
  assert_int_equal(bench_coded_normal(&coded, step, bits, (coder_aim){.prefer = prefer, .code = code}, (size_t)3 << 17,
                                      &err), ELLM_OK);
  return coded;
}

static void test_layouts(void **state) {
  (void)state;
  bench_coded coded = make(4, 1.77, ELLM_PREFER_SIZE, ELLM_CODE_HUFFMAN);
  assert_string_equal(coder_codebook_layout(&coded.book), "huffman");
  assert_true(coded.entropy > 1.3 && coded.entropy < 1.5);
  assert_true(bench_coded_bits(&coded) >= coded.entropy && bench_coded_bits(&coded) < coded.entropy + 0.3);
  assert_true(coded.geometry.rows * coded.geometry.columns >= (uint64_t)3 << 17);
  bench_coded_free(&coded);
  coded = make(4, 1.77, ELLM_PREFER_BALANCED, ELLM_CODE_NONE);
  assert_string_equal(coder_codebook_layout(&coded.book), "plain4");
  assert_true(bench_coded_bits(&coded) == 4.0);
  bench_coded_free(&coded);
  coded = make(8, 0.09, ELLM_PREFER_BALANCED, ELLM_CODE_NONE);
  assert_string_equal(coder_codebook_layout(&coded.book), "plain8");
  assert_true(bench_coded_bits(&coded) == 8.0);
  bench_coded_free(&coded);
}

static void test_measure(void **state) {
  (void)state;
  thread_pool *pool = NULL;
  assert_int_equal(thread_pool_create(2, &pool, NULL), ELLM_OK);
  bench_coded coded = make(5, 0.95, ELLM_PREFER_BALANCED, ELLM_CODE_HUFFMAN);
  ellm_bench_speed speed;
  ellm_error err;
  for (int op = ELLM_BENCH_READ; op <= ELLM_BENCH_MULTIPLY; op++)
    for (int cached = 0; cached < 2; cached++) {
      const bench_job job = {.coded = &coded, .table = kernels_best(), .op = (ellm_bench_op)op,
                                    .digits = 1 + (unsigned)cached, .tokens = 45, .cached = cached != 0,
                                    .max_blocks = cached ? 2 : 0, .repeats = 3};
      assert_int_equal(speed_measure(&job, pool, &speed, &err), ELLM_OK);
      assert_true(speed.least > 0 && speed.least <= speed.median && speed.median <= speed.most);
    }
  bench_job job = {.coded = &coded, .table = kernels_best(), .op = ELLM_BENCH_DOT, .digits = 3, .repeats = 1};
  assert_int_equal(speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.digits = 2;
  job.repeats = 0;
  assert_int_equal(speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.repeats = 1;
  job.op = ELLM_BENCH_MULTIPLY; /* of no tokens */
  assert_int_equal(speed_measure(&job, pool, &speed, &err), ELLM_ERR_USAGE);
  job.op = ELLM_BENCH_DOT;
  uint8_t *data = coded.owned[0];
  memset(data + coded.offset[5], 0xff, 16); /* more escapes than symbols */
  assert_int_equal(speed_measure(&job, pool, &speed, &err), ELLM_ERR_INPUT);
  bench_coded_free(&coded);
  thread_pool_free(pool);
}

static void test_read(void **state) {
  (void)state;
  thread_pool *pool = NULL;
  ellm_bench_ceiling ceiling;
  ellm_error err;
  assert_int_equal(thread_pool_create(2, &pool, NULL), ELLM_OK);
  ellm_bench_read_options options;
  ellm_bench_read_options_init(&options);
  options.bytes = 1;
  options.repeats = 2;
  for (int cached = 0; cached < 2; cached++) {
    options.cached = cached != 0;
    assert_int_equal(read_ceiling(&options, pool, &ceiling, &err), ELLM_OK);
    assert_true(ceiling.speed.least > 0 && ceiling.speed.least <= ceiling.speed.median &&
                ceiling.speed.median <= ceiling.speed.most);
    assert_true(ceiling.loop[0] != '\0');
  }
  assert_false(ceiling.huge_pages); /* there is no choice in a cache */
  options.repeats = 0;
  assert_int_equal(read_ceiling(&options, pool, &ceiling, &err), ELLM_ERR_USAGE);
  options.repeats = 1;
  options.bytes = 0;
  assert_int_equal(read_ceiling(&options, pool, &ceiling, &err), ELLM_ERR_USAGE);
  options.size = 1;
  assert_int_equal(ellm_bench_read(&options, &ceiling, &err), ELLM_ERR_USAGE);
  thread_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts), cmocka_unit_test(test_measure),
                                     cmocka_unit_test(test_read)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
