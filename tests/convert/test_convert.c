/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing, verifying and decompressing small checkpoints made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "checkpoint/checkpoint.h"
#include "container/container.h"
#include "convert/checkpoints.h"
#include "quant/quantize.h"

/* Shapes that cut panels, tiles, pairs and blocks in every way. */
static const made_tensor zoo[] = {
    {"model.embed_tokens.weight", ELLM_BF16, 2, {301, 64}, 0.02, 0},
    {"model.norm.weight", ELLM_BF16, 1, {64, 0}, 0.1, 1},
    {"one", ELLM_F32, 2, {1, 1}, 0.5, 0},
    {"wide", ELLM_F32, 2, {2, 70001}, 0.5, 0},
    {"tall", ELLM_F16, 2, {50003, 3}, 0.5, 0},
    {"odd", ELLM_F32, 2, {17, 21}, 1, 0},
    {"positive", ELLM_F32, 2, {40, 52}, 0.1, 7},
    {"negative", ELLM_F16, 2, {33, 1030}, 0.1, -7},
    {"zeros", ELLM_BF16, 2, {20, 36}, 0, 0},
    {"constant", ELLM_F32, 2, {48, 16}, 0, 0.25},
    {"empty", ELLM_F32, 2, {0, 16}, 0, 0},
    {"scalar", ELLM_F32, 0, {0}, 1, 0},
    {"ids", ELLM_I64, 2, {3, 5}, 0, 0},
    {"big", ELLM_BF16, 2, {500, 1100}, 0.02, 0},
};
enum { ZOO = sizeof zoo / sizeof *zoo };

static char folder[] = "/tmp/ellm-convert-XXXXXX";
static char source[64], out[64];
static ellm_error err;

static const char *in_folder(const char *name) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof *paths, "%s/%s", folder, name);
  return path;
}

static int setup(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(source, sizeof source, "%s/source", folder);
  snprintf(out, sizeof out, "%s/out.ellm", folder);
  write_safetensors(source, zoo, ZOO, NULL);
  write_text(source, "config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
  write_text(source, "tokenizer.json", "{}");
  write_text(source, "merges.txt", "");
  write_text(source, "LICENSE", "caf\xC3\xA9 \xFF\x01\r\n"); /* not even UTF-8 */
  return 0;
}

static int teardown(void **state) {
  (void)state;
  remove_folder(folder);
  return 0;
}

/* After each test only the source is left. */
static int only_source(void **state) {
  (void)state;
  size_t n = count_entries(folder);
  if (n != 1) fprintf(stderr, "%zu entries left in %s\n", n, folder);
  return n == 1 ? 0 : -1;
}

static void must(ellm_status status) {
  if (status != ELLM_OK) fail_msg("%s", err.message);
}

static ellm_compress_options defaults(void) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.threads = 2;
  return options;
}

/* Codes of every coded tensor against the quantizer's, one by one. */
static void check_all_codes(const char *path, const char *from) {
  ellm_file *file;
  checkpoint *ckpt;
  must(ellm_file_open(path, &file, &err));
  must(checkpoint_open(from, &(checkpoint_options){0}, &ckpt, &err));
  assert_int_equal(ellm_file_tensor_count(file), checkpoint_tensor_count(ckpt));
  for (size_t i = 0; i < ellm_file_tensor_count(file); i++) {
    ellm_tensor_info info;
    ellm_file_tensor(file, i, &info);
    const checkpoint_tensor *tensor = checkpoint_find(ckpt, info.name);
    assert_non_null(tensor);
    const uint8_t *data;
    must(checkpoint_map(ckpt, tensor, &data, &err));
    if (info.kept) {
      const uint8_t *kept;
      must(container_kept(file, container_find(file, info.name), &kept, &err));
      if (tensor->bytes > 0) assert_memory_equal(kept, data, tensor->bytes);
      continue;
    }
    uint8_t *codes = malloc(info.n_elements);
    must(ellm_file_codes(file, i, 2, codes, &err));
    quant_params params = {
        .bits = info.bits, .scheme = info.scheme, .scales = {.step = info.step, .zero = info.zero}};
    size_t wrong = 0;
    for (uint64_t k = 0; k < info.n_elements; k++) {
      float w = tensor->dtype == ELLM_F32   ? float_from_bits(load_u32(data + 4 * k))
                : tensor->dtype == ELLM_F16 ? float_from_f16(load_u16(data + 2 * k))
                                            : float_from_bf16(load_u16(data + 2 * k));
      wrong += codes[k] != quant_code((double)w, &params);
    }
    if (wrong > 0) fail_msg("%s: %zu wrong codes", info.name, wrong);
    free(codes);
  }
  checkpoint_close(ckpt);
  ellm_file_close(file);
}

