/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold whatever happens: a run killed at any moment can be continued to
 * the same bytes, an output never looks whole when it is not, and memory does not
 * grow with the model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "coder/coder.h"
#include "container/container.h"
#include "container/hash.h"
#include "convert/checkpoints.h"
#include "sanitized.h"

static char folder[] = "/tmp/ellm-limits-XXXXXX";
static char source[64], out[64], whole[64];
static ellm_error err;

static int setup(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(source, sizeof source, "%s/source", folder);
  snprintf(out, sizeof out, "%s/out.ellm", folder);
  snprintf(whole, sizeof whole, "%s/whole.ellm", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  remove_folder(folder);
  return 0;
}

static void must(ellm_status status) {
  if (status != ELLM_OK) fail_msg("%s", err.message);
}

/* Run in a child; its status. 0: not limited in time, else killed after that many microseconds (-1 then). */
static int in_child(int (*work)(void), long microseconds, long *max_kilobytes) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(work());
  if (microseconds > 0) {
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
  }
  int status;
  struct rusage usage;
  assert_int_equal(wait4(child, &status, 0, &usage), child);
  if (max_kilobytes != NULL) *max_kilobytes = usage.ru_maxrss;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ------------------------------------------------------------------ killing */

static int compress_resume(void) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.threads = 2;
  options.resume = options.overwrite = true;
  return (int)ellm_compress(source, out, &options, NULL, NULL);
}

static int compress_over(void) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.threads = 2;
  options.overwrite = true;
  return (int)ellm_compress(source, out, &options, NULL, NULL);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_killed(void **state) {
  (void)state;
  static const made_tensor tensors[] = {{"model.embed.weight", ELLM_BF16, 2, {1000, 300}, 1, 0},
                                        {"a", ELLM_F32, 2, {200, 700}, 1, 0},
                                        {"b", ELLM_F16, 1, {70, 0}, 1, 0},
                                        {"c", ELLM_F32, 2, {21, 22}, 1, 0},
                                        {"d", ELLM_BF16, 2, {700, 1300}, 1, 0}};
  write_safetensors(source, tensors, 5, NULL);
  write_text(source, "config.json", "{}");
  must(ellm_compress(source, whole, NULL, NULL, &err));
  double start = seconds();
  assert_int_equal(in_child(compress_resume, 0, NULL), 0);
  long took = (long)(1e6 * (seconds() - start));
  unsigned killed = 0;
  /* From the start, killed ever later; on a busy machine the one run that was timed may have been a slow one. */
  for (int step = 1; step <= 12 || (killed <= 6 && step <= 120); step++) {
    unlink(out);
    for (int again = 0; again < 40; again++) {
      int status = in_child(compress_resume, again < 3 ? 1 + took * (step % 12 + 1) / 12 : 0, NULL);
      ellm_file *file;
      if (status == 0) {
        if (again == 0) took = took * 3 / 4;
        break;
      }
      assert_int_equal(status, -1);
      killed++;
      if (file_exists(out)) { /* killed after the rename */
        must(ellm_file_open(out, &file, &err));
        ellm_file_close(file);
      }
    }
    assert_true(same_files(out, whole));
  }
  assert_true(killed > 6);
  assert_int_equal(count_entries(folder), 3);
  /* Without --resume the old file stays until the new one is whole. */
  for (int step = 1; step <= 6; step++) {
    in_child(compress_over, 1 + took * step / 6, NULL);
    assert_true(same_files(out, whole));
  }
  assert_int_equal(in_child(compress_over, 0, NULL), 0);
  assert_true(same_files(out, whole));
  assert_int_equal(count_entries(folder), 3);
  unlink(out);
  unlink(whole);
  remove_folder(source);
}

/* ------------------------------------------------------------------- memory */

