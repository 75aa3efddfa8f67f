/* SPDX-License-Identifier: Apache-2.0 */
/* Names of models, of files and of hashes; hashes; which files are expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub/answers.h"
#include "hub/choose.h"
#include "hub/hash.h"
#include "hub/names.h"

static void test_names_of_models(void **state) {
  (void)state;
  static const char *const wrong[] = {"", "a", "a/", "/a", "a/b/c", "a/..", "../a", "a/.b", "a/b.", "a/-b", "a--b/c",
                                      "a/b..c", "a/b c", "a/b\n", "a/b@", "a/b@..", "a/b@/c", "a/b@c/", "a/b@c//d",
                                      "a/b@c d",
                                      "a/b@-c", "a/b:", "a/b:/c", "a/b:../c", "a/b:c/..", "a/b:c\\d", "a/b@c:"};
  hub_name name;
  ellm_error err;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    err.message[0] = '\0';
    assert_int_equal(hub_parse_name(wrong[i], &name, &err), ELLM_ERR_USAGE);
    assert_int_not_equal(err.message[0], '\0');
  }
  assert_int_equal(hub_parse_name("Own-er/na.me_1", &name, NULL), ELLM_OK);
  assert_string_equal(name.repository, "Own-er/na.me_1");
  assert_string_equal(name.revision, "main");
  assert_string_equal(name.file, "");
  assert_int_equal(hub_parse_name("a/b@refs/pr/1:x/*Q4_K[a@b]*", &name, NULL), ELLM_OK);
  assert_string_equal(name.repository, "a/b");
  assert_string_equal(name.revision, "refs/pr/1");
  assert_string_equal(name.file, "x/*Q4_K[a@b]*");
  assert_int_equal(hub_parse_name("a/b:c:d", &name, NULL), ELLM_OK);
  assert_string_equal(name.file, "c:d");
}

static void test_long_names(void **state) {
  (void)state;
  char text[2000];
  hub_name name;
  for (size_t bytes = 1; bytes < 1200; bytes += 7) { /* of each part: taken whole, or refused */
    static const char *const heads[] = {"a/", "a/b@", "a/b:"};
    for (size_t i = 0; i < 3; i++) {
      strcpy(text, heads[i]);
      memset(text + strlen(heads[i]), 'x', bytes);
      text[strlen(heads[i]) + bytes] = '\0';
      if (hub_parse_name(text, &name, NULL) != ELLM_OK) continue;
      const char *part = i == 0 ? name.repository + 2 : i == 1 ? name.revision : name.file;
      assert_int_equal(strlen(part), bytes);
    }
  }
}