static void test_round_trip(void **state) {
  (void)state;
  for (int bits = 2; bits <= 8; bits++) {
    for (int prefer = 0; prefer < 3; prefer++) {
      for (int code = 0; code < (bits % 4 == 0 ? 3 : 1); code++) {
        ellm_compress_options options = defaults();
        options.bits = bits;
        options.prefer = (ellm_prefer)prefer;
        options.code = (ellm_code)code;
        ellm_report *report;
        must(ellm_compress(source, out, &options, &report, &err));
        assert_int_equal(report->n_tensors, ZOO);
        struct stat s;
        assert_int_equal(stat(out, &s), 0);
        assert_int_equal(report->totals.file_bytes, s.st_size);
        ellm_file *file;
        must(ellm_file_open(out, &file, &err));
        ellm_totals totals;
        ellm_file_totals(file, &totals);
        assert_int_equal(totals.quantized_bytes, report->totals.quantized_bytes);
        assert_int_equal(totals.weights, report->totals.weights);
        ellm_file_close(file);
        ellm_report_free(report);
        check_all_codes(out, source);
        ellm_verify_result *result;
        ellm_status status = verify_file(out, source, 2, NULL, &result, &err);
        if (status != ELLM_OK)
          fail_msg("%d bits: %s", bits, result != NULL ? result->problems[0] : err.message);
        assert_true(result->ok);
        assert_int_equal(result->checked_bytes, s.st_size);
        ellm_verify_free(result);
        unlink(out);
      }
    }
  }
}

static void test_same_bytes(void **state) {
  (void)state;
  ellm_compress_options options = defaults();
  const char *other = in_folder("other.ellm");
  options.threads = 1;
  must(ellm_compress(source, out, &options, NULL, &err));
  for (int threads = 2; threads <= 5; threads += 3) {
    options.threads = threads;
    options.overwrite = true;
    must(ellm_compress(source, other, &options, NULL, &err));
    assert_true(same_files(out, other));
  }
  unlink(out);
  unlink(other);
}

static void test_keep(void **state) {
  (void)state;
  ellm_compress_options options = defaults();
  const char *keep[] = {"model.*", "nothing*"};
  options.keep = keep;
  options.n_keep = 2;
  ellm_report *report;
  must(ellm_compress(source, out, &options, &report, &err));
  assert_true(report->tensors[0].kept);
  assert_false(report->tensors[ZOO - 1].kept);
  bool told = false;
  for (size_t i = 0; i < report->n_warnings; i++) told |= strstr(report->warnings[i], "nothing*") != NULL;
  assert_true(told);
  ellm_report_free(report);
  must(verify_file(out, source, 2, NULL, NULL, &err));
  unlink(out);
}

static void test_dry_run(void **state) {
  (void)state;
  for (int bits = 4; bits <= 8; bits += 4) {
    ellm_compress_options options = defaults();
    options.bits = bits;
    ellm_report *dry, *wet;
    options.dry_run = true;
    must(ellm_compress(source, out, &options, &dry, &err));
    assert_false(file_exists(out));
    options.dry_run = false;
    must(ellm_compress(source, out, &options, &wet, &err));
    assert_int_equal(dry->totals.file_bytes, wet->totals.file_bytes);
    assert_int_equal(dry->totals.quantized_bytes, wet->totals.quantized_bytes);
    for (size_t i = 0; i < ZOO; i++) assert_int_equal(dry->tensors[i].stored_bytes, wet->tensors[i].stored_bytes);
    ellm_report_free(dry);
    ellm_report_free(wet);
    unlink(out);
  }
}

