/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing without loss: every bit comes back, whatever it is; the same bytes on any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "container/container.h"
#include "convert/checkpoints.h"

static const made_tensor zoo[] = {
    {"embedding", ELLM_BF16, 2, {301, 64}, 0.02, 0},
    {"norm", ELLM_BF16, 1, {64, 0}, 0.1, 1},
    {"one", ELLM_F32, 2, {1, 1}, 0.5, 0},
    {"wide", ELLM_F32, 2, {2, 70001}, 0.5, 0},
    {"tall", ELLM_F16, 2, {50003, 3}, 0.5, 0},
    {"odd", ELLM_BF16, 2, {117, 21}, 1, 0},
    {"special", ELLM_BF16, 2, {100, 52}, 0.1, 0},
    {"special.half", ELLM_F16, 2, {133, 1030}, 0.1, 0},
    {"special.single", ELLM_F32, 2, {133, 1030}, 0.1, 0},
    {"zeros", ELLM_BF16, 2, {200, 36}, 0, 0},
    {"widened", ELLM_F32, 2, {148, 116}, 0.3, 0},
    {"noise", ELLM_BF16, 2, {64, 64}, 1, 0},
    {"empty", ELLM_F32, 2, {0, 16}, 0, 0},
    {"scalar", ELLM_F32, 0, {0}, 1, 0},
    {"ids", ELLM_I64, 2, {3, 5}, 0, 0},
    {"single", ELLM_F32, 2, {500, 1100}, 0.02, 0},
    {"big", ELLM_BF16, 2, {500, 1100}, 0.02, 0},
};
enum { ZOO = sizeof zoo / sizeof *zoo };

static char folder[] = "/tmp/ellm-lossless-XXXXXX", source[64], out[64], other[64], back[64];
static ellm_error err;

/* NaN of several kinds, infinities, -0, subnormals; numbers of 16 bits in 32; bits that no code makes smaller. */
static void poke(const made_tensor *t, uint8_t *data) {
  static const uint32_t special[] = {0x7fc00000, 0x7f812345, 0xffffffff, 0x7f800000, 0xff800000,
                                     0x80000000, 0x00012345, 0x80010000, 0x00000000, 0x7bff0000};
  const size_t n = (size_t)made_elements(t);
  uint32_t state = 1;
  for (size_t i = 0; strncmp(t->name, "special", 7) == 0 && i < n; i += 7) {
    const uint32_t bits = special[i / 7 % 10];
    if (t->dtype == ELLM_F32) store_u32(data + 4 * i, bits);
    else store_u16(data + 2 * i, (uint16_t)(bits >> 16));
  }
  for (size_t i = 0; strcmp(t->name, "widened") == 0 && i < n; i++) store_u16(data + 4 * i, 0);
  for (size_t i = 0; strcmp(t->name, "noise") == 0 && i < n; i++) {
    state = state * 1664525 + 1013904223;
    store_u16(data + 2 * i, (uint16_t)(state >> 16));
  }
}

