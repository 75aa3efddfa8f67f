/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a GGUF file can lie, and the message that says so. */
#include "gguf_builder.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define HEADER(...) \
  ellm_buffer b = {0}; \
  put_header(&b, __VA_ARGS__)

static void test_header(void **state) {
  (void)state;
  ellm_buffer b = {0};
  refused(&b, "is not a GGUF file");
  put(&b, "GGU", 3);
  refused(&b, "is not a GGUF file");
  put(&b, "GGML\3\0\0\0", 8);
  refused(&b, "is not a GGUF file");
  put(&b, "GGUF", 4);
  refused(&b, "the version: 4 bytes at offset 4 are beyond the end of the file (4 bytes)");
  put_header(&b, 3, 0, 0);
  b.size = 20;
  refused(&b, "the number of keys: 8 bytes at offset 16");
  put_header(&b, 1, 0, 0);
  refused(&b, "GGUF version 1 is not supported, only 2 and 3");
  put_header(&b, 4, 0, 0);
  refused(&b, "GGUF version 4 is not supported");
  put_header(&b, 0, 0, 0);
  refused(&b, "GGUF version 0 is not supported");
  put_header(&b, 0x03000000, 0, 0);
  refused(&b, "a big-endian GGUF file");
  put_header(&b, 0x02000000, 0, 0);
  refused(&b, "a big-endian GGUF file");
}

static void test_counts(void **state) {
  (void)state;
  ellm_buffer b = {0};
  put_header(&b, 3, UINT64_MAX, 0);
  refused(&b, "the number of tensors, 18446744073709551615, is beyond the limit of 262144");
  put_header(&b, 3, 262144, 0);
  refused(&b, "the number of tensors, 262144, is beyond what the file can hold");
  put_header(&b, 3, 0, (uint64_t)1 << 63);
  refused(&b, "the number of keys, 9223372036854775808, is beyond the limit of 65536");
  put_header(&b, 3, 0, 65536);
  refused(&b, "the number of keys, 65536, is beyond what the file can hold");
}

static void test_keys(void **state) {
  (void)state;
  ellm_buffer b = {0};
  put_header(&b, 3, 0, 1);
  put_u64(&b, 0);
  put_data(&b, 1, 20);
  refused(&b, "key number 0 has a name of 0 bytes, 1 to 65535 are expected");
  put_header(&b, 3, 0, 1);
  put_u64(&b, UINT64_MAX);
  put_data(&b, 1, 20);
  refused(&b, "key number 0 has a name of 18446744073709551615 bytes");
  put_header(&b, 3, 0, 1);
  put_u64(&b, 60000);
  put_data(&b, 1, 20);
  refused(&b, "the name of a key: 60000 bytes at offset 32 are beyond the end");
  put_header(&b, 3, 0, 2);
  put_integer(&b, "a", 1);
  put_integer(&b, "b\nc", 1);
  refused(&b, "key number 1 (b?c) has control character 10 in its name");
  put_header(&b, 3, 0, 3);
  put_integer(&b, "twice", 1);
  put_integer(&b, "once", 1);
  put_integer(&b, "twice", 2);
  refused(&b, "key twice occurs twice");
}

static void test_values(void **state) {
  (void)state;
  ellm_buffer b = {0};
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", 13);
  put_u64(&b, 0);
  refused(&b, "key k: value type 13 is not known");
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", GGUF_VALUE_U64);
  put_u32(&b, 0);
  refused(&b, "a value: 8 bytes at offset 37 are beyond the end of the file (41 bytes)");
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", GGUF_VALUE_BOOL);
  put_u8(&b, 2);
  refused(&b, "key k: a boolean is 2, 0 or 1 is expected");
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", GGUF_VALUE_STRING);
  put_u64(&b, (uint64_t)1 << 30);
  refused(&b, "key k: a string of 1073741824 bytes is beyond the limit of 67108864");
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", GGUF_VALUE_STRING);
  put_u64(&b, UINT64_MAX - 8);
  refused(&b, "key k: a string of 18446744073709551607 bytes is beyond the limit");
  put_header(&b, 3, 0, 1);
  put_key(&b, "k", GGUF_VALUE_STRING);
  put_u64(&b, 5);
  put(&b, "four", 4);
  refused(&b, "key k: a string of 5 bytes at offset 45 ends beyond the file");
}