/* ------------------------------------------------------------------ refused */

static uint64_t bad_element;
static uint32_t bad_bits;

static void poke_big(const made_tensor *t, uint8_t *data) {
  if (strcmp(t->name, "bad") == 0) store_u32(data + 4 * bad_element, bad_bits);
}

static void test_bad_weights(void **state) {
  (void)state;
  const made_tensor tensors[] = {{"good", ELLM_F32, 2, {16, 16}, 1, 0}, {"bad", ELLM_F32, 2, {400, 1000}, 1, 0}};
  const char *dir = in_folder("bad");
  static const uint32_t values[] = {0x7FC00000, 0x7F800000, 0xFF800000, 0x7F000000};
  static const uint64_t places[] = {0, 262143, 262144, 399999};
  for (int i = 0; i < 4; i++) {
    bad_bits = values[i];
    bad_element = places[i];
    write_safetensors(dir, tensors, 2, poke_big);
    ellm_compress_options options = defaults();
    assert_int_equal(ellm_compress(dir, out, &options, NULL, &err), ELLM_ERR_INPUT);
    char index[32];
    snprintf(index, sizeof index, "element %llu ", (unsigned long long)bad_element);
    assert_non_null(strstr(err.message, "tensor bad"));
    assert_non_null(strstr(err.message, index));
    assert_false(file_exists(out));
  }
  remove_folder(dir);
}

static ellm_status never(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *why) {
  (void)user, (void)rows, (void)n_rows, (void)stride, (void)first;
  return ellm_fail(why, ELLM_ERR_INTERNAL, "asked to gather");
}

static void test_usage(void **state) {
  (void)state;
  ellm_compress_options options = defaults();
  options.bits = 9;
  assert_int_equal(ellm_compress(source, out, &options, NULL, &err), ELLM_ERR_USAGE);
  options = defaults();
  options.threads = -1;
  assert_int_equal(ellm_compress(source, out, &options, NULL, &err), ELLM_ERR_USAGE);
  const ellm_compress_team teams[] = {{.rank = 2, .n_ranks = 2, .gather = never}, {.rank = 0, .n_ranks = 2, .gather = never}};
  for (int i = 0; i < 4; i++) { /* a rank that there is not, no function to pass with; to a size, too */
    options = defaults();
    options.team = &teams[i % 2];
    options.target = i < 2 ? ELLM_TARGET_NONE : ELLM_TARGET_BITS;
    options.target_value = 4;
    assert_int_equal(ellm_compress(source, out, &options, NULL, &err), ELLM_ERR_USAGE);
  }
  options = defaults();
  write_text(folder, "out.ellm", "precious");
  assert_int_equal(ellm_compress(source, out, &options, NULL, &err), ELLM_ERR_EXISTS);
  uint8_t *text;
  size_t bytes;
  must(file_read_all(out, 100, &text, &bytes, &err));
  assert_string_equal((char *)text, "precious");
  free(text);
  assert_int_equal(verify_file(out, NULL, 1, NULL, NULL, &err), ELLM_ERR_INPUT);
  unlink(out);
  static const char *const files[] = {"model.safetensors", "config.json"};
  for (int i = 0; i < 2; i++) { /* a file of the source is never replaced */
    char path[128];
    snprintf(path, sizeof path, "%s/%s", source, files[i]);
    options.overwrite = true;
    assert_int_equal(ellm_compress(source, path, &options, NULL, &err), ELLM_ERR_USAGE);
  }
  assert_int_not_equal(ellm_compress(in_folder("absent"), out, &options, NULL, &err), ELLM_OK);
}