/* A matrix of `rows` x 2048 weights, the same megabyte over and over. */
static void write_large(ellm_dtype dtype, uint64_t rows) {
  const made_tensor piece = {"piece", dtype, 2, {256, 2048}, 0.02, 0};
  const uint64_t bytes = rows * 2048 * ellm_dtype_size(dtype);
  uint8_t *data;
  size_t size, body = 256 * 2048 * ellm_dtype_size(dtype);
  char path[96], header[256];
  write_safetensors(source, &piece, 1, NULL);
  snprintf(path, sizeof path, "%s/model.safetensors", source);
  must(file_read_all(path, (size_t)1 << 30, &data, &size, &err));
  int length = snprintf(header + 8, sizeof header - 8,
                        "{\"large\":{\"dtype\":\"%s\",\"shape\":[%llu,2048],\"data_offsets\":[0,%llu]}}",
                        ellm_dtype_name(dtype), (unsigned long long)rows, (unsigned long long)bytes);
  store_u64((uint8_t *)header, (uint64_t)length);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fwrite(header, 1, 8 + (size_t)length, f);
  for (uint64_t at = 0; at < bytes; at += body) fwrite(data + size - body, 1, body, f);
  fclose(f);
  free(data);
}

static int decompress_large(void) {
  char back[96];
  snprintf(back, sizeof back, "%s/back", folder);
  return (int)decompress_file(whole, back, -1, true, 2, NULL, NULL);
}

static void test_memory(void **state) {
  (void)state;
  if (SANITIZED) {
    print_message("a sanitizer's own memory grows with use\n");
    skip();
  }
  static const ellm_dtype dtypes[] = {ELLM_BF16, ELLM_F32};
  for (size_t i = 0; i < 2; i++) {
    long small, large;
    write_large(dtypes[i], 2048);
    assert_int_equal(in_child(compress_over, 0, &small), 0);
    write_large(dtypes[i], 16384);
    assert_int_equal(in_child(compress_over, 0, &large), 0);
    print_message("%s: %ld KiB for %d MiB, %ld KiB for %d MiB\n", ellm_dtype_name(dtypes[i]), small, i == 0 ? 8 : 16,
                  large, i == 0 ? 64 : 128);
    assert_true(large < small + 2048);
    assert_true(large < 24 * 1024);
  }
  /* A mapped input counts while it is being read; nothing else may grow. */
  struct stat s;
  long small, large;
  assert_int_equal(rename(out, whole), 0);
  assert_int_equal(stat(whole, &s), 0);
  assert_int_equal(in_child(decompress_large, 0, &large), 0);
  write_large(ELLM_F32, 2048);
  must(ellm_compress(source, out, NULL, NULL, &err));
  assert_int_equal(rename(out, whole), 0);
  assert_int_equal(in_child(decompress_large, 0, &small), 0);
  print_message("decompress: %ld and %ld KiB\n", small, large);
  assert_true(large < small + 2048 + (long)(s.st_size / 1024));
  assert_true(large < 24 * 1024 + (long)(s.st_size / 1024));
}

/* -------------------------------------------------------------------- reading */

/* Bytes that this process has read from files so far; 0 where the system does not say. */
static uint64_t bytes_read(void) {
  unsigned long long bytes = 0;
  FILE *f = fopen("/proc/self/io", "r");
  if (f == NULL) return 0;
  if (fscanf(f, "rchar: %llu", &bytes) != 1) bytes = 0;
  fclose(f);
  return bytes;
}

/* The source is read twice, F32 three times; what is kept is read once. */
static void test_passes(void **state) {
  (void)state;
  static const ellm_dtype dtypes[] = {ELLM_BF16, ELLM_F16, ELLM_F32};
  if (bytes_read() == 0) {
    print_message("the system does not count what is read\n");
    skip();
  }
  for (size_t i = 0; i < 3; i++) {
    for (int ragged = 0; ragged < 2; ragged++) {
      for (int keep = 0; keep < 2; keep++) {
        const made_tensor tensor = {"w", dtypes[i], 2, {2048, (uint64_t)(ragged ? 1023 : 1024)}, 0.02, 0};
        const uint64_t weights = made_elements(&tensor), bytes = weights * ellm_dtype_size(dtypes[i]);
        const char *all[] = {"*"};
        ellm_compress_options options;
        ellm_compress_options_init(&options);
        options.overwrite = true;
        if (keep) {
          options.keep = all;
          options.n_keep = 1;
        }
        write_safetensors(source, &tensor, 1, NULL);
        const uint64_t before = bytes_read();
        must(ellm_compress(source, out, &options, NULL, &err));
        const uint64_t read = bytes_read() - before, passes = keep ? 1 : dtypes[i] == ELLM_F32 ? 3 : 2,
                       scratch = keep ? 0 : (weights + (ragged ? 2048 : 0));
        assert_in_range(read, passes * bytes + scratch, passes * bytes + scratch + 65536);
        if (keep) { /* and verified by reading it once */
          const uint64_t verified = bytes_read();
          must(verify_file(out, source, 2, NULL, NULL, &err));
          assert_in_range(bytes_read() - verified, bytes, bytes + 65536);
        }
      }
    }
  }
}

