/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a safetensors file: what is read from a good one, and every way in which one can lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/safetensors.h"

#define F32(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

/* Parse the text as the header of a file with `data_bytes` bytes of data. The
 * text lies in a heap block of its size: reading past it is seen by ASan. */
static ellm_status parse_n(const char *json, size_t n, uint64_t data_bytes, safetensors_header *header,
                           ellm_error *err) {
  char *copy = malloc(n + 1);
  assert_non_null(copy);
  memcpy(copy, json, n);
  char *exact = realloc(copy, n > 0 ? n : 1);
  assert_non_null(exact);
  const ellm_status status = safetensors_parse(exact, n, 8 + n + data_bytes, "f.safetensors", header, err);
  free(exact);
  return status;
}

static ellm_status parse(const char *json, uint64_t data_bytes, safetensors_header *header, ellm_error *err) {
  return parse_n(json, strlen(json), data_bytes, header, err);
}

static void refused(const char *json, uint64_t data_bytes, const char *part) {
  safetensors_header header;
  ellm_error err = {0};
  if (parse(json, data_bytes, &header, &err) != ELLM_ERR_INPUT) fail_msg("not refused: %s", json);
  if (strncmp(err.message, "f.safetensors: ", 15) != 0 || strstr(err.message, part) == NULL) {
    fail_msg("%s\nmessage: %s\nwanted:  %s", json, err.message, part);
  }
  assert_null(header.tensors);
  assert_int_equal(header.n_tensors, 0);
}

static void test_good(void **state) {
  (void)state;
  safetensors_header h;
  ellm_error err = {0};
  const char *json =
      "{\"__metadata__\":{\"format\":\"pt\",\"a\":\"\\u00e9\"},"
      "\"last\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[17,29]},"
      "\"first\":{\"dtype\":\"F64\",\"shape\":[1,1,2],\"data_offsets\":[0,16]},"
      "\"scalar\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[16,17]},"
      "\"empty\":{\"dtype\":\"I64\",\"shape\":[5,0,7],\"data_offsets\":[17,17]}}   ";
  if (parse(json, 29, &h, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(h.n_tensors, 4);
  static const char *const names[] = {"first", "scalar", "empty", "last"};
  static const uint64_t elements[] = {2, 1, 0, 6}, bytes[] = {16, 1, 0, 12}, offsets[] = {0, 16, 17, 17};
  static const int dims[] = {3, 0, 3, 2};
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(h.tensors[i].name, names[i]);
    assert_int_equal(h.tensors[i].n_elements, elements[i]);
    assert_int_equal(h.tensors[i].bytes, bytes[i]);
    assert_int_equal(h.tensors[i].offset, offsets[i]);
    assert_int_equal(h.tensors[i].n_dims, dims[i]);
  }
  assert_int_equal(h.tensors[0].dtype, ELLM_F64);
  assert_int_equal(h.tensors[3].shape[0], 2);
  assert_int_equal(h.tensors[3].shape[1], 3);
  assert_non_null(h.metadata);
  assert_non_null(strstr(h.metadata, "\"format\":\"pt\""));
  safetensors_free(&h);
  assert_null(h.tensors);
}

static void test_no_tensors(void **state) {
  (void)state;
  safetensors_header h;
  ellm_error err = {0};
  assert_int_equal(parse("{}", 0, &h, &err), ELLM_OK);
  assert_int_equal(h.n_tensors, 0);
  assert_null(h.metadata);
  safetensors_free(&h);
  refused("{}", 1, "0 of 1 bytes");
}

static void test_dtypes(void **state) {
  (void)state;
  static const struct {
    const char *name;
    ellm_dtype dtype;
    unsigned size;
  } types[] = {
      {"F32", ELLM_F32, 4},   {"F16", ELLM_F16, 2},         {"BF16", ELLM_BF16, 2},       {"F64", ELLM_F64, 8},
      {"I8", ELLM_I8, 1},     {"U8", ELLM_U8, 1},           {"I16", ELLM_I16, 2},         {"U16", ELLM_U16, 2},
      {"I32", ELLM_I32, 4},   {"U32", ELLM_U32, 4},         {"I64", ELLM_I64, 8},         {"U64", ELLM_U64, 8},
      {"BOOL", ELLM_BOOL, 1}, {"F8_E4M3", ELLM_F8_E4M3, 1}, {"F8_E5M2", ELLM_F8_E5M2, 1},
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    char json[200];
    safetensors_header h;
    ellm_error err = {0};
    snprintf(json, sizeof json, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%u]}}", types[i].name,
             3 * types[i].size);
    if (parse(json, 3 * types[i].size, &h, &err) != ELLM_OK) fail_msg("%s", err.message);
    assert_int_equal(h.tensors[0].dtype, types[i].dtype);
    safetensors_free(&h);
    /* one byte too many */
    snprintf(json, sizeof json, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%u]}}", types[i].name,
             3 * types[i].size + 1);
    refused(json, 3 * types[i].size + 1, "tensor t: data_offsets span");
  }
  refused("{\"t\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, "tensor t: dtype F4");
  refused("{\"t\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype f32");
  refused("{\"t\":{\"dtype\":\"?\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype ?");
  refused("{\"t\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor t: dtype is 7");
  refused("{\"t\":{\"dtype\":null,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor t: dtype is null");
  refused("{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor t: dtype is missing");
}