/* A shard with the name that unfinished output would have is not taken for that. */
static void test_partial_names(void **state) {
  (void)state;
  static const made_tensor tensors[] = {{"layer", ELLM_F32, 2, {64, 64}, 1, 0}};
  static const char *const names[] = {"m.ellm.partial", "m.ellm.journal.partial.partial"};
  const char *dir = in_folder("named");
  for (int i = 0; i < 2; i++) {
    char file[160], moved[160], output[160], index[200];
    ellm_compress_options options = defaults();
    write_safetensors(dir, tensors, 1, NULL);
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    snprintf(moved, sizeof moved, "%s/%s", dir, names[i]);
    snprintf(output, sizeof output, "%s/m.ellm", dir);
    snprintf(index, sizeof index, "{\"weight_map\":{\"layer\":\"%s\"}}", names[i]);
    assert_int_equal(rename(file, moved), 0);
    write_text(dir, "model.safetensors.index.json", index);
    for (int resume = 0; resume < 2; resume++) {
      options.resume = resume != 0;
      assert_int_equal(ellm_compress(dir, output, &options, NULL, &err), ELLM_ERR_USAGE);
      assert_non_null(strstr(err.message, names[i]));
    }
    options.resume = false;
    must(ellm_compress(dir, out, &options, NULL, &err)); /* it is still whole */
    unlink(out);
    remove_folder(dir);
  }
}

static bool write_to_source(void *user, const ellm_progress *progress) {
  (void)progress;
  FILE *f = fopen(user, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, -1, SEEK_END), 0);
  assert_int_equal(fputc(0x3c, f), 0x3c);
  assert_int_equal(fclose(f), 0);
  return true;
}

/* Passes over a source that changes meanwhile need not agree. */
static void test_changing_source(void **state) {
  (void)state;
  static const made_tensor tensors[] = {{"layer", ELLM_BF16, 2, {64, 64}, 1, 0}};
  const char *dir = in_folder("changing");
  char file[160];
  write_safetensors(dir, tensors, 1, NULL);
  snprintf(file, sizeof file, "%s/model.safetensors", dir);
  const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
  assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
  ellm_compress_options options = defaults();
  options.progress = write_to_source;
  options.progress_user = file;
  assert_int_equal(ellm_compress(dir, out, &options, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, file));
  assert_false(file_exists(out));
  must(ellm_compress(dir, out, NULL, NULL, &err));
  unlink(out);
  remove_folder(dir);
}

static void test_incomplete(void **state) {
  (void)state;
  const made_tensor tensors[] = {{"layer", ELLM_F32, 2, {64, 64}, 1, 0}};
  const char *dir = in_folder("incomplete");
  write_safetensors(dir, tensors, 1, NULL);
  ellm_report *report;
  ellm_compress_options options = defaults();
  must(ellm_compress(dir, out, NULL, &report, &err));
  assert_int_equal(report->n_warnings, 2); /* config.json, tokenizer.json */
  ellm_report_free(report);
  write_text(dir, "config.json", "{\"architectures\": [\"GPT2LMHeadModel\"]}");
  options.overwrite = true;
  must(ellm_compress(dir, out, &options, &report, &err));
  assert_int_equal(report->n_warnings, 2); /* that it cannot be run, tokenizer.json */
  bool told = false;
  for (size_t i = 0; i < report->n_warnings; i++) told |= strstr(report->warnings[i], "GPT2LMHeadModel") != NULL;
  assert_true(told);
  ellm_report_free(report);
  must(verify_file(out, dir, 1, NULL, NULL, &err));
  remove_folder(dir);
  unlink(out);
}

/* ------------------------------------------------------------------- damage */

static const made_tensor tiny[] = {
    {"w", ELLM_F32, 2, {20, 30}, 1, 0}, {"embed", ELLM_BF16, 2, {5, 6}, 1, 0}, {"n", ELLM_F16, 1, {7, 0}, 1, 0}};

static void write_bytes(const char *path, const uint8_t *data, size_t bytes) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  fclose(f);
}

