/* SPDX-License-Identifier: Apache-2.0 */
/* One interface over checkpoint folders and .ellm files: what it finds, reads, maps and refuses, and identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "container/container.h"
#include "container/hash.h"
#include "source/identity.h"
#include "source/source.h"

static char folder[] = "/tmp/ellm-source-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put(const char *name, const void *data, size_t bytes) {
  FILE *f = fopen(in_folder(name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  assert_int_equal(fclose(f), 0);
}

/* b: four U8, 10 11 12 13; a: two F32, 1 and 2. In this order. */
static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                             "\"b\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                             "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}";
static const uint8_t elements_b[4] = {10, 11, 12, 13};
static uint8_t elements_a[8];

static void put_weights(void) {
  uint8_t file[512];
  const size_t n = sizeof header - 1;
  store_u64(file, n);
  memcpy(file + 8, header, n);
  store_u32(elements_a, 0x3f800000);
  store_u32(elements_a + 4, 0x40000000);
  memcpy(file + 8 + n, elements_b, 4);
  memcpy(file + 12 + n, elements_a, 8);
  put("model.safetensors", file, 20 + n);
}

static int set_up(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  put_weights();
  put("config.json", "{}", 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  unlink(in_folder("model.safetensors"));
  unlink(in_folder("config.json"));
  unlink(in_folder("x.ellm"));
  return rmdir(folder);
}

static tensor_source *open_source(const char *path) {
  tensor_source *s;
  ellm_error err = {0};
  if (source_open(path, NULL, &s, &err) != ELLM_OK) fail_msg("%s", err.message);
  return s;
}

/* The same tensors in either kind, in the same order. */
static void check_tensors(tensor_source *s, const char *origin) {
  ellm_error err = {0};
  assert_int_equal(source_count(s), 2);
  const source_tensor *b = source_at(s, 0), *a = source_at(s, 1);
  assert_string_equal(b->name, "b");
  assert_ptr_equal(source_find(s, "a"), a);
  assert_ptr_equal(source_find(s, "b"), b);
  assert_null(source_find(s, "c"));
  assert_null(source_find(s, ""));
  assert_int_equal(source_index(s, a), 1);
  assert_int_equal(a->dtype, ELLM_F32);
  assert_int_equal(a->n_dims, 1);
  assert_int_equal(b->n_dims, 2);
  assert_int_equal(b->n_elements, 4);
  assert_int_equal(a->bytes, 8);
  assert_null(a->coded);
  assert_non_null(strstr(source_origin(s, a), origin));

  uint8_t read[8];
  const uint8_t *mapped;
  assert_int_equal(source_read(s, a, 0, read, 8, &err), ELLM_OK);
  assert_memory_equal(read, elements_a, 8);
  assert_int_equal(source_read(s, b, 2, read, 2, &err), ELLM_OK);
  assert_memory_equal(read, elements_b + 2, 2);
  assert_int_equal(source_read(s, b, 4, read, 0, &err), ELLM_OK);
  assert_int_equal(source_read(s, b, 3, read, 2, &err), ELLM_ERR_INTERNAL);
  assert_int_equal(source_read(s, b, UINT64_MAX, read, 2, &err), ELLM_ERR_INTERNAL);
  assert_int_equal(source_map(s, a, &mapped, &err), ELLM_OK);
  assert_memory_equal(mapped, elements_a, 8);

  size_t bytes = 9;
  assert_memory_equal(source_asset(s, "config.json", &bytes), "{}", 2);
  assert_int_equal(bytes, 2);
  assert_null(source_asset(s, "tokenizer.json", &bytes));
  assert_int_equal(source_asset_count(s), 1);
  assert_string_equal(source_asset_name(s, 0), "config.json");
  assert_non_null(strstr(source_metadata(s), "\"pt\""));
  assert_int_equal(source_unchanged(s, &err), ELLM_OK);
}

static void test_folder(void **state) {
  (void)state;
  tensor_source *s = open_source(folder);
  assert_string_equal(source_path(s), folder);
  assert_null(source_file(s));
  check_tensors(s, "/model.safetensors");
  assert_true(source_reads_file(s, in_folder("model.safetensors")));
  assert_false(source_reads_file(s, in_folder("config.json")));
  source_close(s);
}

static void write_file(const char *path, const uint8_t identity[16]) {
  container_writer *w;
  ellm_error err = {0};
  const file_writer_options options = {.overwrite = true};
  container_tensor b = {.name = "b", .dtype = ELLM_U8, .n_dims = 2, .shape = {2, 2}, .n_elements = 4};
  container_tensor a = {.name = "a", .dtype = ELLM_F32, .n_dims = 1, .shape = {2}, .n_elements = 2};
  assert_int_equal(container_writer_open(path, &options, &w, &err), ELLM_OK);
  assert_int_equal(container_writer_asset(w, "config.json", "{}", 2, &err), ELLM_OK);
  assert_int_equal(container_writer_metadata(w, "safetensors.metadata", "{\"format\":\"pt\"}", &err), ELLM_OK);
  assert_int_equal(container_writer_begin_kept(w, &b, &err), ELLM_OK);
  assert_int_equal(container_writer_kept_bytes(w, elements_b, 4, &err), ELLM_OK);
  assert_int_equal(container_writer_end(w, &err), ELLM_OK);
  assert_int_equal(container_writer_begin_kept(w, &a, &err), ELLM_OK);
  assert_int_equal(container_writer_kept_bytes(w, elements_a, 8, &err), ELLM_OK);
  assert_int_equal(container_writer_end(w, &err), ELLM_OK);
  assert_int_equal(container_writer_commit(w, identity, NULL, &err), ELLM_OK);
}

static void test_file(void **state) {
  (void)state;
  char path[600];
  const uint8_t identity[16] = {1, 2, 3};
  snprintf(path, sizeof path, "%s", in_folder("x.ellm"));
  write_file(path, identity);
  for (int load = 0; load < 2; load++) {
    const source_options options = {.load = load};
    tensor_source *s;
    ellm_error err = {0};
    assert_int_equal(source_open(path, &options, &s, &err), ELLM_OK);
    assert_non_null(source_file(s));
    check_tensors(s, "/x.ellm");
    assert_true(source_reads_file(s, path));
    char text[33], source[33], self[33];
    ellm_file_identity(source_file(s), source, self);
    assert_int_equal(source_identity(s, 1, NULL, NULL, text, &err), ELLM_OK);
    assert_string_equal(text, self);
    source_close(s);
  }
}

static bool stop(void *user, const ellm_progress *progress) {
  (void)user;
  assert_string_equal(progress->stage, "identify");
  return false;
}

/* One chunk a tensor: D(data) is the hash of one hash. */
static void digest(const void *data, size_t bytes, uint8_t out[16]) {
  uint8_t sum[8];
  store_u64(sum, hash64(data, bytes));
  hash128(sum, 8, out);
}

static void test_identity(void **state) {
  (void)state;
  uint8_t digests[2][16], identity[16];
  char want[33], text[33];
  ellm_error err = {0};
  tensor_source *s = open_source(folder);
  digest(elements_b, 4, digests[0]);
  digest(elements_a, 8, digests[1]);
  assert_int_equal(source_identity_of(s, digests, identity, &err), ELLM_OK);
  hash_hex(identity, want);
  assert_int_equal(source_identity(s, 1, stop, NULL, text, &err), ELLM_INTERRUPTED);
  for (int threads = 1; threads < 4; threads++) {
    assert_int_equal(source_identity(s, threads, NULL, NULL, text, &err), ELLM_OK);
    assert_string_equal(text, want);
    source_close(s);
    s = open_source(folder);
  }
  source_close(s);
  put("config.json", "{ }", 3); /* it counts */
  s = open_source(folder);
  assert_int_equal(source_identity(s, 0, NULL, NULL, text, &err), ELLM_OK);
  assert_string_not_equal(text, want);
  source_close(s);
  put("config.json", "{}", 2);
}

static void test_state(void **state) {
  (void)state;
  ellm_buffer before = {0}, after = {0};
  ellm_error err = {0};
  tensor_source *s = open_source(folder);
  assert_true(source_state(s, &before));
  usleep(20000);
  put_weights(); /* the same bytes, but written */
  assert_int_equal(source_unchanged(s, &err), ELLM_ERR_INPUT);
  source_close(s);
  s = open_source(folder);
  assert_true(source_state(s, &after));
  assert_true(before.size > 0 && after.size > 0);
  assert_true(before.size != after.size || memcmp(before.data, after.data, before.size) != 0);
  source_close(s);
  ellm_buffer_free(&before);
  ellm_buffer_free(&after);
}

static void test_refused(void **state) {
  (void)state;
  tensor_source *s;
  ellm_error err = {0};
  assert_int_equal(source_open("/nonexistent", NULL, &s, &err), ELLM_ERR_IO);
  assert_null(s);
  assert_int_equal(source_open(in_folder("config.json"), NULL, &s, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "config.json"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_folder), cmocka_unit_test(test_file),
                                     cmocka_unit_test(test_identity), cmocka_unit_test(test_state),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