static void test_layout(void **state) {
  (void)state;
  refused("{\"a\":" F32("1", "0", "4") ",\"b\":" F32("1", "8", "12") "}", 12,
          "tensor b: data_offsets begin at 8, leaving a hole");
  refused("{\"a\":" F32("1", "4", "8") "}", 8, "tensor a: data_offsets begin at 4, leaving a hole");
  refused("{\"a\":" F32("2", "0", "8") ",\"b\":" F32("1", "4", "8") "}", 8,
          "tensor b: data_offsets begin at 4, overlapping");
  refused("{\"a\":" F32("1", "0", "4") ",\"b\":" F32("1", "0", "4") "}", 4, "overlapping");
  refused("{\"a\":" F32("1", "0", "4") "}", 5, "cover 4 of 5 bytes");
  refused("{\"a\":" F32("1", "0", "4") "}", 3, "are not within the data of 3 bytes");
  refused("{\"a\":" F32("0", "4", "4") ",\"b\":" F32("2", "0", "8") "}", 8,
          "overlapping"); /* an empty tensor inside another */
}

static void test_offsets(void **state) {
  (void)state;
  refused("{\"a\":" F32("1", "4", "0") "}", 4, "data_offsets");
  refused("{\"a\":" F32("1", "-4", "0") "}", 4, "data_offsets");
  refused("{\"a\":" F32("1", "0", "9223372036854775807") "}", 4, "data_offsets");
  refused("{\"a\":" F32("1", "0", "18446744073709551620") "}", 4, "JSON");
  refused("{\"a\":" F32("1", "0", "4.0") "}", 4, "tensor a: data_offsets is [0,4.0], a pair");
  refused("{\"a\":" F32("1", "0", "\"4\"") "}", 4, "tensor a: data_offsets is [0,\"4\"], a pair");
  refused("{\"a\":" F32("1", "0,4", "4") "}", 4, "tensor a: data_offsets is [0,4,4], a pair");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "tensor a: data_offsets is [0], a pair");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor a: data_offsets is missing, a pair");
}

static void test_shapes(void **state) {
  (void)state;
  refused("{\"a\":" F32("2", "0", "4") "}", 4, "want 8");
  refused("{\"a\":" F32("4294967296,4294967296", "0", "0") "}", 0, "shape overflows at shape[1] = 4294967296");
  refused("{\"a\":" F32("0,4294967296,4294967296,2", "0", "0") ",\"b\":" F32("4294967296,4294967296", "0", "0") "}", 0,
          "overflow");
  refused("{\"a\":" F32("4611686018427387904", "0", "0") "}", 0, "4611686018427387904 elements of F32 overflow");
  refused("{\"a\":" F32("9223372036854775807,2", "0", "4") "}", 4, "18446744073709551614 elements of F32");
  refused("{\"a\":" F32("9223372036854775808", "0", "4") "}", 4, "JSON");
  refused("{\"a\":" F32("-1,-1", "0", "4") "}", 4, "shape[0]");
  refused("{\"a\":" F32("1.5", "0", "4") "}", 4, "shape[0]");
  refused("{\"a\":" F32("1,true", "0", "4") "}", 4, "shape[1]");
  refused("{\"a\":" F32("1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, "9 dimensions");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "tensor a: shape is 1, a list");
  refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: shape is missing");
}

static void test_objects(void **state) {
  (void)state;
  refused("", 0, "does not begin with '{'");
  refused("[]", 0, "does not begin with '{'");
  refused(" {}", 0, "does not begin with '{'");
  refused("{", 0, "JSON");
  refused("{}x", 0, "JSON");
  refused("{}{}", 0, "JSON");
  refused("{\"a\":1}", 0, "tensor a: the entry is 1, an object");
  refused("{\"\":" F32("1", "0", "4") "}", 4, "is empty");
  refused("{\"a\":" F32("1", "0", "4") ",\"a\":" F32("1", "4", "8") "}", 8, "JSON");
  refused("{\"a\":" F32("1", "0", "4") ",\"\\u0061\":" F32("1", "4", "8") "}", 8,
          "JSON"); /* the same name, spelt otherwise */
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "JSON");
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[4]}}", 4,
          "tensor a: field strides");
  refused("{\"__metadata__\":[]}", 0, "__metadata__ is [], an object");
  refused("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a is 1, a string");
  refused("{\"a\xff\":" F32("1", "0", "4") "}", 4, "JSON"); /* not UTF-8 */
  refused("{\"a\\u0000b\":" F32("1", "0", "4") "}", 4, "JSON");
  refused("{\"a\\nb\":1}", 0, "tensor a?b"); /* one line stays one line */
}

