/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices of given codes: what is read is what was written, whatever the width, threads and preference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "codes_in_memory.h"
#include "convert/quantized.h"

static char path[] = "/tmp/ellm-quantized-XXXXXX";

static uint64_t state_of_random = 7;
static uint32_t random_u32(void) {
  state_of_random = state_of_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(state_of_random >> 33);
}

/* About normal, `spread` wide; one in `far` somewhere up to `farthest`. */
static int32_t *made_codes(size_t n, double spread, uint32_t far, int32_t farthest) {
  int32_t *codes = malloc(n * sizeof *codes);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (int k = 0; k < 6; k++) sum += (double)random_u32() / 2147483648.0 - 0.5;
    codes[i] = (int32_t)(sum * 1.4142 * spread + (sum < 0 ? -0.5 : 0.5));
    if (far > 0 && random_u32() % far == 0) {
      codes[i] = (int32_t)(random_u32() % (uint32_t)farthest);
      if (random_u32() % 2 == 0) codes[i] = -codes[i];
    }
  }
  return codes;
}

static ellm_status write_file(const quantized_matrix *matrix, int threads, ellm_prefer prefer, container_tensor *tensor,
                              ellm_error *err) {
  static const uint8_t identity[16];
  convert_workers workers;
  container_writer *writer;
  const file_writer_options options = {.overwrite = true};
  quantized_matrix m = *matrix;
  ELLM_TRY(workers_create(threads, &workers, err));
  ELLM_TRY(container_writer_open(path, &options, &writer, err));
  ellm_status status = ELLM_OK;
  if (m.scales.columns != NULL)
    status = container_writer_columns(writer, m.name, m.scales.columns, m.columns, &m.columns_record, err);
  if (status == ELLM_OK) status = quantized_write(writer, &workers, &m, (coder_aim){.prefer = prefer}, tensor, err);
  if (status == ELLM_OK) status = container_writer_commit(writer, identity, NULL, err);
  else container_writer_abort(writer);
  workers_free(&workers);
  return status;
}

/* The weights of the file equal those of the codes, and the file is whole. */
static void check_file(const quantized_matrix *m, const int32_t *codes) {
  ellm_error err = {0};
  ellm_source *source;
  ellm_verify_result *verified;
  ellm_verify_options options;
  ellm_tensor_info info;
  const size_t n = (size_t)(m->rows * m->columns);
  float *values = malloc(n * sizeof *values);
  if (ellm_source_open(path, &source, &err) != ELLM_OK) fail_msg("%s", err.message);
  if (ellm_source_read(source, 0, 0, n, values, &err) != ELLM_OK) fail_msg("%s", err.message);
  quant_scales scales = m->scales;
  scales.zero = 0;
  uint64_t outliers = 0;
  assert_true(ellm_source_tensor(source, 0, &info));
  assert_int_equal(info.row_scales, m->scales.rows != NULL);
  assert_int_equal(info.column_scales, m->scales.columns != NULL);
  for (size_t i = 0; i < n; i++) {
    const float want = quant_weight(&scales, codes[i], i / m->columns, i % m->columns);
    if (values[i] != want) fail_msg("%s: weight %zu is %g, not %g", m->name, i, (double)values[i], (double)want);
    outliers += codes[i] < -(1 << (info.bits - 1)) || codes[i] >= 1 << (info.bits - 1);
  }
  if (strcmp(info.layout, "fields") == 0)
    assert_true(info.outliers >= outliers); /* those within the width, but beyond the fields, too */
  else
    assert_int_equal(info.outliers, outliers);
  ellm_source_close(source);
  free(values);
  ellm_verify_options_init(&options);
  options.threads = 2;
  if (ellm_verify(path, &options, &verified, &err) != ELLM_OK)
    fail_msg("%s: %s", err.message, verified != NULL && verified->n_problems > 0 ? verified->problems[0] : "");
  ellm_verify_free(verified);
}

typedef struct made { uint64_t rows, columns; double spread; uint32_t far; int32_t farthest; int bits; } made;

static void test_round_trip(void **state) {
  (void)state;
  static const made cases[] = {
      {64, 300, 0.4, 0, 0, 0},        /* few codes */
      {70, 1100, 2, 0, 0, 0},         /* columns of one panel in ranges */
      {600, 60, 1, 3000, 30000, 0},   /* a handful far out */
      {33, 2500, 12, 5000, 1500, 0},
      {5, 4000, 2, 500, 200, 0},      /* low panels, more outliers than a narrow width may have */
      {1, 1, 0, 1, 1000, 0},
      {3, 7, 40, 0, 0, 0},
      {48, 512, 100, 100, 700, 8},    /* wide codes: 8 bits and many patches */
      {16, 64, 0, 0, 0, 2},           /* zeros */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int with = 0; with < 4; with++) {
      const made *c = &cases[i];
      int32_t *codes = made_codes((size_t)(c->rows * c->columns), c->spread, c->far, c->farthest);
      uint16_t *rows = malloc(c->rows * sizeof *rows), *columns = calloc(c->columns + 3, sizeof *columns);
      for (uint64_t k = 0; k < c->rows; k++) rows[k] = (uint16_t)(0x3d80 + random_u32() % 0x400);
      for (uint64_t k = 0; k < c->columns; k++) columns[k] = (uint16_t)(0x3d80 + random_u32() % 0x400);
      codes_in_memory memory = {codes, c->columns};
      const quantized_matrix m = {.name = "w",
                                  .dtype = ELLM_BF16,
                                  .rows = c->rows,
                                  .columns = c->columns,
                                  .scales = {.step = 0.01f,
                                             .rows = with & 1 ? rows : NULL,
                                             .columns = with & 2 ? columns : NULL},
                                  .codes = codes_from_memory,
                                  .user = &memory};
      ellm_error err = {0};
      container_tensor tensor;
      if (write_file(&m, 2, (ellm_prefer)(i % 3), &tensor, &err) != ELLM_OK)
        fail_msg("case %zu: %s", i, err.message);
      if (c->bits > 0 && i % 3 != ELLM_PREFER_SPEED) assert_int_equal(tensor.quant.bits, c->bits);
      check_file(&m, codes);
      free(codes);
      free(rows);
      free(columns);
    }
}

