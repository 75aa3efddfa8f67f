/* SPDX-License-Identifier: Apache-2.0 */
/* FP8 matrices as floats: values of the types, scales of every shape, reading from the middle, what fits no scale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "source/fp8.h"
#include "source/source.h"

enum { ROWS = 3, COLUMNS = 5 };

static char folder[] = "/tmp/ellm-fp8-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put_config(const char *text) {
  FILE *f = fopen(in_folder("config.json"), "wb");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static uint8_t code_at(size_t i) { return (uint8_t)(i * 29 + 3); }
static float scale_at(size_t i) { return ldexpf((float)(3 + i), -4); }

/* One 3 x 5 matrix "m.weight" of `type` and its scales, n of them, under `name`. */
static void put_matrix(const char *type, const char *name, const char *shape, size_t n) {
  char header[400];
  snprintf(header, sizeof header,
           "{\"m.weight\":{\"dtype\":\"%s\",\"shape\":[3,5],\"data_offsets\":[0,15]},"
           "\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[15,%zu]}}",
           type, name, shape, 15 + 4 * n);
  uint8_t length[8], element[4];
  FILE *f = fopen(in_folder("model.safetensors"), "wb");
  assert_non_null(f);
  store_u64(length, strlen(header));
  fwrite(length, 1, 8, f);
  fputs(header, f);
  for (size_t i = 0; i < ROWS * COLUMNS; i++) fputc(code_at(i), f);
  for (size_t i = 0; i < n; i++) {
    store_u32(element, float_bits(scale_at(i)));
    fwrite(element, 1, 4, f);
  }
  assert_int_equal(fclose(f), 0);
}

static tensor_source *open_source(void) {
  tensor_source *s;
  ellm_error err = {0};
  if (source_open(folder, NULL, &s, &err) != ELLM_OK) fail_msg("%s", err.message);
  return s;
}

/* Every run of elements is what codes and scales of blocks give. */
static void check_matrix(ellm_dtype type, size_t block_rows, size_t block_columns) {
  tensor_source *s = open_source();
  ellm_error err = {0};
  const size_t a_row = (COLUMNS + block_columns - 1) / block_columns;
  assert_int_equal(source_count(s), 1); /* the scales are no tensor of their own */
  const source_tensor *t = source_find(s, "m.weight");
  assert_non_null(t);
  assert_int_equal(t->dtype, ELLM_F32);
  assert_int_equal(t->bytes, 4 * ROWS * COLUMNS);
  const uint8_t *all;
  assert_int_equal(source_map(s, t, &all, &err), ELLM_OK);
  for (size_t first = 0; first < ROWS * COLUMNS; first++)
    for (size_t n = 0; first + n <= ROWS * COLUMNS; n++) {
      uint8_t out[4 * ROWS * COLUMNS];
      assert_int_equal(source_read(s, t, 4 * first, out, 4 * n, &err), ELLM_OK);
      assert_memory_equal(out, all + 4 * first, 4 * n);
    }
  for (size_t i = 0; i < ROWS * COLUMNS; i++) {
    const size_t row = i / COLUMNS, column = i % COLUMNS;
    const float want = fp8_value(type, code_at(i)) * scale_at(row / block_rows * a_row + column / block_columns);
    assert_int_equal(load_u32(all + 4 * i), float_bits(want));
  }
  uint8_t half[2];
  assert_int_equal(source_read(s, t, 2, half, 2, &err), ELLM_ERR_INTERNAL); /* a part of an element */
  source_close(s);
}

static void test_values(void **state) {
  (void)state;
  assert_true(fp8_value(ELLM_F8_E4M3, 0x00) == 0);
  assert_true(signbit(fp8_value(ELLM_F8_E4M3, 0x80)));
  assert_true(fp8_value(ELLM_F8_E4M3, 0x01) == 0.001953125f); /* the least: 2^-9 */
  assert_true(fp8_value(ELLM_F8_E4M3, 0x08) == 0.015625f);    /* the least normal one: 2^-6 */
  assert_true(fp8_value(ELLM_F8_E4M3, 0x38) == 1);
  assert_true(fp8_value(ELLM_F8_E4M3, 0x7e) == 448);          /* the largest */
  assert_true(fp8_value(ELLM_F8_E4M3, 0xfe) == -448);
  assert_true(isnan(fp8_value(ELLM_F8_E4M3, 0x7f)));
  assert_true(isnan(fp8_value(ELLM_F8_E4M3, 0xff)));
  assert_true(fp8_value(ELLM_F8_E5M2, 0x3c) == 1);
  assert_true(fp8_value(ELLM_F8_E5M2, 0x7b) == 57344);
  assert_true(isinf(fp8_value(ELLM_F8_E5M2, 0xfc)));
}

static void test_scales(void **state) {
  (void)state;
  put_config("{}");
  put_matrix("F8_E4M3", "m.weight_scale_inv", "[1,1]", 1);
  check_matrix(ELLM_F8_E4M3, ROWS, COLUMNS);
  put_matrix("F8_E4M3", "m.weight_scale", "[]", 1);
  check_matrix(ELLM_F8_E4M3, ROWS, COLUMNS);
  put_matrix("F8_E5M2", "m.weight_scale", "[3,1]", 3);
  check_matrix(ELLM_F8_E5M2, 1, COLUMNS);
  put_matrix("F8_E4M3", "m.weight_scale", "[3]", 3);
  check_matrix(ELLM_F8_E4M3, 1, COLUMNS);
  put_config("{\"quantization_config\": {\"weight_block_size\": [2, 2]}}");
  put_matrix("F8_E4M3", "m.weight_scale_inv", "[2,3]", 6);
  check_matrix(ELLM_F8_E4M3, 2, 2);
  put_config("{\"quantization_config\": {\"weight_block_size\": [1, 4]}}");
  put_matrix("F8_E4M3", "m.weight_scale_inv", "[3,2]", 6);
  check_matrix(ELLM_F8_E4M3, 1, 4);
}

/* Without a scale of a shape that fits, both stay what they are. */
static void test_no_fit(void **state) {
  (void)state;
  static const char *const shapes[] = {"[2,2]", "[5]", "[1,5]", "[2]", "[0]"};
  static const size_t counts[] = {4, 5, 5, 2, 0};
  put_config("{\"quantization_config\": {\"weight_block_size\": [0, -1]}}"); /* makes no sense: 128 x 128 */
  for (size_t i = 0; i < 5; i++) {
    put_matrix("F8_E4M3", "m.weight_scale_inv", shapes[i], counts[i]);
    tensor_source *s = open_source();
    assert_int_equal(source_count(s), 2);
    assert_int_equal(source_find(s, "m.weight")->dtype, ELLM_F8_E4M3);
    source_close(s);
  }
  put_matrix("F8_E4M3", "m.scale", "[1]", 1);
  tensor_source *s = open_source();
  assert_int_equal(source_find(s, "m.weight")->dtype, ELLM_F8_E4M3);
  source_close(s);
  put_matrix("U8", "m.weight_scale", "[1]", 1); /* not FP8 */
  s = open_source();
  assert_int_equal(source_find(s, "m.weight")->dtype, ELLM_U8);
  source_close(s);
}

static int set_up(void **state) {
  (void)state;
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  unlink(in_folder("model.safetensors"));
  unlink(in_folder("config.json"));
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_scales),
                                     cmocka_unit_test(test_no_fit)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
