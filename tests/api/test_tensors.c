/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources, instruction sets and measurements through entrollm.h alone: the weights that a quantized tensor's codes
 * stand for are read as floats, in any piece; a folder's are its own.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <entrollm.h>

#define MODEL ENTROLLM_SOURCE_DIR "/models/stories-4m"

static char path[80];

static void ok(ellm_status status, const ellm_error *err) {
  if (status != ELLM_OK) fail_msg("%d: %s", (int)status, err->message);
}

static int make_file(void **state) {
  (void)state;
  ellm_error err;
  ellm_compress_options options;
  snprintf(path, sizeof path, "/tmp/entrollm-test-api-%ld.ellm", (long)getpid());
  ellm_compress_options_init(&options);
  options.bits = 5;
  options.overwrite = true;
  ok(ellm_compress(MODEL, path, &options, NULL, &err), &err);
  return 0;
}

static int remove_file(void **state) {
  (void)state;
  return unlink(path);
}

static void machine(void **state) {
  (void)state;
  size_t n = 0;
  bool best = false;
  assert_true(ellm_cpu_count() >= 1);
  for (const char *name; (name = ellm_isa_at(n)) != NULL; n++) best = best || strcmp(name, ellm_isa()) == 0;
  assert_true(n >= 1 && best);
  assert_false(ellm_isa_force("abacus"));
  assert_true(ellm_isa_force(ellm_isa()));
}

/* Every weight from its code, in pieces that begin and end anywhere. */
static void weights(void **state) {
  (void)state;
  ellm_error err;
  ellm_file *file;
  ellm_source *source;
  ellm_tensor_info info;
  size_t checked = 0;
  ok(ellm_file_open(path, &file, &err), &err);
  ok(ellm_source_open(path, &source, &err), &err);
  assert_int_equal(ellm_source_tensor_count(source), ellm_file_tensor_count(file));
  for (size_t i = 0; ellm_file_tensor(file, i, &info); i++) {
    size_t index;
    if (info.kept || checked == 3) continue;
    assert_true(ellm_source_find(source, info.name, &index));
    const size_t n = (size_t)info.n_elements, piece = n / 7 + 13;
    uint8_t *codes = malloc(n);
    float *values = malloc(n * sizeof *values);
    assert_true(codes && values);
    ok(ellm_file_codes(file, i, 0, codes, &err), &err);
    for (size_t first = 0; first < n; first += piece)
      ok(ellm_source_read(source, index, first, n - first < piece ? n - first : piece, values + first, &err), &err);
    for (size_t k = 0; k < n; k++) assert_true(values[k] == (float)(codes[k] - info.zero) * info.step);
    assert_int_equal(ellm_source_read(source, index, n - 1, 2, values, &err), ELLM_ERR_USAGE);
    ok(ellm_source_read(source, index, n, 0, NULL, &err), &err);
    free(codes);
    free(values);
    checked++;
  }
  assert_int_equal(checked, 3);
  ellm_source_close(source);
  ellm_file_close(file);
}

static void folder(void **state) {
  (void)state;
  ellm_error err;
  ellm_source *source;
  ellm_tensor_info info;
  size_t index, bytes = 0;
  float values[40];
  ok(ellm_source_open(MODEL, &source, &err), &err);
  assert_true(ellm_source_find(source, "model.norm.weight", &index) && ellm_source_tensor(source, index, &info));
  assert_true(info.kept && info.stored_bytes == info.n_elements * ellm_dtype_size(info.dtype));
  ok(ellm_source_read(source, index, 3, 40, values, &err), &err);
  for (size_t i = 0; i < 40; i++) assert_true(isfinite(values[i]));
  assert_false(ellm_source_find(source, "no.such.tensor", &index));
  assert_false(ellm_source_tensor(source, 1 << 20, &info));
  assert_int_equal(ellm_source_read(source, 1 << 20, 0, 1, values, &err), ELLM_ERR_USAGE);
  assert_non_null(ellm_source_asset(source, "config.json", &bytes));
  assert_true(bytes > 10 && ellm_source_asset(source, "none.json", &bytes) == NULL);
  ellm_source_close(source);
  assert_int_equal(ellm_source_open("/no/such/folder", &source, &err), ELLM_ERR_IO);
  assert_null(source);
}

static bool stop(void *user, const ellm_progress *step) {
  (void)user;
  return step->done < 1;
}

static void speeds(void **state) {
  (void)state;
  ellm_error err;
  ellm_bench_matrix *matrix;
  ellm_bench_job job;
  ellm_bench_speed speed;
  ellm_file *file;
  ellm_model *model;
  uint64_t n = 0;
  ok(ellm_bench_matrix_create(NULL, &matrix, &err), &err);
  const ellm_bench_matrix_info *info = ellm_bench_matrix_get_info(matrix);
  assert_true(info->weights >= 1 << 20 && fabs(info->entropy - 3.4) < 0.1 && info->coded_bits < 4.5);
  ellm_bench_job_init(&job);
  job.threads = 1;
  job.repeats = 1;
  job.max_blocks = 2;
  for (int op = ELLM_BENCH_READ; op <= ELLM_BENCH_MULTIPLY; op++) {
    job.op = (ellm_bench_op)op;
    ok(ellm_bench_kernel(matrix, &job, &speed, &err), &err);
    assert_true(speed.median > 0 && speed.least <= speed.median && speed.median <= speed.most);
  }
  job.isa = "abacus";
  assert_int_equal(ellm_bench_kernel(matrix, &job, &speed, &err), ELLM_ERR_USAGE);
  job.isa = NULL;
  job.repeats = ELLM_BENCH_REPEATS + 1;
  assert_int_equal(ellm_bench_kernel(matrix, &job, &speed, &err), ELLM_ERR_USAGE);
  ellm_bench_matrix_free(matrix);

  ok(ellm_file_open(path, &file, &err), &err);
  ok(ellm_bench_decode(file, 1, 1, NULL, NULL, &speed, &n, &err), &err);
  assert_true(speed.median > 0 && n > 1000000);
  assert_int_equal(ellm_bench_decode(file, 1, 3, stop, NULL, &speed, NULL, &err), ELLM_INTERRUPTED);
  assert_int_equal(ellm_bench_decode(file, 1, 0, NULL, NULL, &speed, NULL, &err), ELLM_ERR_USAGE);
  assert_int_equal(ellm_bench_matrix_of_file(file, 1 << 20, &matrix, &err), ELLM_ERR_USAGE);
  ellm_file_close(file);
  ok(ellm_model_open(path, NULL, &model, &err), &err);
  assert_true(ellm_bench_product_seconds(model) == 0);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(machine), cmocka_unit_test(weights), cmocka_unit_test(folder),
                                     cmocka_unit_test(speeds)};
  return cmocka_run_group_tests(tests, make_file, remove_file);
}