static void test_paths(void **state) {
  (void)state;
  static const char *const right[] = {"a", "a/b", "a.b", "..a", "a..", ".a/b", "a b", "caf\xc3\xa9"};
  static const char *const wrong[] = {"", ".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "a\\b", "a\tb", "a\x7f"};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) assert_true(hub_is_path(right[i]));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(hub_is_path(wrong[i]));
  char out[16];
  assert_true(hub_quote("a/b c%", true, out, sizeof out));
  assert_string_equal(out, "a/b%20c%25");
  assert_true(hub_quote("a/b", false, out, sizeof out));
  assert_string_equal(out, "a%2Fb");
  for (size_t room = 0; room < 12; room++) hub_quote("a/b c%d?e", false, out, room); /* never beyond it */
  assert_false(hub_quote("0123456789abcdef", true, out, sizeof out));
}

static void test_hashes(void **state) {
  (void)state;
  static const char sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  static const char empty[] = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"; /* as git names it */
  hub_hash hash = {0};
  assert_true(hub_is_hash(sha256) && hub_is_hash(empty) && hub_is_commit(empty) && !hub_is_commit(sha256));
  assert_false(hub_is_hash(sha256 + 1) || hub_is_hash("../../../../../../../../../../../../../a") ||
               hub_is_hash("E69DE29BB2D1D6434B8B29AE775AD8C2E48C5391"));
  assert_int_equal(hub_hash_begin(&hash, sha256, 3, NULL), ELLM_OK);
  assert_true(hub_hash_add(&hash, "a", 1) && hub_hash_add(&hash, "bc", 2) && hub_hash_equals(&hash, sha256));
  assert_int_equal(hub_hash_begin(&hash, empty, 0, NULL), ELLM_OK);
  assert_true(hub_hash_equals(&hash, empty));
  assert_int_equal(hub_hash_begin(&hash, empty, 1, NULL), ELLM_OK);
  assert_false(hub_hash_add(&hash, "a", 1) && hub_hash_equals(&hash, empty));
  hub_hash_free(&hash);
}

/* The chosen ones of these files, separated by blanks; the status in front. */
static const char *chosen(const char *const *files, const char *pattern, bool one, hub_choice *choice) {
  static char text[2000];
  const hub_name name = {.repository = "own/model"};
  hub_list list = {0};
  for (; *files != NULL; files++) assert_non_null(hub_list_add(&list, *files));
  assert_null(hub_list_sort(&list));
  const ellm_status status = hub_choose(&name, &pattern, pattern != NULL, one, &list, choice, NULL);
  text[0] = (char)('0' + status);
  text[1] = '\0';
  for (size_t i = 0; i < list.n && status == ELLM_OK; i++)
    if (list.files[i].chosen) strcat(strcat(text, " "), list.files[i].path);
  hub_list_free(&list);
  return text;
}

static void test_choices(void **state) {
  (void)state;
  hub_choice choice;
  static const char *const folder[] = {"config.json", "model.safetensors", "model.safetensors.index.json", "x.gguf",
                                       "a.bin", "deep/config.json", "LICENSE.txt", NULL};
  assert_string_equal(chosen(folder, NULL, true, &choice), "0 LICENSE.txt config.json model.safetensors");
  assert_string_equal(choice.main, "");
  assert_string_equal(chosen(folder, "*.gguf", true, &choice), "0 x.gguf");
  assert_string_equal(choice.main, "x.gguf");
  static const char *const shards[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                       "consolidated.safetensors", NULL};
  assert_string_equal(chosen(shards, NULL, true, &choice),
                      "0 model-00001-of-00002.safetensors model-00002-of-00002.safetensors");
  assert_string_equal(chosen(shards + 1, NULL, true, &choice), "3"); /* the first is missing */
  static const char *const quants[] = {"a-Q4.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf",
                                       "mmproj-a.gguf", NULL};
  assert_string_equal(chosen(quants, NULL, true, &choice), "2");
  assert_true(choice.several);
  assert_string_equal(chosen(quants + 1, NULL, true, &choice), "0 b-00001-of-00002.gguf b-00002-of-00002.gguf");
  assert_string_equal(choice.main, "b-00001-of-00002.gguf");
  assert_string_equal(chosen(quants, "b-00002*", true, &choice), "0 b-00001-of-00002.gguf b-00002-of-00002.gguf");
  assert_string_equal(chosen(quants, "*Q4*", true, &choice), "0 a-Q4.gguf");
  assert_string_equal(chosen(quants, "*", true, &choice), "2");
  assert_string_equal(chosen(quants, "*Q8*", true, &choice), "2");
  assert_string_equal(chosen(quants + 3, NULL, true, &choice), "3");
}

static void test_headers(void **state) {
  (void)state;
  hub_response r = {.linked_size = -1, .length = -1};
  assert_true(hub_read_header(&r, true, "content-length: 12\r\n", 20) && r.length == 12);
  /* numbers that 64 bits do not hold, also such as would come out small again */
  static const char *const wrong[] = {"Content-Length: 18446744073709551617", "Content-Length: 4611686018427387904",
                                      "Content-Length: -1", "Content-Length: ", "Content-Length: 1 2",
                                      "Content-Range: bytes 0-1/18446744073709551626", "Content-Range: 1-2/3"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_false(hub_read_header(&r, true, wrong[i], strlen(wrong[i])));
  assert_int_equal(r.length, 12);
  assert_true(hub_read_header(&r, true, "Content-Range: bytes 5-9/10", 27) && r.ranged);
  assert_true(r.range_from == 5 && r.range_total == 10);
  assert_true(hub_read_header(&r, false, "ETag: \"abc\"", 11) && r.etag[0] == '\0'); /* of another host */
  assert_true(hub_read_header(&r, true, "ETag: W/\"abc\"", 13));
  assert_string_equal(r.etag, "abc");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_of_models), cmocka_unit_test(test_long_names),
                                     cmocka_unit_test(test_paths), cmocka_unit_test(test_hashes),
                                     cmocka_unit_test(test_choices), cmocka_unit_test(test_headers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