static void test_every_byte(void **state) {
  (void)state;
  const char *dir = in_folder("tiny"), *damaged = in_folder("damaged.ellm");
  write_safetensors(dir, tiny, 3, NULL);
  write_text(dir, "config.json", "{}");
  ellm_compress_options options = defaults();
  options.threads = 1;
  must(ellm_compress(dir, out, &options, NULL, &err));
  uint8_t *data;
  size_t bytes;
  must(file_read_all(out, 1 << 20, &data, &bytes, &err));
  must(verify_file(out, NULL, 1, NULL, NULL, &err));
  for (size_t i = 0; i < bytes; i++) {
    data[i] ^= (uint8_t)(1 << i % 8);
    write_bytes(damaged, data, bytes);
    ellm_verify_result *result;
    ellm_status status = verify_file(damaged, i % 5 == 0 ? dir : NULL, 1, NULL, &result, &err);
    if (status != ELLM_ERR_DIFFERENCE && status != ELLM_ERR_INPUT) fail_msg("byte %zu may be changed unnoticed", i);
    if (status == ELLM_ERR_DIFFERENCE) assert_true(result->n_problems > 0 && !result->ok);
    ellm_verify_free(result);
    data[i] ^= (uint8_t)(1 << i % 8);
  }
  for (size_t n = 0; n < bytes; n++) { /* cut at every length */
    write_bytes(damaged, data, n);
    assert_int_equal(verify_file(damaged, NULL, 1, NULL, NULL, &err), ELLM_ERR_INPUT);
  }
  uint8_t *longer = calloc(bytes + 64, 1);
  memcpy(longer, data, bytes);
  for (size_t n = bytes + 1; n <= bytes + 64; n++) { /* something after the end */
    write_bytes(damaged, longer, n);
    assert_int_equal(verify_file(damaged, NULL, 1, NULL, NULL, &err), ELLM_ERR_INPUT);
  }
  free(longer);
  free(data);
  remove_folder(dir);
  unlink(out);
  unlink(damaged);
}

/* A file of one model against the checkpoint of another. */
static void test_against(void **state) {
  (void)state;
  const char *dir = in_folder("tiny"), *changed = in_folder("changed");
  write_safetensors(dir, tiny, 3, NULL);
  must(ellm_compress(dir, out, NULL, NULL, &err));
  made_tensor other[3];
  memcpy(other, tiny, sizeof other);
  for (int i = 0; i < 4; i++) {
    memcpy(other, tiny, sizeof other);
    if (i == 0) other[0].scale = 1.5;
    if (i == 1) other[1].name = "renamed";
    if (i == 2) other[2].scale = 2;
    if (i == 3) other[0].shape[0] = 30, other[0].shape[1] = 20;
    write_safetensors(changed, other, 3, NULL);
    ellm_verify_result *result;
    assert_int_equal(verify_file(out, changed, 2, NULL, &result, &err), ELLM_ERR_DIFFERENCE);
    assert_true(result->n_problems >= 1);
    static const char *const named[] = {"tensor w", "tensor embed", "tensor n", "tensor w"};
    bool told = false;
    for (size_t k = 0; k < result->n_problems; k++) told |= strstr(result->problems[k], named[i]) != NULL;
    assert_true(told);
    ellm_verify_free(result);
    remove_folder(changed);
  }
  remove_folder(dir);
  unlink(out);
}

/* -------------------------------------------------------- stopping, resuming */

static int calls_left;

static bool stop_later(void *user, const ellm_progress *progress) {
  (void)user;
  (void)progress;
  return calls_left-- > 0;
}

static void test_interrupted(void **state) {
  (void)state;
  ellm_compress_options options = defaults();
  options.progress = stop_later;
  calls_left = 0;
  assert_int_equal(ellm_compress(source, out, &options, NULL, &err), ELLM_INTERRUPTED);
  assert_int_equal(count_entries(folder), 1);
  must(ellm_compress(source, out, NULL, NULL, &err));
  calls_left = 0;
  assert_int_equal(verify_file(out, NULL, 2, stop_later, NULL, &err), ELLM_INTERRUPTED);
  calls_left = 0;
  assert_int_equal(decompress_file(out, in_folder("back"), -1, false, 2, stop_later, &err), ELLM_INTERRUPTED);
  assert_int_equal(count_entries(folder), 2);
  unlink(out);
}

static void pause_reports(void) {
  struct timespec pause = {.tv_nsec = 110000000}; /* so that no call is held back */
  nanosleep(&pause, NULL);
}

static bool stop_at_tensor(void *user, const ellm_progress *progress) {
  pause_reports();
  return strcmp(progress->tensor, user) != 0;
}