static void test_same_bytes(void **state) {
  (void)state;
  int32_t *codes = made_codes(900 * 700, 3, 2000, 1000);
  codes_in_memory memory = {codes, 700};
  const quantized_matrix m = {.name = "w", .rows = 900, .columns = 700, .scales = {.step = 1},
                              .codes = codes_from_memory, .user = &memory};
  for (int prefer = 0; prefer < 3; prefer++) {
    uint8_t *first = NULL, *again;
    size_t size = 0, size_again;
    for (int threads = 1; threads <= 4; threads++) {
      ellm_error err = {0};
      assert_int_equal(write_file(&m, threads, (ellm_prefer)prefer, NULL, &err), ELLM_OK);
      assert_int_equal(file_read_all(path, 1 << 24, &again, &size_again, &err), ELLM_OK);
      if (first != NULL) {
        assert_int_equal(size, size_again);
        assert_memory_equal(first, again, size);
        free(again);
      } else {
        first = again;
        size = size_again;
      }
    }
    free(first);
  }
  free(codes);
}

/* The plan is near what is written, and the width is none that a narrower one with few patches beats. */
static void test_plan(void **state) {
  (void)state;
  int32_t *codes = made_codes(512 * 512, 1.5, 4000, 300);
  codes_in_memory memory = {codes, 512};
  const quantized_matrix m = {.name = "w", .rows = 512, .columns = 512, .scales = {.step = 1},
                              .codes = codes_from_memory, .user = &memory};
  convert_workers workers;
  ellm_error err = {0};
  container_tensor planned, written;
  double bytes;
  assert_int_equal(workers_create(2, &workers, &err), ELLM_OK);
  const coder_aim aim = {.prefer = ELLM_PREFER_SIZE};
  assert_int_equal(quantized_plan(&workers, &m, aim, &planned, &bytes, &err), ELLM_OK);
  assert_int_equal(write_file(&m, 2, ELLM_PREFER_SIZE, &written, &err), ELLM_OK);
  assert_int_equal(planned.quant.bits, written.quant.bits);
  assert_true(written.quant.bits <= 5 && written.quant.scales.outliers > 0);
  ellm_file *file;
  ellm_tensor_info info;
  assert_int_equal(ellm_file_open(path, &file, &err), ELLM_OK);
  assert_true(ellm_file_tensor(file, 0, &info));
  assert_true(bytes > 0.97 * (double)info.stored_bytes && bytes < 1.03 * (double)info.stored_bytes);
  assert_true(8 * bytes / (512 * 512) < info.entropy * 1.05 + 0.03);
  ellm_file_close(file);
  workers_free(&workers);
  free(codes);
}

static ellm_status failing(void *user, uint64_t first_row, size_t n_rows, int32_t *codes, ellm_error *err) {
  (void)user;
  (void)n_rows;
  (void)codes;
  return ellm_fail(err, ELLM_ERR_INPUT, "row %llu is not to be had", (unsigned long long)first_row);
}

static void test_errors(void **state) {
  (void)state;
  ellm_error err = {0};
  int32_t codes[64] = {0};
  codes_in_memory memory = {codes, 4};
  quantized_matrix m = {.name = "w", .rows = 16, .columns = 4, .scales = {.step = 1},
                        .codes = codes_from_memory, .user = &memory};
  unlink(path);
  codes[5] = 33100 - 1 + 128; /* the bound of one row: 33,027 beyond the last code of 8 bits */
  codes[6] = -1;
  assert_int_equal(write_file(&m, 1, ELLM_PREFER_SIZE, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "too far out"));
  assert_false(file_exists(path));
  codes[5] = 33027 + 127;
  container_tensor tensor;
  assert_int_equal(write_file(&m, 1, ELLM_PREFER_SIZE, &tensor, &err), ELLM_OK);
  check_file(&m, codes);
  m.codes = failing;
  assert_int_equal(write_file(&m, 2, ELLM_PREFER_SIZE, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "row 0"));
}

static int setup(void **state) {
  (void)state;
  const int file = mkstemp(path);
  return file >= 0 ? close(file) : -1;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_same_bytes),
                                     cmocka_unit_test(test_plan), cmocka_unit_test(test_errors)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