/* `depth` arrays of one element each around an empty array of bytes. */
static void put_nested(ellm_buffer *b, int depth) {
  put_key(b, "k", GGUF_VALUE_ARRAY);
  for (int i = 0; i < depth; i++) {
    put_u32(b, GGUF_VALUE_ARRAY);
    put_u64(b, 1);
  }
  put_u32(b, GGUF_VALUE_U8);
  put_u64(b, 0);
}

static void test_array_refused(void **state) {
  (void)state;
  ellm_buffer b = {0};
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", 99, 1);
  refused(&b, "key k: value type 99 is not known");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_U8, UINT64_MAX);
  refused(&b, "key k: an array of 18446744073709551615 elements ends beyond the file");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_U64, ((uint64_t)1 << 61) + 1); /* times 8 is 8 */
  put_u64(&b, 0);
  refused(&b, "key k: an array of 2305843009213693953 elements ends beyond the file");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_STRING, 2);
  put_string(&b, "one");
  refused(&b, "key k: an array of 2 elements ends beyond the file");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_STRING, 2);
  put_string(&b, "a longer one");
  refused(&b, "the length of a string: 8 bytes at offset 69 are beyond the end");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_BOOL, 3);
  put(&b, "\0\1\7", 3);
  refused(&b, "key k: a boolean is 7");
  put_header(&b, 3, 0, 1);
  put_nested(&b, GGUF_MAX_NESTING);
  refused(&b, "key k: arrays are nested deeper than 4");
  put_header(&b, 3, 0, 1);
  put_array(&b, "k", GGUF_VALUE_ARRAY, 1000); /* a promise of arrays that are not there */
  put_data(&b, 1, 500);
  refused(&b, "key k: an array of 1000 elements ends beyond the file");
}