/* Never at work on a tensor that was finished before. */
static bool not_again(void *user, const ellm_progress *progress) {
  pause_reports();
  if (strcmp(progress->tensor, user) == 0) fail_msg("%s is done again", progress->tensor);
  return true;
}

static void test_resume(void **state) {
  (void)state;
  static const made_tensor tensors[] = {{"first", ELLM_F32, 2, {400, 100}, 1, 0},
                                        {"second", ELLM_F32, 2, {20, 30}, 1, 0},
                                        {"third", ELLM_F16, 1, {70, 0}, 1, 0}};
  const char *dir = in_folder("resumed"), *whole = in_folder("whole.ellm"), *partial = in_folder("out.ellm.partial");
  write_safetensors(dir, tensors, 3, NULL);
  must(ellm_compress(dir, whole, NULL, NULL, &err));
  for (int damage = 0; damage < 4; damage++) {
    ellm_compress_options options = defaults();
    options.resume = true;
    options.progress = stop_at_tensor;
    options.progress_user = (void *)(uintptr_t) "second";
    assert_int_equal(ellm_compress(dir, out, &options, NULL, &err), ELLM_INTERRUPTED);
    assert_true(file_exists(partial));
    assert_false(file_exists(out));
    options.progress = NULL;
    if (damage == 0) {
      options.progress = not_again;
      options.progress_user = (void *)(uintptr_t) "first";
    }
    if (damage == 1) assert_int_equal(truncate(partial, 3000), 0);
    if (damage == 2) options.bits = 4; /* other options: from the start */
    if (damage == 3) {                 /* another source: from the start */
      made_tensor changed[3];
      memcpy(changed, tensors, sizeof changed);
      changed[0].scale = 2;
      write_safetensors(dir, changed, 3, NULL);
    }
    ellm_report *report;
    must(ellm_compress(dir, out, &options, &report, &err));
    assert_int_equal(report->n_tensors, 3);
    ellm_report_free(report);
    assert_true(same_files(out, whole) == (damage < 2));
    must(verify_file(out, dir, 2, NULL, NULL, &err));
    assert_int_equal(count_entries(folder), 4); /* no partial file, no journal */
    unlink(out);
  }
  remove_folder(dir);
  unlink(whole);
}

static void test_full_disk(void **state) {
  (void)state;
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_IGN);
  for (size_t limit = 0; limit < 400000; limit += 57000) {
    struct rlimit less = {.rlim_cur = limit, .rlim_max = before.rlim_max};
    ellm_compress_options options = defaults();
    setrlimit(RLIMIT_FSIZE, &less);
    ellm_status status = ellm_compress(source, out, &options, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ELLM_ERR_IO);
    assert_int_equal(count_entries(folder), 1);
  }
}

/* --------------------------------------------------------------- decompress */