static int setup(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(source, sizeof source, "%s/source", folder);
  snprintf(out, sizeof out, "%s/out.ellm", folder);
  snprintf(other, sizeof other, "%s/other.ellm", folder);
  snprintf(back, sizeof back, "%s/back", folder);
  write_safetensors(source, zoo, ZOO, poke);
  write_text(source, "config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
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

static ellm_compress_options options_of(int threads) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.threads = threads;
  options.lossless = true;
  options.overwrite = true;
  return options;
}

/* All tensors of both folders, byte for byte. */
static void check_same(const char *a, const char *b) {
  checkpoint *x, *y;
  must(checkpoint_open(a, &(checkpoint_options){0}, &x, &err));
  must(checkpoint_open(b, &(checkpoint_options){0}, &y, &err));
  assert_int_equal(checkpoint_tensor_count(x), checkpoint_tensor_count(y));
  for (size_t i = 0; i < checkpoint_tensor_count(x); i++) {
    const checkpoint_tensor *t = checkpoint_tensor_at(x, i), *u = checkpoint_find(y, t->name);
    assert_true(u != NULL && u->dtype == t->dtype && u->n_dims == t->n_dims && u->n_elements == t->n_elements);
    const size_t bytes = (size_t)t->n_elements * ellm_dtype_size(t->dtype);
    uint8_t *p = malloc(bytes + 1), *q = malloc(bytes + 1);
    must(checkpoint_read(x, t, 0, p, bytes, &err));
    must(checkpoint_read(y, u, 0, q, bytes, &err));
    if (memcmp(p, q, bytes) != 0) fail_msg("%s differs", t->name);
    free(p);
    free(q);
  }
  checkpoint_close(x);
  checkpoint_close(y);
}

static const ellm_tensor_info *info_of(const ellm_report *report, const char *name) {
  for (size_t i = 0; i < report->n_tensors; i++)
    if (strcmp(report->tensors[i].name, name) == 0) return &report->tensors[i];
  fail_msg("no tensor %s", name);
  return NULL;
}

static void test_round_trip(void **state) {
  (void)state;
  static const char *const kept[] = {"norm", "one", "tall", "noise", "empty", "scalar", "ids"}; /* tall: tiles have 4 columns */
  ellm_compress_options options = options_of(2);
  ellm_report *report, *dry;
  must(ellm_compress(source, out, &options, &report, &err));
  for (size_t i = 0; i < report->n_tensors; i++) {
    const ellm_tensor_info *t = &report->tensors[i];
    bool want = false;
    for (size_t k = 0; k < 7; k++) want = want || strcmp(kept[k], t->name) == 0;
    if (t->kept != want || t->exact == want) fail_msg("%s: kept %d, exact %d", t->name, t->kept, t->exact);
  }
  const double sixteen = 2.0 * 500 * 1100;
  assert_true((double)info_of(report, "big")->stored_bytes < 0.69 * sixteen);
  assert_true((double)info_of(report, "single")->stored_bytes < 0.86 * 2 * sixteen);
  assert_true((double)info_of(report, "widened")->stored_bytes < 0.36 * 4 * 148 * 116);
  assert_true(info_of(report, "zeros")->stored_bytes < 1024);
  assert_true(report->totals.coded_bits_per_weight > report->totals.entropy);
  options.dry_run = true;
  must(ellm_compress(source, NULL, &options, &dry, &err));
  assert_int_equal(dry->totals.file_bytes, report->totals.file_bytes);
  ellm_report_free(dry);
  ellm_report_free(report);
  must(verify_file(out, NULL, 2, NULL, NULL, &err));
  must(verify_file(out, source, 2, NULL, NULL, &err));
  must(decompress_file(out, back, -1, false, 2, NULL, &err));
  check_same(source, back);
  remove_folder(back);
}

static void test_same_bytes(void **state) {
  (void)state;
  ellm_compress_options options = options_of(1);
  must(ellm_compress(source, out, &options, NULL, &err));
  for (int threads = 2; threads < 6; threads += 3) {
    options.threads = threads;
    must(ellm_compress(source, other, &options, NULL, &err));
    assert_true(same_files(out, other));
  }
}

/* Elements as floats, in pieces that begin and end anywhere. */
static void test_source(void **state) {
  (void)state;
  ellm_source *coded, *raw;
  must(ellm_source_open(out, &coded, &err));
  must(ellm_source_open(source, &raw, &err));
  for (size_t i = 0; i < ZOO; i++) {
    if (zoo[i].dtype > ELLM_BF16) continue;
    size_t a = 0, b = 0;
    assert_true(ellm_source_find(coded, zoo[i].name, &a) && ellm_source_find(raw, zoo[i].name, &b));
    const size_t n = (size_t)made_elements(&zoo[i]), from = n / 3, count = n - n / 5 - from;
    float *x = malloc((count + 1) * sizeof *x), *y = malloc((count + 1) * sizeof *y);
    must(ellm_source_read(coded, a, from, count, x, &err));
    must(ellm_source_read(raw, b, from, count, y, &err));
    assert_memory_equal(x, y, count * sizeof *x);
    free(x);
    free(y);
  }
  ellm_source_close(coded);
  ellm_source_close(raw);
}

/* One bit of one element of another checkpoint is told with its place; a changed source at all, too. */
static void test_difference(void **state) {
  (void)state;
  char path[128];
  ellm_verify_result *result;
  snprintf(path, sizeof path, "%s/model.safetensors", source);
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, -2 * (3 * 1100 - 17), SEEK_END), 0); /* the last tensor, row 497, column 17 */
  const int byte = fgetc(f);
  assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
  fputc(byte ^ 1, f);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(verify_file(out, source, 2, NULL, &result, &err), ELLM_ERR_DIFFERENCE);
  assert_true(result->n_problems >= 1);
  if (strstr(result->problems[0], "tensor big") == NULL || strstr(result->problems[0], "row 497, column 17") == NULL)
    fail_msg("%s", result->problems[0]);
  ellm_verify_free(result);
}

/* Other types by decompress: what is no number stays none, what is too large is refused. */
static void test_other_type(void **state) {
  (void)state;
  must(decompress_file(out, back, ELLM_F32, false, 2, NULL, &err));
  remove_folder(back);
  assert_int_equal(decompress_file(out, back, ELLM_F16, false, 2, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "too large for F16"));
}

static void test_usage(void **state) {
  (void)state;
  ellm_compress_options options = options_of(1);
  options.target = ELLM_TARGET_BITS;
  options.target_value = 4;
  assert_int_equal(ellm_compress(source, other, &options, NULL, &err), ELLM_ERR_USAGE);
}

static bool stop_late(void *user, const ellm_progress *progress) {
  return !(progress->done > progress->total * 9 / 10 && *(bool *)user);
}

/* Stopped and gone on with: the bytes of one run. */
static void test_resume(void **state) {
  (void)state;
  bool stop = true;
  ellm_compress_options options = options_of(2);
  must(ellm_compress(source, out, &options, NULL, &err));
  unlink(other);
  options.resume = true;
  options.progress = stop_late;
  options.progress_user = &stop;
  assert_int_equal(ellm_compress(source, other, &options, NULL, &err), ELLM_INTERRUPTED);
  stop = false;
  must(ellm_compress(source, other, &options, NULL, &err));
  assert_true(same_files(out, other));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_source),
      cmocka_unit_test(test_other_type), cmocka_unit_test(test_difference), cmocka_unit_test(test_usage),
      cmocka_unit_test(test_resume),
  };
  return cmocka_run_group_tests_name("compressing without loss", tests, setup, teardown);
}
