/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer put together from its parts without a file gives the ids and texts of the same one from JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/bpe_build.h"
#include "text/text_testing.h"
#include "text/tokenizer_build.h"
#include "text/tokenizer_parts.h"

static const char json[] =
    "{'normalizer':{'type':'Lowercase'},'added_tokens':[{'id':6,'content':'<s>','single_word':false,'lstrip':false,"
    "'rstrip':false,'normalized':false,'special':true}],'post_processor':{'type':'BertProcessing','cls':['x',6],"
    "'sep':['a',0]},'decoder':{'type':'Fuse'},'model':{'vocab':{'a':0,'b':1,'ab':2,'abb':3,'c':4,'?':5},"
    "'merges':['a b','ab b'],'unk_token':'?'}}";

static bpe_builder builder(tokenizer_parts *parts) {
  static const char *const pieces[] = {"a", "b", "ab", "abb", "c", "?"};
  bpe_builder b;
  ellm_error err = {0};
  assert_int_equal(bpe_build_begin(&b, &parts->model, "parts", 6, &err), ELLM_OK);
  for (uint32_t id = 0; id < 6; ++id) {
    assert_int_equal(bpe_build_piece(&b, pieces[id], strlen(pieces[id]), id, &err), ELLM_OK);
  }
  return b;
}

static void add_special(tokenizer_parts *parts, uint32_t id) {
  ellm_error err = {0};
  const added_token token = {.id = id, .content = (char *)"<s>", .content_bytes = 3, .special = true};
  assert_int_equal(added_tokens_append(&parts->added, &token, "parts", &err), ELLM_OK);
}

static tokenizer_parts all_parts(void) {
  merge_parts merges[] = {{.text = {"a", "b"}, .bytes = {1, 1}}, {.text = {"ab", "b"}, .bytes = {2, 1}}};
  tokenizer_parts parts = {0};
  ellm_error err = {0};
  bpe_builder b = builder(&parts);
  assert_int_equal(bpe_build_merges(&b, "?", 2, &err), ELLM_OK);
  assert_int_equal(bpe_build_merge(&b, merges, 2, &err), ELLM_OK);
  bpe_build_end(&b);
  parts.normalizer.steps[parts.normalizer.count++].kind = NORMALIZE_LOWERCASE;
  assert_true(id_list_append(&parts.post.before, &(uint32_t){6}, 1));
  assert_true(id_list_append(&parts.post.after, &(uint32_t){0}, 1));
  parts.decoder.present = true;
  parts.decoder.steps[parts.decoder.count++].kind = DECODE_FUSE;
  return parts;
}

static void test_same_as_json(void **state) {
  static const char *const texts[] = {"", "ABBab c", "<s>abb<S>", "aabbcc", "\xc3\xa9x"};
  (void)state;
  ellm_tokenizer *made[2] = {NULL, NULL};
  ellm_error err = {0};
  tokenizer_parts parts = all_parts();
  add_special(&parts, 6);
  if (tokenizer_build(&parts, "parts", &made[0], &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_null(parts.model.pieces.pieces);
  char *text = json_of(json);
  if (tokenizer_of_bytes(text, strlen(text), &made[1], &err) != ELLM_OK) fail_msg("%s", err.message);
  free(text);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    uint32_t *ids[2];
    size_t n[2], bytes[2];
    char *decoded[2];
    for (size_t k = 0; k < 2; ++k) {
      assert_int_equal(ellm_tokenizer_encode(made[k], texts[i], strlen(texts[i]), 0, &ids[k], &n[k], &err), ELLM_OK);
      assert_int_equal(ellm_tokenizer_decode(made[k], ids[k], n[k], false, &decoded[k], &bytes[k], &err), ELLM_OK);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof *ids[0]);
    assert_string_equal(decoded[0], decoded[1]);
    for (size_t k = 0; k < 2; ++k) {
      free(ids[k]);
      free(decoded[k]);
    }
  }
  ellm_tokenizer_free(made[0]);
  ellm_tokenizer_free(made[1]);
}

static void test_refused(void **state) {
  (void)state;
  tokenizer_parts parts = all_parts();
  ellm_tokenizer *tokenizer;
  ellm_error err = {0};
  add_special(&parts, 9);
  assert_int_equal(tokenizer_build(&parts, "parts", &tokenizer, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: added token \"<s>\" has id 9, but by the vocabulary it would be 6");
  assert_null(tokenizer);
  tokenizer_parts again = {0};
  bpe_builder b = builder(&again);
  assert_int_equal(bpe_build_piece(&b, "a", 1, 9, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: piece \"a\" appears twice");
  assert_int_equal(bpe_build_piece(&b, "d", 1, VOCAB_ID_LIMIT, &err), ELLM_ERR_INPUT);
  assert_int_equal(bpe_build_piece(&b, "e", 1, 3, &err), ELLM_OK);
  assert_int_equal(bpe_build_merges(&b, NULL, 0, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: id 3 of piece \"e\" is given to two pieces");
  bpe_build_end(&b);
  tokenizer_parts_free(&again);
  b = builder(&again);
  assert_int_equal(bpe_build_merges(&b, NULL, 0, &err), ELLM_OK);
  assert_int_equal(bpe_build_merge(&b, &(merge_parts){.text = {"a", "c"}, .bytes = {1, 1}}, 1, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: merge 0 names \"ac\", which is not in the vocabulary");
  bpe_build_end(&b);
  tokenizer_parts_free(&again);
  /* of several faults the first merge's is told */
  b = builder(&again);
  assert_int_equal(bpe_build_merges(&b, NULL, 0, &err), ELLM_OK);
  merge_parts two[] = {{.text = {"a", "c"}, .bytes = {1, 1}}, {.text = {"a", "q"}, .bytes = {1, 1}}};
  assert_int_equal(bpe_build_merge(&b, two, 2, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: merge 0 names \"ac\", which is not in the vocabulary");
  bpe_build_end(&b);
  tokenizer_parts_free(&again);
  b = builder(&again);
  assert_int_equal(bpe_build_merges(&b, NULL, 0, &err), ELLM_OK);
  two[0].text[1] = "b";
  assert_int_equal(bpe_build_merge(&b, two, 2, &err), ELLM_ERR_INPUT);
  assert_string_equal(err.message, "parts: merge 1 names \"q\", which is not in the vocabulary");
  bpe_build_end(&b);
  tokenizer_parts_free(&again);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_as_json), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests_name("parts of a tokenizer", tests, NULL, NULL);
}
