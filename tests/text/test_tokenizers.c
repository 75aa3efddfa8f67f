/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole tokenizers against the ids and texts that the `tokenizers` and
 * `sentencepiece` libraries give for them: those of tests/golden/tokenizers and, where it exists, of the
 * larger set beside the project.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>

#include "golden.h"
#include "text/stream.h"
#include "text/text_testing.h"

static uint32_t *ids_of(const json_t *array, size_t *n) {
  assert_true(json_is_array(array));
  *n = json_array_size(array);
  uint32_t *ids = malloc((*n + 1) * sizeof *ids);
  assert_non_null(ids);
  for (size_t i = 0; i < *n; ++i) ids[i] = (uint32_t)json_integer_value(json_array_get(array, i));
  return ids;
}

static void print_ids(const char *title, const uint32_t *ids, size_t n) {
  print_error("%s:", title);
  for (size_t i = 0; i < n; ++i) print_error(" %u", ids[i]);
  print_error("\n");
}

static void check_ids(const ellm_tokenizer *t, const char *text, size_t bytes, unsigned flags, const json_t *wanted,
                      const char *what) {
  size_t n_wanted, n = 0;
  uint32_t *ids = NULL, *want = ids_of(wanted, &n_wanted);
  ellm_error err = {0};
  if (ellm_tokenizer_encode(t, text, bytes, flags, &ids, &n, &err) != ELLM_OK) fail_msg("%s: %s", what, err.message);
  if (n != n_wanted || memcmp(ids, want, n * sizeof *ids) != 0) {
    print_ids("got", ids, n);
    print_ids("wanted", want, n_wanted);
    fail_msg("%s of \"%s\"", what, text);
  }
  free(ids);
  free(want);
}

static void check_text(const ellm_tokenizer *t, const json_t *ids_json, bool skip_special, const json_t *wanted,
                       const char *what) {
  size_t n, bytes = 0;
  uint32_t *ids = ids_of(ids_json, &n);
  char *text = NULL;
  ellm_error err = {0};
  assert_true(json_is_string(wanted));
  if (ellm_tokenizer_decode(t, ids, n, skip_special, &text, &bytes, &err) != ELLM_OK) {
    fail_msg("%s: %s", what, err.message);
  }
  if (bytes != json_string_length(wanted) || memcmp(text, json_string_value(wanted), bytes) != 0) {
    print_ids("ids", ids, n);
    fail_msg("%s:\ngot    \"%s\"\nwanted \"%s\"", what, text, json_string_value(wanted));
  }
  assert_int_equal(text[bytes], '\0');
  free(text);
  free(ids);
}

/* The bytes of a row: the text, or those given in hexadecimal digits. */
static char *row_bytes(const json_t *row, size_t *bytes) {
  const json_t *text = json_object_get(row, "text");
  const char *hex = json_string_value(json_object_get(row, "bytes"));
  assert_true(json_is_string(text));
  *bytes = hex ? strlen(hex) / 2 : json_string_length(text);
  char *out = malloc(*bytes + 1);
  assert_non_null(out);
  if (!hex) memcpy(out, json_string_value(text), *bytes);
  for (size_t i = 0; hex && i < *bytes; ++i) {
    unsigned value;
    assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
    out[i] = (char)value;
  }
  out[*bytes] = '\0';
  return out;
}

/* Streamed text equals the text of the whole wherever no byte is lost. */
static void check_stream(const ellm_tokenizer *t, const json_t *ids_json, bool skip_special, const json_t *wanted) {
  size_t n, total = 0, bytes;
  uint32_t *ids = ids_of(ids_json, &n);
  const char *whole = json_string_value(wanted), *text;
  ellm_stream *stream = NULL;
  ellm_error err = {0};
  assert_int_equal(ellm_stream_create(t, skip_special, &stream, &err), ELLM_OK);
  for (size_t i = 0; i <= n; ++i) {
    ellm_status status =
        i < n ? ellm_stream_next(stream, ids[i], &text, &bytes, &err) : ellm_stream_flush(stream, &text, &bytes, &err);
    if (status != ELLM_OK) fail_msg("%s", err.message);
    assert_int_equal(text[bytes], '\0');
    if (bytes > json_string_length(wanted) - total || memcmp(whole + total, text, bytes) != 0) {
      print_ids("ids", ids, n);
      fail_msg("streamed id %zu gives \"%s\" in \"%s\"", i, text, whole);
    }
    total += bytes;
  }
  assert_int_equal(total, json_string_length(wanted));
  ellm_stream_free(stream);
  free(ids);
}