/* ---------------------------------------------------------------- hostile sizes */

/* A matrix of four thousand million blocks. The part has those of the last row group, the very last one with a wrong
 * checksum if it is `damaged`; or none. */
static ellm_status write_huge(container_writer *writer, const char *name, uint64_t rows, uint64_t columns, bool last,
                              bool damaged) {
  container_tensor tensor = {.name = name,
                             .dtype = ELLM_BF16,
                             .n_dims = 2,
                             .shape = {rows, columns},
                             .n_elements = rows * columns,
                             .storage = CONTAINER_CODED,
                             .columns_record = CONTAINER_NO_COLUMNS,
                             .quant = {.bits = 4, .scheme = ELLM_SCHEME_SYMMETRIC, .scales = {.step = 0.1f, .zero = 8}},
                             .groups = {.some = true}};
  assert_true(coder_geometry_from(&tensor.geometry, rows, columns, 1, 256));
  const uint64_t n = tensor.geometry.n_blocks, groups = tensor.geometry.row_groups, ranges = tensor.geometry.column_ranges;
  assert_in_range(n, UINT64_C(4000000000), UINT32_MAX);
  assert_true(coder_codebook_plain(4, 8, tensor.geometry.panel_rows, &tensor.book));
  if (last) container_groups_add(&tensor.groups, (uint32_t)groups - 1, (uint32_t)groups);
  ELLM_TRY(container_writer_begin_coded(writer, &tensor, &err));
  for (uint64_t i = n - ranges; last && i < n; i++) {
    static uint8_t tiles[CODER_MAX_CODES + CODER_SLACK], data[CODER_MAX_BLOCK_BYTES];
    const coder_block block = coder_geometry_block(&tensor.geometry, i);
    coder_encoder *encoder;
    ELLM_TRY(coder_encoder_create(&encoder, &err));
    const size_t bytes = coder_encode_block(encoder, &tensor.book, &block, tiles, data);
    coder_encoder_free(encoder);
    const uint32_t sum = container_block_checksum(data, bytes);
    ELLM_TRY(container_writer_block(writer, data, bytes, damaged && i + 1 == n ? ~sum : sum, &err));
  }
  return container_writer_end(writer, &err);
}

/* A part that names so many blocks and has fifteen of them is a small file. To verify it takes the time of those. */
static void test_huge_part(void **state) {
  (void)state;
  static const uint32_t shares[] = {1, 1};
  const container_part part = {.number = 1, .n_parts = 2, .shares = shares, .whole = {1}, .whole_bytes = 1};
  const file_writer_options options = {.overwrite = true};
  const uint8_t identity[16] = {1};
  for (int damaged = 0; damaged < 2; damaged++) {
    container_writer *writer;
    ellm_verify_result *result;
    must(container_writer_open(out, &options, &writer, &err));
    must(container_writer_part(writer, &part, &err));
    must(write_huge(writer, "tall", UINT32_MAX, 15 * 256, true, damaged));
    must(write_huge(writer, "wide", 255 * 16, UINT32_MAX, false, false));
    must(container_writer_commit(writer, identity, NULL, &err));
    const clock_t begin = clock();
    assert_int_equal(verify_file(out, NULL, 2, NULL, &result, &err), damaged ? ELLM_ERR_DIFFERENCE : ELLM_OK);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 2);
    assert_int_equal(result->n_problems, damaged);
    if (damaged) assert_non_null(strstr(result->problems[0], "tall: block 4026531839: wrong checksum"));
    ellm_verify_free(result);
  }
  unlink(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed), cmocka_unit_test(test_memory),
                                     cmocka_unit_test(test_passes), cmocka_unit_test(test_huge_part)};
  return cmocka_run_group_tests_name("limits", tests, setup, teardown);
}