static void test_nul_bytes(void **state) {
  (void)state;
  safetensors_header h;
  ellm_error err = {0};
  const char json[] = "{}\0{}";
  assert_int_equal(parse_n(json, 5, 0, &h, &err), ELLM_ERR_INPUT);
  assert_int_equal(parse_n(json, 3, 0, &h, &err), ELLM_ERR_INPUT);
}

static void test_deep(void **state) {
  (void)state;
  enum { DEPTH = 1 << 20 };
  char *json = malloc(DEPTH + 6);
  assert_non_null(json);
  memcpy(json, "{\"a\":", 5);
  memset(json + 5, '[', DEPTH);
  json[DEPTH + 5] = '\0';
  refused(json, 0, "JSON");
  for (int i = 0; i + 5 < DEPTH; i += 5) memcpy(json + i, "{\"a\":", 5);
  refused(json, 0, "JSON");
  free(json);
}

/* Tiny values take many times their text: refused before they are made. */
static void test_many_values(void **state) {
  (void)state;
  enum { VALUES = 5 << 20 };
  char *json = malloc(2 * VALUES + 20);
  assert_non_null(json);
  size_t n = (size_t)sprintf(json, "{\"a\":{\"shape\":[0");
  for (size_t i = 0; i < VALUES; i++, n += 2) memcpy(json + n, ",0", 2);
  memcpy(json + n, "]}}", 4);
  refused(json, 0, "JSON values");
  free(json);
}

/* Every text that a good header begins with is refused. */
static void test_truncated(void **state) {
  (void)state;
  const char json[] =
      "{\"__metadata__\":{\"format\":\"pt\"},\"a\":" F32("1", "0", "4") ",\"b\":" F32("2,1", "4", "12") "}";
  for (size_t n = 0; n < sizeof json - 1; n++) {
    safetensors_header h;
    ellm_error err = {0};
    assert_int_equal(parse_n(json, n, 12, &h, &err), ELLM_ERR_INPUT);
  }
}

static void header_bytes(uint64_t length, uint64_t file_bytes, ellm_status want, const char *part) {
  uint8_t first[8];
  size_t bytes = 0;
  ellm_error err = {0};
  store_u64(first, length);
  const ellm_status status = safetensors_header_bytes(first, file_bytes, "f.safetensors", &bytes, &err);
  assert_int_equal(status, want);
  if (want == ELLM_OK) assert_int_equal(bytes, length);
  else if (strstr(err.message, part) == NULL) fail_msg("%s", err.message);
}

static void test_header_length(void **state) {
  (void)state;
  header_bytes(2, 10, ELLM_OK, NULL);
  header_bytes(100000000, 100000008, ELLM_OK, NULL);
  header_bytes(100000001, UINT64_MAX, ELLM_ERR_INPUT, "100000001 is beyond the format's limit");
  header_bytes(UINT64_MAX, UINT64_MAX, ELLM_ERR_INPUT, "18446744073709551615 is beyond");
  header_bytes(UINT64_MAX - 7, 1000, ELLM_ERR_INPUT, "is beyond");
  header_bytes(93, 100, ELLM_ERR_INPUT, "93 is beyond the end of the file");
  header_bytes(92, 100, ELLM_OK, NULL);
  header_bytes(1, 9, ELLM_ERR_INPUT, "too small");
  header_bytes(0, 8, ELLM_ERR_INPUT, "too small");
  header_bytes(2, 4, ELLM_ERR_INPUT, "beyond the end of the file");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),      cmocka_unit_test(test_no_tensors),  cmocka_unit_test(test_dtypes),
      cmocka_unit_test(test_layout),    cmocka_unit_test(test_offsets),     cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_objects),   cmocka_unit_test(test_nul_bytes),   cmocka_unit_test(test_deep),
      cmocka_unit_test(test_truncated), cmocka_unit_test(test_many_values), cmocka_unit_test(test_header_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