static void test_decompress(void **state) {
  (void)state;
  const char *back = in_folder("back");
  must(ellm_compress(source, out, NULL, NULL, &err));
  ellm_file *file;
  must(ellm_file_open(out, &file, &err));
  for (int dtype = -1; dtype <= ELLM_BF16; dtype++) {
    must(decompress_file(out, back, dtype, dtype > 0, 2, NULL, &err));
    static const char *const assets[] = {"config.json", "tokenizer.json", "merges.txt", "LICENSE"};
    for (int i = 0; i < 4; i++) {
      char a[128], b[128];
      snprintf(a, sizeof a, "%s/%s", source, assets[i]);
      snprintf(b, sizeof b, "%s/%s", back, assets[i]);
      assert_true(same_files(a, b));
    }
    assert_int_equal(count_entries(back), 5);
    checkpoint *ckpt;
    must(checkpoint_open(back, &(checkpoint_options){0}, &ckpt, &err));
    assert_int_equal(checkpoint_tensor_count(ckpt), ZOO);
    for (size_t i = 0; i < ZOO; i++) {
      ellm_tensor_info info;
      ellm_file_tensor(file, i, &info);
      const checkpoint_tensor *tensor = checkpoint_find(ckpt, info.name);
      ellm_dtype want = dtype >= 0 && info.dtype <= ELLM_BF16 ? (ellm_dtype)dtype : info.dtype;
      assert_int_equal(tensor->dtype, want);
      assert_int_equal(tensor->n_elements, info.n_elements);
      if (info.kept) continue;
      const uint8_t *data;
      must(checkpoint_map(ckpt, tensor, &data, &err));
      uint8_t *codes = malloc(info.n_elements);
      must(ellm_file_codes(file, i, 2, codes, &err));
      const quant_scales scales = {.step = info.step, .zero = info.zero};
      for (uint64_t k = 0; k < info.n_elements; k++) {
        float w = quant_weight(&scales, codes[k], 0, 0);
        bool same = want == ELLM_F32   ? load_u32(data + 4 * k) == float_bits(w)
                    : want == ELLM_F16 ? load_u16(data + 2 * k) == f16_from_float(w)
                                       : load_u16(data + 2 * k) == bf16_from_float(w);
        if (!same) fail_msg("%s: element %llu differs", info.name, (unsigned long long)k);
      }
      free(codes);
    }
    checkpoint_close(ckpt);
    if (dtype < 0) { /* kept tensors came back as they were; the folder is not written over */
      checkpoint *original;
      must(checkpoint_open(source, &(checkpoint_options){0}, &original, &err));
      must(checkpoint_open(back, &(checkpoint_options){0}, &ckpt, &err));
      const uint8_t *x, *y;
      const checkpoint_tensor *norm = checkpoint_find(original, "model.norm.weight");
      must(checkpoint_map(original, norm, &x, &err));
      must(checkpoint_map(ckpt, checkpoint_find(ckpt, "model.norm.weight"), &y, &err));
      assert_memory_equal(x, y, norm->bytes);
      checkpoint_close(original);
      checkpoint_close(ckpt);
      assert_int_equal(decompress_file(out, back, -1, false, 2, NULL, &err), ELLM_ERR_EXISTS);
      remove_folder(back);
      mkdir(back, 0777); /* an empty folder is fine */
    }
  }
  assert_int_equal(decompress_file(out, back, ELLM_I8, true, 2, NULL, &err), ELLM_ERR_USAGE);
  ellm_file_close(file);
  remove_folder(back);
  unlink(out);
}

/* What does not fit the wanted type is refused, but for the last step beyond the source's own. */
static void test_too_large(void **state) {
  (void)state;
  const made_tensor coded[] = {{"w", ELLM_F32, 2, {20, 30}, 1, 1e6}}, kept[] = {{"n", ELLM_F32, 1, {9, 0}, 1, 1e6}},
                    most[] = {{"w", ELLM_F16, 2, {4, 3}, 0, 65504}};
  const char *dir = in_folder("large"), *back = in_folder("back");
  for (int i = 0; i < 2; i++) {
    write_safetensors(dir, i == 0 ? coded : kept, 1, NULL);
    must(ellm_compress(dir, out, NULL, NULL, &err));
    assert_int_equal(decompress_file(out, back, ELLM_F16, false, 1, NULL, &err), ELLM_ERR_INPUT);
    assert_non_null(strstr(err.message, "too large for F16"));
    assert_false(file_exists(back));
    must(decompress_file(out, back, ELLM_BF16, false, 1, NULL, &err));
    remove_folder(back);
    unlink(out);
  }
  for (int bits = 2; bits <= 8; bits++) {
    ellm_compress_options options = defaults();
    options.bits = bits;
    write_safetensors(dir, most, 1, NULL);
    must(ellm_compress(dir, out, &options, NULL, &err));
    must(decompress_file(out, back, -1, false, 1, NULL, &err));
    checkpoint *ckpt;
    const uint8_t *data;
    must(checkpoint_open(back, &(checkpoint_options){0}, &ckpt, &err));
    must(checkpoint_map(ckpt, checkpoint_find(ckpt, "w"), &data, &err));
    assert_int_equal(load_u16(data), 0x7bff);
    checkpoint_close(ckpt);
    remove_folder(back);
    unlink(out);
  }
  remove_folder(dir);
}