static void test_nesting(void **state) {
  (void)state;
  HEADER(3, 0, 1);
  gguf_file *file;
  uint8_t *copy;
  const gguf_value *array;
  ellm_error err = {0};
  put_nested(&b, GGUF_MAX_NESTING - 1);
  if (open_copy(&b, &copy, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(gguf_get_array(gguf_metadata_of(file), "k", GGUF_VALUE_ARRAY, &array, &err), ELLM_OK);
  assert_int_equal(array->n, 1);
  gguf_close(file);
  free(copy);
  ellm_buffer_free(&b);
}

static void test_alignment(void **state) {
  (void)state;
  static const uint32_t wrong[] = {0, 3, 48, 0xffffffff};
  for (size_t i = 0; i < 4; i++) {
    char message[100];
    HEADER(3, 0, 1);
    put_integer(&b, "general.alignment", wrong[i]);
    snprintf(message, sizeof message, "key general.alignment is %u, a power of two is expected", (unsigned)wrong[i]);
    refused(&b, message);
  }
  HEADER(3, 0, 1);
  put_key(&b, "general.alignment", GGUF_VALUE_STRING);
  put_string(&b, "32");
  refused(&b, "key general.alignment is a string, an integer is expected");
  put_header(&b, 3, 0, 1);
  put_key(&b, "general.alignment", GGUF_VALUE_U64);
  put_u64(&b, (uint64_t)1 << 32);
  refused(&b, "key general.alignment is 4294967296, 0 to 4294967295 is expected");
  put_header(&b, 3, 1, 1); /* the data would begin far behind the file */
  put_integer(&b, "general.alignment", (uint32_t)1 << 31);
  put_tensor(&b, "t", 1, 1, GGUF_F32, 0);
  put_data(&b, 32, 64);
  refused(&b, "tensor t: 4 bytes at offset 0 are not within the data of 0");
}

/* A file of one tensor with 64 bytes of data. */
static void refused_tensor(uint64_t columns, uint64_t rows, uint32_t type, uint64_t offset, const char *part) {
  HEADER(3, 1, 0);
  put_tensor(&b, "t", columns, rows, type, offset);
  put_data(&b, 32, 64);
  refused(&b, part);
}

static void test_tensors(void **state) {
  (void)state;
  refused_tensor(4, 0, GGUF_F32, 0, "tensor t: dimension 1 is 0");
  refused_tensor((uint64_t)1 << 33, (uint64_t)1 << 32, GGUF_F32, 0,
                 "tensor t: the number of elements overflows at dimension 1, 4294967296");
  refused_tensor((uint64_t)1 << 32, (uint64_t)1 << 31, GGUF_F32, 0,
                 "tensor t: the bytes of 9223372036854775808 elements of F32 overflow");
  refused_tensor(4, 1, 42, 0, "tensor t: element type 42 is not known");
  refused_tensor(4, 1, UINT32_MAX, 0, "tensor t: element type 4294967295 is not known");
  refused_tensor(32, 1, 31, 0, "tensor t: element type 31 (Q4_0_4_4) was removed from the format");
  refused_tensor(31, 1, GGUF_Q4_0, 0, "tensor t: rows of 31 elements are not whole blocks of 32 (Q4_0)");
  refused_tensor(128, 2, GGUF_Q4_K, 0, "tensor t: rows of 128 elements are not whole blocks of 256 (Q4_K)");
  refused_tensor(4, 1, GGUF_F32, 4, "tensor t: offset 4 is not a multiple of the alignment 32");
  refused_tensor(4, 1, GGUF_F32, 96, "tensor t: 16 bytes at offset 96 are not within the data of 64");
  refused_tensor(9, 1, GGUF_F32, 32, "tensor t: 36 bytes at offset 32 are not within the data of 64");
  refused_tensor(4, 1, GGUF_F32, UINT64_MAX - 31, "tensor t: 16 bytes at offset 18446744073709551584 are not within");
}

static void test_tensor_names(void **state) {
  (void)state;
  ellm_buffer b = {0};
  char name[70];
  memset(name, 'n', sizeof name);
  name[65] = '\0';
  put_header(&b, 3, 1, 0);
  put_tensor(&b, name, 4, 1, GGUF_F32, 0);
  refused(&b, "tensor number 0 has a name of 65 bytes, 1 to 64 are expected");
  put_header(&b, 3, 1, 0);
  put_tensor(&b, "", 4, 1, GGUF_F32, 0);
  put_u64(&b, 0);
  refused(&b, "tensor number 0 has a name of 0 bytes");
  put_header(&b, 3, 1, 0);
  put_tensor(&b, "a\x01", 4, 1, GGUF_F32, 0);
  refused(&b, "tensor number 0 (a?) has control character 1 in its name");
  put_header(&b, 3, 2, 0);
  put_tensor(&b, "a", 4, 1, GGUF_F32, 0);
  put_tensor(&b, "a", 4, 1, GGUF_F32, 32);
  put_data(&b, 32, 64);
  refused(&b, "tensor a occurs twice");
  put_header(&b, 3, 2, 0);
  put_tensor(&b, "a", 9, 1, GGUF_F32, 0);
  put_tensor(&b, "b", 4, 1, GGUF_F32, 32);
  put_data(&b, 32, 64);
  refused(&b, "tensors a and b overlap at offset 32 of the data");
  put_header(&b, 3, 1, 0);
  put_string(&b, "t");
  put_u32(&b, 5);
  put_data(&b, 1, 60);
  refused(&b, "tensor t has 5 dimensions, 1 to 4 are expected");
  put_header(&b, 3, 1, 0);
  put_string(&b, "t");
  put_u32(&b, 0);
  put_data(&b, 1, 60);
  refused(&b, "tensor t has 0 dimensions");
}

/* Every beginning of a good file is refused, and none of them is read past. */
static void test_truncated(void **state) {
  (void)state;
  HEADER(2, 2, 3);
  gguf_file *file;
  uint8_t *copy;
  ellm_error err = {0};
  put_integer(&b, "a", 1);
  put_array(&b, "b", GGUF_VALUE_STRING, 2);
  put_string(&b, "one");
  put_string(&b, "");
  put_key(&b, "c", GGUF_VALUE_F64);
  put_u64(&b, 0);
  put_tensor(&b, "t", 32, 1, GGUF_Q4_0, 0);
  put_tensor(&b, "u", 2, 2, GGUF_F16, 32);
  put_data(&b, 32, 40);
  if (open_copy(&b, &copy, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  gguf_close(file);
  free(copy);
  const size_t whole = b.size;
  for (b.size = 0; b.size < whole; b.size++) {
    assert_int_equal(open_copy(&b, &copy, &file, &err), ELLM_ERR_INPUT);
    free(copy);
  }
  ellm_buffer_free(&b);
}

static void wanted_message(ellm_status status, const ellm_error *err, const char *message) {
  assert_int_equal(status, ELLM_ERR_INPUT);
  assert_string_equal(err->message, message);
}

static void test_asking(void **state) {
  (void)state;
  HEADER(3, 1, 6);
  gguf_file *file;
  uint8_t *copy;
  ellm_error err = {0};
  int64_t integer;
  double number;
  bool boolean;
  gguf_string string;
  const gguf_value *array;
  float floats[300];
  put_integer(&b, "integer", 7);
  put_key(&b, "text", GGUF_VALUE_STRING);
  put_string(&b, "seven");
  put_array(&b, "list", GGUF_VALUE_U8, 2);
  put(&b, "\1\2", 2);
  put_key(&b, "nan", GGUF_VALUE_F32);
  put_u32(&b, 0x7fc00000);
  put_key(&b, "large", GGUF_VALUE_U64);
  put_u64(&b, UINT64_MAX);
  put_key(&b, "least", GGUF_VALUE_I64);
  put_u64(&b, (uint64_t)1 << 63);
  put_tensor(&b, "t", 256, 1, GGUF_IQ2_XXS, 0);
  put_data(&b, 32, 66);
  if (open_copy(&b, &copy, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  const gguf_metadata *m = gguf_metadata_of(file);
  wanted_message(gguf_get_integer(m, "none", 0, 9, &integer, &err), &err, "f.gguf: key none is missing");
  wanted_message(gguf_get_integer(m, "text", 0, 9, &integer, &err), &err,
                 "f.gguf: key text is a string, an integer is expected");
  wanted_message(gguf_get_integer(m, "integer", 8, 9, &integer, &err), &err,
                 "f.gguf: key integer is 7, 8 to 9 is expected");
  wanted_message(gguf_get_integer(m, "large", 0, INT64_MAX, &integer, &err), &err,
                 "f.gguf: key large is 18446744073709551615, 0 to 9223372036854775807 is expected");
  wanted_message(gguf_get_integer(m, "least", 0, 9, &integer, &err), &err,
                 "f.gguf: key least is -9223372036854775808, 0 to 9 is expected");
  wanted_message(gguf_get_number(m, "nan", &number, &err), &err, "f.gguf: key nan is nan, a finite number is expected");
  wanted_message(gguf_get_number(m, "list", &number, &err), &err, "f.gguf: key list is an array, a number is expected");
  wanted_message(gguf_get_bool(m, "integer", &boolean, &err), &err,
                 "f.gguf: key integer is a U32, a boolean is expected");
  wanted_message(gguf_get_string(m, "integer", &string, &err), &err,
                 "f.gguf: key integer is a U32, a string is expected");
  wanted_message(gguf_get_array(m, "integer", GGUF_VALUE_U8, &array, &err), &err,
                 "f.gguf: key integer is a U32, an array is expected");
  wanted_message(gguf_get_array(m, "list", GGUF_VALUE_STRING, &array, &err), &err,
                 "f.gguf: key list: an element of the array is a U8, a string is expected");
  const gguf_tensor *t = gguf_tensor_at(file, 0);
  wanted_message(gguf_tensor_floats(t, 0, 256, floats, &err), &err,
                 "f.gguf: tensor t: element type IQ2_XXS is not supported");
  gguf_close(file);
  free(copy);
  ellm_buffer_free(&b);
}

static void test_beyond_tensor(void **state) {
  (void)state;
  HEADER(3, 1, 0);
  gguf_file *file;
  uint8_t *copy;
  ellm_error err = {0};
  float floats[40];
  put_tensor(&b, "t", 32, 1, GGUF_Q4_0, 0);
  put_data(&b, 32, 18);
  if (open_copy(&b, &copy, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  const gguf_tensor *t = gguf_tensor_find(file, "t");
  assert_int_equal(gguf_tensor_floats(t, 32, 0, floats, &err), ELLM_OK);
  wanted_message(gguf_tensor_floats(t, 1, 32, floats, &err), &err,
                 "f.gguf: tensor t: 32 elements from 1 on are beyond its 32");
  assert_int_equal(gguf_tensor_floats(t, UINT64_MAX, 2, floats, &err), ELLM_ERR_INPUT);
  gguf_close(file);
  free(copy);
  ellm_buffer_free(&b);
}

/* ---- sets ---- */

static void put_split(ellm_buffer *b, uint32_t no, uint32_t count, uint32_t n_tensors, const char *tensor) {
  put_header(b, 3, 1, 3);
  put_integer(b, "split.no", no);
  put_integer(b, "split.count", count);
  put_integer(b, "split.tensors.count", n_tensors);
  put_tensor(b, tensor, 4, 1, GGUF_F32, 0);
  put_data(b, 32, 16);
}

static void save(const char *folder, const char *name, ellm_buffer *b) {
  char *path = path_join(folder, name);
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(b->data, 1, b->size, out), b->size);
  fclose(out);
  free(path);
  ellm_buffer_free(b);
}

static void refused_set(const char *folder, const char *name, const char *part) {
  char *path = path_join(folder, name);
  gguf_file *file;
  ellm_error err = {0};
  assert_int_equal(gguf_open(path, &file, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, part) == NULL) fail_msg("message: %s\nwanted:  %s", err.message, part);
  assert_null(file);
  free(path);
}

static void erase(const char *folder, const char *name) {
  char *path = path_join(folder, name);
  unlink(path);
  free(path);
}

static void test_sets(void **state) {
  (void)state;
  static const char one[] = "m-00001-of-00002.gguf", two[] = "m-00002-of-00002.gguf", other[] = "m.gguf";
  char folder[] = "/tmp/entrollm_gguf_XXXXXX";
  ellm_buffer b = {0};
  assert_non_null(mkdtemp(folder));
  put_split(&b, 0, 2, 2, "a");
  refused(&b, "is the first file of a set of 2: its name must end with -00001-of-00002.gguf");
  put_split(&b, 0, 2, 2, "a");
  save(folder, one, &b);
  refused_set(folder, one, "file 2 of the set of 2 is missing: ");
  put_split(&b, 0, 2, 2, "b");
  save(folder, two, &b);
  refused_set(folder, one, "says that it is file 1 of 2, its name says 2 of 2");
  put_split(&b, 1, 3, 2, "b");
  save(folder, two, &b);
  refused_set(folder, one, "says that it is file 2 of 3, its name says 2 of 2");
  put_header(&b, 3, 0, 0);
  save(folder, two, &b);
  refused_set(folder, one, "says that it is file 1 of 1, its name says 2 of 2");
  put_split(&b, 1, 2, 2, "a");
  save(folder, two, &b);
  refused_set(folder, one, "tensor a occurs twice");
  put_split(&b, 1, 2, 2, "b");
  b.size -= 1;
  save(folder, two, &b);
  refused_set(folder, one, "00002-of-00002.gguf: tensor b: 16 bytes at offset 0 are not within the data of 15");
  put_split(&b, 1, 2, 2, "b");
  save(folder, two, &b);
  refused_set(folder, two, "is file 2 of a set of 2: name the first one (...-00001-of-00002.gguf)");
  put_split(&b, 0, 2, 3, "a");
  save(folder, one, &b);
  refused_set(folder, one, "the set has 2 tensors, split.tensors.count is 3");
  put_split(&b, 2, 2, 3, "a");
  save(folder, other, &b);
  refused_set(folder, other, "key split.no is 2, 0 to 1 is expected");
  erase(folder, one);
  erase(folder, two);
  erase(folder, other);
  assert_int_equal(rmdir(folder), 0);
}

/* 262,144 tokens, as many merges: opening and asking for all of them takes time in proportion to the file only. */
static void test_large_vocabulary(void **state) {
  (void)state;
  HEADER(3, 0, 2);
  enum { TOKENS = 262144 };
  gguf_file *file;
  uint8_t *copy;
  const gguf_value *array;
  ellm_error err = {0};
  gguf_string *strings = calloc(TOKENS, sizeof *strings);
  assert_non_null(strings);
  for (int list = 0; list < 2; list++) {
    put_array(&b, list == 0 ? "tokens" : "merges", GGUF_VALUE_STRING, TOKENS);
    for (int i = 0; i < TOKENS; i++) {
      char text[16];
      snprintf(text, sizeof text, "t%d", i);
      put_string(&b, text);
    }
  }
  const double begin = clock_seconds();
  if (open_copy(&b, &copy, &file, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(gguf_get_array(gguf_metadata_of(file), "tokens", GGUF_VALUE_STRING, &array, &err), ELLM_OK);
  gguf_array_strings(array, strings);
  const double seconds = clock_seconds() - begin;
  print_message("opened in %.1f ms\n", 1e3 * seconds);
  assert_true(seconds < 1);
  assert_int_equal(strings[TOKENS - 1].bytes, 7);
  assert_memory_equal(strings[TOKENS - 1].data, "t262143", 7);
  gguf_close(file);
  free(copy);
  free(strings);
  ellm_buffer_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_header),
      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_array_refused),
      cmocka_unit_test(test_nesting),
      cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_tensor_names),
      cmocka_unit_test(test_truncated),
      cmocka_unit_test(test_asking),
      cmocka_unit_test(test_beyond_tensor),
      cmocka_unit_test(test_sets),
      cmocka_unit_test(test_large_vocabulary),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
