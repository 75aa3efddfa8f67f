/* SPDX-License-Identifier: Apache-2.0 */
/* Sections that one writer takes over from another: the same bytes, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "samples.h"

static char folder[] = "/tmp/entrollm-take-XXXXXX", from_path[64], to_path[64];

typedef struct origin { container_writer *from; uint64_t at; uint64_t damage; } origin; /* damage: at this place; 0: none */

static ellm_status fill(void *user, void *data, size_t bytes, ellm_error *err) {
  origin *o = user;
  assert_true(bytes <= CONTAINER_PIECE);
  const ellm_status status = container_writer_read(o->from, o->at, data, bytes, err);
  if (o->damage >= o->at && o->damage < o->at + bytes) ((uint8_t *)data)[o->damage - o->at] ^= 1;
  o->at += bytes;
  return status;
}

static container_writer *open_writer(const char *path) {
  const file_writer_options options = {.overwrite = true};
  container_writer *writer;
  assert_int_equal(container_writer_open(path, &options, &writer, NULL), ELLM_OK);
  return writer;
}

static void write_matrix(container_writer *writer) {
  uint8_t codes[SAMPLE_ROWS * SAMPLE_COLUMNS];
  sample_codes(codes, sizeof codes, 4, 3);
  assert_int_equal(sample_write_coded(writer, "w", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, codes, ELLM_PREFER_SIZE, NULL), ELLM_OK);
}

/* Takes the last section of `from` over to a new file. */
static ellm_status take(container_writer *from, uint64_t damage, container_writer **to, container_tensor *tensor) {
  size_t bytes;
  const uint8_t *record = container_writer_last_record(from, &bytes);
  origin o = {from, load_u64(record + 16), damage};
  *to = open_writer(to_path);
  return container_writer_take(*to, record, bytes, fill, &o, tensor, NULL);
}

static void test_same_bytes(void **state) {
  (void)state;
  static const uint8_t identity[16];
  container_writer *from = open_writer(from_path), *to;
  container_tensor tensor;
  uint8_t *a, *b;
  size_t a_bytes, b_bytes;
  write_matrix(from);
  assert_int_equal(take(from, 0, &to, &tensor), ELLM_OK);
  assert_string_equal(tensor.name, "w");
  assert_int_equal(container_writer_commit(from, identity, NULL, NULL), ELLM_OK);
  assert_int_equal(container_writer_commit(to, identity, NULL, NULL), ELLM_OK);
  assert_int_equal(file_read_all(from_path, 1 << 20, &a, &a_bytes, NULL), ELLM_OK);
  assert_int_equal(file_read_all(to_path, 1 << 20, &b, &b_bytes, NULL), ELLM_OK);
  assert_int_equal(a_bytes, b_bytes);
  assert_memory_equal(a, b, a_bytes);
  free(a);
  free(b);
}

/* A bit that changes on the way is found, in head and blocks; what is no tensor is not taken. */
static void test_refused(void **state) {
  (void)state;
  container_writer *from = open_writer(from_path), *to;
  container_tensor tensor;
  write_matrix(from);
  size_t bytes;
  const uint8_t *record = container_writer_last_record(from, &bytes);
  const uint64_t begin = load_u64(record + 16), used = load_u64(record + 32) + load_u64(record + 72);
  for (uint64_t i = 0; i < used; i += 7) {
    assert_int_equal(take(from, begin + i, &to, &tensor), ELLM_ERR_INPUT);
    container_writer_abort(to);
  }
  assert_int_equal(container_writer_metadata(from, "key", "value", NULL), ELLM_OK);
  assert_int_equal(take(from, 0, &to, &tensor), ELLM_ERR_INPUT);
  container_writer_abort(to);
  assert_int_equal(container_writer_asset(from, "config.json", "{}", 2, NULL), ELLM_OK);
  assert_int_equal(take(from, 0, &to, &tensor), ELLM_ERR_INPUT);
  container_writer_abort(to);
  container_writer_abort(from);
}

static int make_folder(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(from_path, sizeof from_path, "%s/from.ellm", folder);
  snprintf(to_path, sizeof to_path, "%s/to.ellm", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  unlink(from_path);
  unlink(to_path);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests_name("sections taken over", tests, make_folder, remove_folder);
}