/* A folder OUT.partial is emptied if a killed run left it, and only then. */
static void test_leftovers(void **state) {
  (void)state;
  const char *back = in_folder("back"), *partial = in_folder("back.partial");
  char diary[160];
  must(ellm_compress(source, out, NULL, NULL, &err));
  mkdir(partial, 0777);
  write_text(partial, "entrollm-unfinished.partial", "");
  write_text(partial, "config.json.partial", "{");
  write_text(partial, "model.safetensors.partial", "half");
  write_text(partial, "tokenizer.json", "{");
  must(decompress_file(out, back, -1, false, 2, NULL, &err));
  assert_false(file_exists(partial));
  assert_int_equal(count_entries(back), 5);
  remove_folder(back);
  mkdir(partial, 0777);
  write_text(partial, "diary.txt", "precious");
  snprintf(diary, sizeof diary, "%s/diary.txt", partial);
  assert_int_equal(decompress_file(out, back, -1, false, 2, NULL, &err), ELLM_ERR_USAGE);
  assert_true(file_exists(diary));
  assert_false(file_exists(back));
  remove_folder(partial);
  /* a whole checkpoint under that name is nobody's leavings */
  const made_tensor tensors[] = {{"w", ELLM_F32, 2, {10, 20}, 1, 0}};
  write_safetensors(partial, tensors, 1, NULL);
  write_text(partial, "config.json", "{}");
  assert_int_equal(decompress_file(out, back, -1, false, 2, NULL, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, partial));
  assert_int_equal(count_entries(partial), 2);
  assert_int_equal(decompress_file(out, partial, -1, true, 2, NULL, &err), ELLM_ERR_USAGE);
  snprintf(diary, sizeof diary, "%s//", partial);
  assert_int_equal(decompress_file(out, diary, -1, true, 2, NULL, &err), ELLM_ERR_USAGE);
  assert_int_equal(count_entries(partial), 2);
  remove_folder(partial);
  unlink(out);
}

/* What was dequantized quantizes to itself: the same codes again. */
static void test_idempotent(void **state) {
  (void)state;
  const made_tensor tensors[] = {{"w", ELLM_F32, 2, {100, 200}, 1, 0}};
  const char *dir = in_folder("first"), *back = in_folder("back"), *again = in_folder("again.ellm");
  write_safetensors(dir, tensors, 1, NULL);
  must(ellm_compress(dir, out, NULL, NULL, &err));
  must(decompress_file(out, back, -1, false, 1, NULL, &err));
  must(ellm_compress(back, again, NULL, NULL, &err));
  ellm_file *a, *b;
  must(ellm_file_open(out, &a, &err));
  must(ellm_file_open(again, &b, &err));
  uint8_t x[20000], y[20000];
  must(ellm_file_codes(a, 0, 1, x, &err));
  must(ellm_file_codes(b, 0, 1, y, &err));
  assert_memory_equal(x, y, sizeof x);
  ellm_file_close(a);
  ellm_file_close(b);
  remove_folder(dir);
  remove_folder(back);
  unlink(out);
  unlink(again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_round_trip, only_source), cmocka_unit_test_teardown(test_same_bytes, only_source),
      cmocka_unit_test_teardown(test_keep, only_source),       cmocka_unit_test_teardown(test_dry_run, only_source),
      cmocka_unit_test_teardown(test_bad_weights, only_source), cmocka_unit_test_teardown(test_usage, only_source),
      cmocka_unit_test_teardown(test_incomplete, only_source), cmocka_unit_test_teardown(test_every_byte, only_source),
      cmocka_unit_test_teardown(test_against, only_source),    cmocka_unit_test_teardown(test_interrupted, only_source),
      cmocka_unit_test_teardown(test_resume, only_source),     cmocka_unit_test_teardown(test_full_disk, only_source),
      cmocka_unit_test_teardown(test_decompress, only_source), cmocka_unit_test_teardown(test_idempotent, only_source),
      cmocka_unit_test_teardown(test_partial_names, only_source),
      cmocka_unit_test_teardown(test_changing_source, only_source),
      cmocka_unit_test_teardown(test_leftovers, only_source),  cmocka_unit_test_teardown(test_too_large, only_source),
  };
  return cmocka_run_group_tests_name("convert", tests, setup, teardown);
}
