/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing, verifying and decompressing through entrollm.h alone: what is reported, and who frees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <entrollm.h>

#define MODEL ENTROLLM_SOURCE_DIR "/models/stories-4m"

static char folder[64], file[96];

static void ok(ellm_status status, const ellm_error *err) {
  if (status != ELLM_OK) fail_msg("%d: %s", (int)status, err->message);
}

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/entrollm-test-api-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(file, sizeof file, "%s/m.ellm", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void compressing(void **state) {
  (void)state;
  ellm_error err;
  ellm_report *report;
  ellm_compress_options options;
  static const char *const keep[] = {"model.norm.*", "no.such.tensor"};
  ellm_compress_options_init(&options);
  options.bits = 4;
  options.keep = keep;
  options.n_keep = 2;
  ok(ellm_compress(MODEL, file, &options, &report, &err), &err);
  assert_true(report->n_tensors > 3 && report->totals.weights > 1000000 && report->n_assets > 0);
  bool told = false;
  for (size_t i = 0; i < report->n_warnings; i++) told = told || strstr(report->warnings[i], "no.such.tensor");
  assert_true(told);
  ellm_report_free(report);
  ellm_report_free(NULL);
  assert_int_equal(ellm_compress(MODEL, file, &options, &report, &err), ELLM_ERR_EXISTS); /* it is there */
  assert_null(report);
  options.bits = 9;
  options.overwrite = true;
  assert_int_equal(ellm_compress(MODEL, file, &options, NULL, &err), ELLM_ERR_USAGE);
  options.size = offsetof(ellm_compress_options, bits); /* an older struct: 8 bits then, and nothing is replaced */
  assert_int_equal(ellm_compress(MODEL, file, &options, NULL, &err), ELLM_ERR_EXISTS);
  options.size = 3;
  assert_int_equal(ellm_compress(MODEL, file, &options, NULL, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "ellm_compress_options.size"));
}

/* A model gives the files beside its weights as they are on disk, from a folder and from what it was compressed to. */
static void assets(void **state) {
  (void)state;
  static const char *const names[] = {"config.json", "tokenizer.json"};
  const char *const paths[] = {MODEL, file};
  ellm_error err;
  for (size_t p = 0; p < 2; p++) {
    ellm_model *model;
    ok(ellm_model_open(paths[p], NULL, &model, &err), &err);
    for (size_t i = 0; i < 2; i++) {
      char path[256], *expected = NULL;
      size_t bytes = 0, size = 0;
      snprintf(path, sizeof path, "%s/%s", MODEL, names[i]);
      FILE *in = fopen(path, "rb"), *copy = open_memstream(&expected, &size);
      assert_true(in && copy);
      for (int c; (c = fgetc(in)) != EOF;) fputc(c, copy);
      fclose(in);
      fclose(copy);
      const char *found = ellm_model_asset(model, names[i], &bytes);
      assert_non_null(found);
      assert_int_equal(bytes, size);
      assert_memory_equal(found, expected, size + 1); /* and the NUL */
      assert_ptr_equal(ellm_model_asset(model, names[i], NULL), found);
      free(expected);
    }
    size_t bytes = 1;
    assert_null(ellm_model_asset(model, "model.safetensors", &bytes)); /* no small file */
    assert_int_equal(bytes, 0);
    assert_null(ellm_model_asset(model, "", NULL));
    ellm_model_close(model);
  }
}

static bool stop(void *user, const ellm_progress *step) {
  (void)user;
  (void)step;
  return false;
}

static void verifying(void **state) {
  (void)state;
  char damaged[96];
  ellm_error err;
  ellm_verify_options options;
  ellm_verify_result *result;
  ok(ellm_verify(file, NULL, &result, &err), &err);
  assert_true(result->ok && result->n_problems == 0 && result->checked_bytes > 1000000);
  ellm_verify_free(result);
  ellm_verify_options_init(&options);
  options.against = MODEL;
  ok(ellm_verify(file, &options, NULL, &err), &err);
  options.progress = stop;
  assert_int_equal(ellm_verify(file, &options, &result, &err), ELLM_INTERRUPTED);
  assert_null(result);
  assert_int_equal(ellm_verify(MODEL "/config.json", NULL, &result, &err), ELLM_ERR_INPUT);
  assert_null(result);

  snprintf(damaged, sizeof damaged, "%s/damaged.ellm", folder);
  FILE *in = fopen(file, "rb"), *out = fopen(damaged, "wb");
  assert_true(in && out);
  for (long at = 0, c; (c = fgetc(in)) != EOF; at++) fputc(at == 700000 ? (int)c ^ 1 : (int)c, out);
  fclose(in);
  fclose(out);
  assert_int_equal(ellm_verify(damaged, NULL, &result, &err), ELLM_ERR_DIFFERENCE);
  assert_true(!result->ok && result->n_problems >= 1 && strstr(result->problems[0], damaged));
  ellm_verify_free(result);
  ellm_verify_free(NULL);
}

static void decompressing(void **state) {
  (void)state;
  char out[96];
  ellm_error err;
  ellm_decompress_options options;
  ellm_source *source;
  snprintf(out, sizeof out, "%s/back", folder);
  ellm_decompress_options_init(&options);
  options.dtype = ELLM_I64;
  assert_int_equal(ellm_decompress(file, out, &options, &err), ELLM_ERR_USAGE);
  options.dtype = ELLM_BF16;
  ok(ellm_decompress(file, out, &options, &err), &err);
  ok(ellm_source_open(out, &source, &err), &err);
  assert_true(ellm_source_tensor_count(source) > 3);
  ellm_source_close(source);
  assert_int_equal(ellm_decompress(file, out, NULL, &err), ELLM_ERR_EXISTS); /* it is there */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(compressing), cmocka_unit_test(assets),
                                     cmocka_unit_test(verifying),   cmocka_unit_test(decompressing)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
