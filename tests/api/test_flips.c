/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One flipped bit of a .ellm file: verify finds it, whichever it is, and running either finds it or computes what it
 * computes of the whole file. FLIPS=all flips each bit in turn for verify and 10,000 random ones for running, which takes
 * minutes; else a sample.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "entrollm.h"

#define FOLDER ENTROLLM_SOURCE_DIR "/tests/golden/models/qwen3moe-mixed"
enum { IDS = 6, VERIFIED = 1200, RUN = 250, RUN_ALL = 10000 };

static char path[] = "/tmp/ellm-flips-XXXXXX";
static int fd = -1;
static uint8_t *good;
static size_t size;
static float *logits;
static size_t n_logits;

static int flips_all(void) {
  const char *word = getenv("FLIPS");
  return word != NULL && strcmp(word, "all") == 0;
}

/* A number below n, the same in each run. */
static size_t chance(size_t n) {
  static uint64_t state = 20240229;
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (size_t)((state >> 20) % n);
}

static void put(size_t byte, uint8_t value) { assert_int_equal(pwrite(fd, &value, 1, (off_t)byte), 1); }

/* Logits of some ids; malloc'ed, NULL with an error that names the file. */
static float *compute(size_t *n, ellm_error *err) {
  const uint32_t ids[IDS] = {3, 17, 5, 29, 11, 2};
  ellm_model_options options;
  ellm_model *model;
  ellm_model_info info;
  ellm_sequence *sequence = NULL;
  ellm_model_options_init(&options);
  options.threads = 1;
  if (ellm_model_open(path, &options, &model, err) != ELLM_OK) return NULL;
  ellm_model_get_info(model, &info);
  *n = (size_t)IDS * info.vocab_size;
  float *computed = malloc(*n * sizeof *computed);
  ellm_status status = ellm_sequence_create(model, &sequence, err);
  if (status == ELLM_OK)
    status = ellm_evaluate(model, &(ellm_batch_item){sequence, ids, IDS, computed, IDS}, 1, err);
  ellm_sequence_free(sequence);
  ellm_model_close(model);
  if (status == ELLM_OK) return computed;
  free(computed);
  return NULL;
}

static int setup(void **state) {
  (void)state;
  ellm_compress_options options;
  ellm_error err = {0};
  char name[64];
  ellm_compress_options_init(&options);
  options.lossless = true;
  options.overwrite = true;
  options.threads = 1;
  fd = mkstemp(path);
  snprintf(name, sizeof name, "%s.ellm", path);
  if (fd < 0 || ellm_compress(FOLDER, name, &options, NULL, &err) != ELLM_OK || rename(name, path) != 0) {
    fprintf(stderr, "%s\n", err.message);
    return -1;
  }
  close(fd);
  fd = open(path, O_RDWR);
  size = (size_t)lseek(fd, 0, SEEK_END);
  good = malloc(size);
  if (good == NULL || pread(fd, good, size, 0) != (ssize_t)size) return -1;
  logits = compute(&n_logits, &err);
  if (logits == NULL) fprintf(stderr, "%s\n", err.message);
  return logits == NULL ? -1 : 0;
}

static int teardown(void **state) {
  (void)state;
  close(fd);
  unlink(path);
  free(good);
  free(logits);
  return 0;
}

static void test_verify_finds_each(void **state) {
  (void)state;
  ellm_verify_options options;
  ellm_verify_options_init(&options);
  options.threads = 1;
  ellm_error err = {0};
  assert_int_equal(ellm_verify(path, &options, NULL, &err), ELLM_OK);
  const size_t bits = 8 * size, n = flips_all() ? bits : VERIFIED;
  for (size_t i = 0; i < n; i++) {
    const size_t bit = n == bits ? i : chance(bits);
    put(bit / 8, good[bit / 8] ^ (uint8_t)(1u << bit % 8));
    const ellm_status status = ellm_verify(path, &options, NULL, &err);
    put(bit / 8, good[bit / 8]);
    if (status != ELLM_ERR_INPUT && status != ELLM_ERR_DIFFERENCE)
      fail_msg("bit %zu of byte %zu: status %d", bit % 8, bit / 8, (int)status);
  }
  assert_int_equal(ellm_verify(path, &options, NULL, &err), ELLM_OK);
  print_message("# %zu of the %zu bits of a file of %zu bytes\n", n, bits, size);
}

static void test_running_finds_or_equals(void **state) {
  (void)state;
  const size_t n = flips_all() ? RUN_ALL : RUN;
  size_t found = 0, same = 0;
  for (size_t i = 0; i < n; i++) {
    const size_t bit = chance(8 * size);
    size_t n_computed = 0;
    ellm_error err = {0};
    put(bit / 8, good[bit / 8] ^ (uint8_t)(1u << bit % 8));
    float *computed = compute(&n_computed, &err);
    put(bit / 8, good[bit / 8]);
    if (computed == NULL) {
      if (err.status != ELLM_ERR_INPUT || strstr(err.message, path) == NULL)
        fail_msg("bit %zu of byte %zu: status %d: %s", bit % 8, bit / 8, (int)err.status, err.message);
      found++;
    } else if (n_computed == n_logits && memcmp(computed, logits, n_logits * sizeof *logits) == 0) {
      same++;
    } else {
      fail_msg("bit %zu of byte %zu changes the logits", bit % 8, bit / 8);
    }
    free(computed);
  }
  assert_true(found > 0);
  print_message("# %zu flips: %zu found, %zu of what was not used\n", n, found, same);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_verify_finds_each),
      cmocka_unit_test(test_running_finds_or_equals),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