static void check_row(const ellm_tokenizer *t, const json_t *row) {
  size_t bytes;
  char *text = row_bytes(row, &bytes);
  check_ids(t, text, bytes, ELLM_ENCODE_DEFAULT, json_object_get(row, "ids"), "ids");
  check_ids(t, text, bytes, ELLM_ENCODE_NO_POST, json_object_get(row, "ids_without_added"), "ids_without_added");
  check_ids(t, text, bytes, ELLM_ENCODE_NO_POST | ELLM_ENCODE_SPECIAL_AS_TEXT,
            json_object_get(row, "ids_special_as_text"), "ids_special_as_text");
  free(text);
  if (!json_object_get(row, "decoded")) return; /* ids only */
  static const char *const fields[2] = {"decoded", "decoded_skipping_special"};
  for (int skip_special = 0; skip_special < 2; ++skip_special) {
    const json_t *wanted = json_object_get(row, fields[skip_special]);
    check_text(t, json_object_get(row, "ids"), skip_special, wanted, fields[skip_special]);
    check_stream(t, json_object_get(row, "ids"), skip_special, wanted);
  }
}

/* Number of what was checked. */
static size_t check_file(int set, const char *name) {
  char path[1024];
  json_error_t problem;
  size_t i;
  const json_t *row;
  assert_true(snprintf(path, sizeof path, "%s/tokenizers/%s", golden_folders[set], name) < (int)sizeof path);
  json_t *golden = json_load_file(path, JSON_ALLOW_NUL, &problem);
  if (!golden) fail_msg("%s: %s", path, problem.text);
  const char *place = json_string_value(json_object_get(golden, "tokenizer"));
  assert_non_null(place);
  assert_true(snprintf(path, sizeof path, "%s/%s", golden_inputs[set], place) < (int)sizeof path);
  ellm_tokenizer *t = tokenizer_of_folder(path);
  const json_t *rows = json_object_get(golden, "rows"), *decode = json_object_get(golden, "decode");
  size_t checked = json_array_size(rows) + json_array_size(decode);
  json_array_foreach(rows, i, row) check_row(t, row);
  json_array_foreach(decode, i, row) {
    check_text(t, json_object_get(row, "ids"), false, json_object_get(row, "text"), "decode");
    check_text(t, json_object_get(row, "ids"), true, json_object_get(row, "text_skipping_special"),
               "decode, special skipped");
  }
  ellm_tokenizer_free(t);
  json_decref(golden);
  return checked;
}

static void check_set(int set) {
  char path[1024];
  snprintf(path, sizeof path, "%s/tokenizers", golden_folders[set]);
  DIR *folder = opendir(path);
  if (!folder) {
    print_message("skipped: %s is absent\n", path);
    skip();
  }
  size_t files = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    size_t length = strlen(entry->d_name);
    if (length < 6 || strcmp(entry->d_name + length - 5, ".json") != 0) continue;
    size_t checked = check_file(set, entry->d_name);
    print_message("%s: %zu rows\n", entry->d_name, checked);
    assert_true(checked > 0);
    ++files;
  }
  closedir(folder);
  assert_true(files > 0);
}

static void test_golden(void **state) {
  (void)state;
  check_set(0);
}

static void test_golden_shared(void **state) {
  (void)state;
  check_set(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_golden_shared)};
  return cmocka_run_group_tests_name("tokenizers", tests, NULL, NULL);
}
