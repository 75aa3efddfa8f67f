/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing to a size: it is met, whatever is known of the model, and the bytes depend on nothing else. */
#include <math.h>
#include <unistd.h>

#include "model/model_testing.h"

static char folder[] = "/tmp/entrollm-test-XXXXXX";

static const char *path_of(const char *name) {
  static char path[2][128];
  static int i;
  i = !i;
  snprintf(path[i], sizeof path[i], "%s/%s", folder, name);
  return path[i];
}

static ellm_compress_options small_options(ellm_target target, double value) {
  ellm_compress_options options;
  ellm_compress_options_init(&options);
  options.target = target;
  options.target_value = value;
  options.calibration_sequences = 4;
  options.calibration_length = 32;
  options.overwrite = true;
  options.threads = 2;
  return options;
}

static ellm_totals compress_to(const char *name, const ellm_compress_options *options) {
  ellm_report *report = NULL;
  ASSERT_OK(ellm_compress(STORIES_FOLDER, path_of(name), options, &report, ERR));
  const ellm_totals totals = report->totals;
  ellm_report_free(report);
  return totals;
}

/* The file opens and predicts about what its source does: log-probability of a few common words. */
static void assert_runs(const char *name) {
  static const uint32_t ids[] = {1, 40, 52, 60};
  ellm_model *model = open_model(path_of(name), 2, ELLM_ACTIVATIONS_AUTO);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  float *logits = malloc(info.vocab_size * sizeof *logits);
  ellm_sequence *s = NULL;
  ASSERT_OK(ellm_sequence_create(model, &s, ERR));
  ASSERT_OK(append(model, s, ids, 4, logits, 1, ERR));
  ASSERT_OK(ellm_logits_check(logits, info.vocab_size, 3, ERR));
  free(logits);
  ellm_sequence_free(s);
  ellm_model_close(model);
}

static void bits_and_bytes_are_met(void **state) {
  (void)state;
  static const double bits[] = {2.5, 4.25};
  for (size_t i = 0; i < 2; i++)
    for (int effort = ELLM_EFFORT_QUICK; effort <= ELLM_EFFORT_FULL; effort++) {
      ellm_compress_options options = small_options(ELLM_TARGET_BITS, bits[i]);
      options.effort = (ellm_effort)effort;
      const ellm_totals totals = compress_to("bits.ellm", &options);
      if (totals.coded_bits_per_weight > bits[i] || totals.coded_bits_per_weight < 0.995 * bits[i])
        fail_msg("%g bits, effort %d: %g", bits[i], effort, totals.coded_bits_per_weight);
      assert_runs("bits.ellm");
    }
  ellm_compress_options options = small_options(ELLM_TARGET_BYTES, 2000000);
  options.effort = ELLM_EFFORT_QUICK;
  const ellm_totals totals = compress_to("bytes.ellm", &options);
  if (totals.file_bytes > 2000000 || totals.file_bytes < 1990000) fail_msg("%llu bytes", (unsigned long long)totals.file_bytes);
}

static void the_same_bytes_for_threads_and_memory(void **state) {
  (void)state;
  ellm_compress_options options = small_options(ELLM_TARGET_BITS, 3.25);
  uint8_t *a, *b;
  size_t a_bytes, b_bytes;
  compress_to("a.ellm", &options);
  options.threads = 1;
  options.memory = 1 << 20; /* a sequence at a time */
  compress_to("b.ellm", &options);
  ASSERT_OK(file_read_all(path_of("a.ellm"), 1 << 24, &a, &a_bytes, ERR));
  ASSERT_OK(file_read_all(path_of("b.ellm"), 1 << 24, &b, &b_bytes, ERR));
  assert_int_equal(a_bytes, b_bytes);
  assert_memory_equal(a, b, a_bytes);
  free(a);
  free(b);
}

static void without_calibration_rows_alone_have_scales(void **state) {
  (void)state;
  ellm_compress_options options = small_options(ELLM_TARGET_BITS, 4.25);
  options.calibrate = ELLM_CALIBRATE_NONE;
  const ellm_totals totals = compress_to("none.ellm", &options);
  assert_true(totals.coded_bits_per_weight <= 4.25 && totals.coded_bits_per_weight >= 0.995 * 4.25);
  assert_runs("none.ellm");
}

static void expect(ellm_status status, const char *words, const ellm_compress_options *options) {
  ellm_error err = {0};
  assert_int_equal(ellm_compress(STORIES_FOLDER, path_of("bad.ellm"), options, NULL, &err), status);
  if (strstr(err.message, words) == NULL) fail_msg("%s", err.message);
  assert_false(file_exists(path_of("bad.ellm")));
}

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  ellm_compress_options options = small_options(ELLM_TARGET_BITS, 0.2);
  expect(ELLM_ERR_INPUT, "at the least", &options);
  options = small_options(ELLM_TARGET_BYTES, 1000);
  expect(ELLM_ERR_INPUT, "impossible", &options);
  options = small_options(ELLM_TARGET_BITS, -1);
  expect(ELLM_ERR_USAGE, "makes no sense", &options);
  options = small_options(ELLM_TARGET_BITS, 4);
  options.calibrate = ELLM_CALIBRATE_FILE;
  options.calibrate_file = "/nowhere/text";
  expect(ELLM_ERR_IO, "/nowhere/text", &options);
  options.calibrate_file = STORIES_FOLDER "/config.json"; /* too short */
  options.calibration_length = 512;
  expect(ELLM_ERR_INPUT, "too few", &options);
  options.calibrate_file = STORIES_FOLDER "/model.safetensors";
  expect(ELLM_ERR_INPUT, "UTF-8", &options);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
  (void)state;
  static const char *const names[] = {"bits.ellm", "bytes.ellm", "a.ellm", "b.ellm", "none.ellm"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(path_of(names[i]));
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_and_bytes_are_met),
      cmocka_unit_test(the_same_bytes_for_threads_and_memory),
      cmocka_unit_test(without_calibration_rows_alone_have_scales),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
