/* SPDX-License-Identifier: Apache-2.0 */
/* Files written by the gguf Python package, and what it makes of their blocks (tools/make_gguf_golden.py). */
#include "gguf_builder.h"

#include <stdio.h>

#include "base/file.h"
#include "golden.h"
#include "gguf/dequantize.h"

static gguf_file *open_golden(const char *name) {
  char path[4096];
  gguf_file *file;
  ellm_error err = {0};
  assert_true(golden_find(name, path, sizeof path) >= 0);
  if (gguf_open(path, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  return file;
}

/* Every type: all elements, bit for bit, in one piece and in pieces that begin and end within blocks. */
static void test_floats(void **state) {
  (void)state;
  gguf_file *file = open_golden("gguf/types.gguf");
  char path[4096];
  uint8_t *golden;
  size_t bytes, at = 0;
  ellm_error err = {0};
  assert_true(golden_find("gguf/types.f32", path, sizeof path) >= 0);
  assert_int_equal(file_read_all(path, 1 << 24, &golden, &bytes, &err), ELLM_OK);
  assert_int_equal(gguf_tensor_count(file), 18);
  for (size_t i = 0; i < gguf_tensor_count(file); i++) {
    const gguf_tensor *t = gguf_tensor_at(file, i);
    const size_t n = (size_t)t->n_elements;
    assert_string_equal(t->name + 2, gguf_type_find(t->type)->name);
    assert_true(gguf_can_dequantize(t->type));
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 2);
    assert_true(at + 4 * n <= bytes);
    float *out = malloc(4 * n);
    assert_non_null(out);
    assert_int_equal(gguf_tensor_floats(t, 0, n, out, &err), ELLM_OK);
    for (size_t e = 0; e < n; e++) {
      if (float_bits(out[e]) != load_u32(golden + at + 4 * e))
        fail_msg("%s, element %zu: %a, wanted %a", t->name, e, (double)out[e],
                 (double)float_from_bits(load_u32(golden + at + 4 * e)));
    }
    memset(out, 0xff, 4 * n);
    for (size_t first = 0, step = 1; first < n; first += step, step = step * 3 % 1000) {
      const size_t some = step < n - first ? step : n - first;
      assert_int_equal(gguf_tensor_floats(t, first, some, out + first, &err), ELLM_OK);
    }
    assert_memory_equal(out, golden + at, 4 * n);
    free(out);
    at += 4 * n;
  }
  assert_int_equal(at, bytes);
  free(golden);
  gguf_close(file);
}

static void wanted_string(const gguf_string *string, const char *wanted) {
  assert_int_equal(string->bytes, strlen(wanted));
  assert_memory_equal(string->data, wanted, string->bytes);
}

static int64_t integer(const gguf_metadata *m, const char *key) {
  int64_t out = 0;
  ellm_error err = {0};
  if (gguf_get_integer(m, key, INT64_MIN, INT64_MAX, &out, &err) != ELLM_OK) fail_msg("%s", err.message);
  return out;
}

static double number(const gguf_metadata *m, const char *key) {
  double out = 0;
  ellm_error err = {0};
  if (gguf_get_number(m, key, &out, &err) != ELLM_OK) fail_msg("%s", err.message);
  return out;
}

static void test_values(void **state) {
  (void)state;
  gguf_file *file = open_golden("gguf/types.gguf");
  const gguf_metadata *m = gguf_metadata_of(file);
  ellm_error err = {0};
  assert_int_equal(integer(m, "u8"), 200);
  assert_int_equal(integer(m, "i8"), -100);
  assert_int_equal(integer(m, "u16"), 60000);
  assert_int_equal(integer(m, "i16"), -30000);
  assert_int_equal(integer(m, "u32"), 4000000000);
  assert_int_equal(integer(m, "i32"), -2000000000);
  assert_true(integer(m, "i64") == INT64_MIN);
  assert_int_equal(integer(m, "general.alignment"), 64);
  assert_true(number(m, "u64") == 18446744073709551616.0);
  assert_true(number(m, "f32") == (double)0.1f);
  assert_true(number(m, "f64") == 0.1);
  assert_true(number(m, "i8") == -100);
  bool yes = false, no = true;
  assert_int_equal(gguf_get_bool(m, "yes", &yes, &err), ELLM_OK);
  assert_int_equal(gguf_get_bool(m, "no", &no, &err), ELLM_OK);
  assert_true(yes && !no);
  gguf_string string;
  assert_int_equal(gguf_get_string(m, "string", &string, &err), ELLM_OK);
  wanted_string(&string, "Z\xc3\xbcrich");
  gguf_close(file);
}

static void test_arrays(void **state) {
  (void)state;
  gguf_file *file = open_golden("gguf/types.gguf");
  const gguf_metadata *m = gguf_metadata_of(file);
  const gguf_value *array;
  ellm_error err = {0};
  gguf_string strings[4];
  assert_int_equal(gguf_get_array(m, "strings", GGUF_VALUE_STRING, &array, &err), ELLM_OK);
  assert_int_equal(array->n, 4);
  gguf_array_strings(array, strings);
  wanted_string(&strings[0], "one");
  wanted_string(&strings[1], "");
  wanted_string(&strings[2], "drei\xc3\x9fig");
  assert_int_equal(strings[3].bytes, 300);
  assert_int_equal(strings[3].data[299], 'x');
  assert_int_equal(gguf_get_array(m, "integers", GGUF_VALUE_I32, &array, &err), ELLM_OK);
  assert_int_equal(array->n, 3);
  assert_int_equal(gguf_array_integer(array, 1), -2);
  assert_true(gguf_array_number(array, 2) == 3);
  assert_int_equal(gguf_get_array(m, "floats", GGUF_VALUE_F32, &array, &err), ELLM_OK);
  assert_true(gguf_array_number(array, 1) == -1.5);
  assert_int_equal(gguf_get_array(m, "bools", GGUF_VALUE_BOOL, &array, &err), ELLM_OK);
  assert_int_equal(array->n, 3);
  gguf_close(file);
}

static void test_set(void **state) {
  (void)state;
  gguf_file *file = open_golden("gguf/set-00001-of-00003.gguf");
  ellm_error err = {0};
  gguf_string name;
  assert_int_equal(gguf_file_count(file), 3);
  assert_non_null(strstr(gguf_file_path(file, 2), "set-00003-of-00003.gguf"));
  assert_int_equal(gguf_tensor_count(file), 5);
  assert_int_equal(gguf_get_string(gguf_metadata_of(file), "general.name", &name, &err), ELLM_OK);
  wanted_string(&name, "a set");
  for (int i = 0; i < 5; i++) {
    char text[32];
    float out[16];
    snprintf(text, sizeof text, "part.%d", i);
    const gguf_tensor *t = gguf_tensor_find(file, text);
    assert_non_null(t);
    assert_ptr_equal(t, gguf_tensor_at(file, (size_t)i));
    assert_int_equal(t->shape[1], 4 + i);
    assert_int_equal(gguf_tensor_floats(t, 0, (size_t)t->n_elements, out, &err), ELLM_OK);
    for (size_t e = 0; e < t->n_elements; e++) assert_true(out[e] == (float)i);
  }
  assert_null(gguf_tensor_find(file, "part.5"));
  gguf_close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_floats),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_arrays),
      cmocka_unit_test(test_set),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
