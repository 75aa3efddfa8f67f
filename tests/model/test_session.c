/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt caches: the same logits after restoring, what is refused, and that a refusal leaves the sequence alone. */
#include "model/model_testing.h"

#include <unistd.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "model/prompt_cache.h"

enum { N = 21 };

static void make_ids(uint32_t ids[N], uint32_t vocab_size) {
  for (uint32_t i = 0; i < N; i++) ids[i] = (i * 37 + 5) % vocab_size;
}

static char *cache_path(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/entrollm-session-%ld", (long)getpid());
  return path;
}

static ellm_model *model;
static ellm_model_info info;
static uint32_t ids[N];

static int open_all(void **state) {
  (void)state;
  model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_get_info(model, &info);
  make_ids(ids, info.vocab_size);
  return 0;
}

static int close_all(void **state) {
  (void)state;
  ellm_model_close(model);
  unlink(cache_path());
  return 0;
}


/* Restored up to any position and into sequences that held anything, evaluation goes on as if nothing had been. */
static void the_same_logits(void **state) {
  (void)state;
  float *expected = all_logits(model, ids, N, N), *got = malloc(info.vocab_size * sizeof *got);
  ellm_sequence *s = sequence_of(model, ids, N - 1);
  assert_int_equal(ellm_sequence_length(s), N - 1);
  assert_memory_equal(ellm_sequence_ids(s), ids, (N - 1) * sizeof *ids);
  ASSERT_OK(ellm_sequence_save(s, cache_path(), NULL, NULL, ERR));
  ellm_sequence_free(s);
  for (uint32_t n = 0; n < N; n++) {
    s = sequence_of(model, ids + 1, n % 2 ? 5 : 20); /* what it held is forgotten */
    ASSERT_OK(ellm_sequence_restore(s, cache_path(), ids, n, NULL, NULL, ERR));
    assert_int_equal(ellm_sequence_length(s), n);
    assert_memory_equal(ellm_sequence_ids(s), ids, n * sizeof *ids);
    ASSERT_OK(append(model, s, ids + n, N - n, got, 1, ERR));
    assert_memory_equal(got, expected + (size_t)(N - 1) * info.vocab_size, info.vocab_size * sizeof *got);
    ellm_sequence_free(s);
  }
  /* all that fits, where no ids are given: a pool of one page */
  ellm_model_options options;
  ellm_model *small;
  ellm_model_options_init(&options);
  options.cache_positions = 1;
  ASSERT_OK(ellm_model_open(STORIES_FOLDER, &options, &small, ERR));
  s = sequence_of(small, ids, 2);
  ASSERT_OK(ellm_sequence_restore(s, cache_path(), NULL, 0, NULL, NULL, ERR));
  assert_int_equal(ellm_sequence_length(s), 16);
  ASSERT_OK(ellm_sequence_truncate(s, 8, ERR));
  ASSERT_OK(append(small, s, ids + 8, 1, got, 1, ERR));
  assert_memory_equal(got, expected + (size_t)8 * info.vocab_size, info.vocab_size * sizeof *got);
  /* more than fits is refused, and the sequence is as it was */
  ellm_error err;
  expect_error(ellm_sequence_restore(s, cache_path(), ids, N, NULL, NULL, &err), ELLM_ERR_FULL, &err, "cache is full");
  assert_int_equal(ellm_sequence_length(s), 9);
  ASSERT_OK(append(small, s, ids + 9, 1, got, 1, ERR));
  assert_memory_equal(got, expected + (size_t)9 * info.vocab_size, info.vocab_size * sizeof *got);
  ellm_sequence_free(s);
  ellm_model_close(small);
  free(expected);
  free(got);
}

/* Positions that a sequence once held and has forgotten leave no trace. */
static void the_same_bytes(void **state) {
  (void)state;
  uint8_t *first, *second;
  size_t n_first, n_second;
  ellm_sequence *s = sequence_of(model, ids, 5);
  ASSERT_OK(ellm_sequence_save(s, cache_path(), NULL, NULL, ERR));
  ASSERT_OK(file_read_all(cache_path(), 1 << 24, &first, &n_first, ERR));
  ellm_sequence_free(s);
  s = sequence_of(model, ids, N);
  ASSERT_OK(ellm_sequence_truncate(s, 5, ERR));
  ASSERT_OK(ellm_sequence_save(s, cache_path(), NULL, NULL, ERR));
  ASSERT_OK(file_read_all(cache_path(), 1 << 24, &second, &n_second, ERR));
  assert_int_equal(n_first, n_second);
  assert_memory_equal(first, second, n_first);
  ASSERT_OK(ellm_sequence_truncate(s, 0, ERR));
  ellm_error err;
  assert_int_equal(ellm_sequence_save(s, cache_path(), NULL, NULL, &err), ELLM_ERR_USAGE);
  ellm_sequence_free(s);
  free(first);
  free(second);
}

static void write_file(const uint8_t *data, size_t bytes) {
  FILE *f = fopen(cache_path(), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  assert_int_equal(fclose(f), 0);
}

/* The head's checksum made right, as a hostile writer would. */
static void seal(uint8_t *data, size_t bytes) {
  store_u64(data + 88, hash64(data + PROMPT_CACHE_HEAD_BYTES, bytes - PROMPT_CACHE_HEAD_BYTES));
  store_u64(data + 120, hash64(data, 120));
}

static void refuse(const uint8_t *data, size_t bytes, const char *word) {
  ellm_error err = {0};
  ellm_sequence *s = sequence_of(model, ids, 3);
  write_file(data, bytes);
  assert_int_equal(ellm_sequence_restore(s, cache_path(), ids, N, NULL, NULL, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, word) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.message, word);
  assert_int_equal(ellm_sequence_length(s), 3);
  assert_memory_equal(ellm_sequence_ids(s), ids, 3 * sizeof *ids);
  ellm_sequence_free(s);
}

static void damage_is_refused(void **state) {
  (void)state;
  uint8_t *data;
  size_t bytes;
  ellm_sequence *s = sequence_of(model, ids, N);
  ASSERT_OK(ellm_sequence_save(s, cache_path(), NULL, NULL, ERR));
  ellm_sequence_free(s);
  ASSERT_OK(file_read_all(cache_path(), 1 << 24, &data, &bytes, ERR));
  uint8_t *copy = malloc(bytes + 64);
  refuse(data, 0, "not a prompt cache");
  refuse(data, 100, "cut off");
  refuse(data, bytes - 1, "bytes");
  const struct { size_t at; uint32_t value; const char *word; } fields[] = {
      {0, 0, "not a prompt cache"},     {8, 2, "version 2"},        {12, 0, "0 positions"},
      {12, N + 1, "bytes for a prompt cache"}, {12, UINT32_MAX, "bytes for"}, {16, 0x78787878, "another model"},
      {48, ELLM_ACTIVATIONS_I16, "i16"}, {48, 77, "77"},            {52, ELLM_CACHE_F16, "f16"},
      {52, 9, "9"},                     {56, 0xFFFFFFFF, "layers"}, {60, 1, "heads"},
      {64, 0, "elements"},              {68, 1, "token ids"},       {72, 1, "flags"},
      {72, 2, "flags"},                 {76, 1, "reserved"},        {80, 1, "bytes for"},
      {96, 1, "reserved"},              {116, 1, "reserved"},       {128, 1u << 30, "token id"},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    memcpy(copy, data, bytes);
    store_u32(copy + fields[i].at, fields[i].value);
    refuse(copy, bytes, i < 2 ? fields[i].word : "checksum");
    seal(copy, bytes);
    refuse(copy, bytes, fields[i].word);
  }
  memcpy(copy, data, bytes);
  memset(copy + bytes, 0, 64);
  store_u32(copy + 12, N);
  seal(copy, bytes + 64);
  refuse(copy, bytes + 64, "bytes");
  free(copy);
  free(data);
}

static void sizes_do_not_overflow(void **state) {
  (void)state;
  prompt_cache_layout layout;
  prompt_cache_shape shape = {.cache_type = ELLM_CACHE_F32, .n_layers = 2, .n_kv_heads = 3, .head_dim = 5};
  assert_true(prompt_cache_layout_of(&shape, 17, &layout));
  assert_int_equal(layout.keys_at, 128 + 128);
  assert_int_equal(layout.key_bytes, 32 * 5 * 4);
  assert_int_equal(layout.value_bytes, 17 * 5 * 4);
  assert_int_equal(layout.file_bytes, 256 + 6 * 32 * 5 * 4 + 6 * 17 * 5 * 4);
  shape.n_layers = shape.n_kv_heads = shape.head_dim = UINT32_MAX;
  assert_false(prompt_cache_layout_of(&shape, UINT32_MAX, &layout));
  shape.head_dim = 1;
  assert_false(prompt_cache_layout_of(&shape, UINT32_MAX, &layout));
}

static bool stop(void *user, const ellm_progress *progress) {
  assert_string_equal(progress->stage, "identify");
  assert_true(progress->total > 0 && progress->done <= progress->total);
  ++*(int *)user;
  return false;
}

/* Identifying a folder can be stopped; it is done once for a model. */
static void identifying_stops(void **state) {
  (void)state;
  ellm_error err;
  int calls = 0;
  ellm_sequence *shared = sequence_of(model, ids, 3);
  ASSERT_OK(ellm_sequence_save(shared, cache_path(), NULL, NULL, ERR));
  ellm_model *other = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_sequence *s = sequence_of(other, ids + 1, 2);
  assert_int_equal(ellm_sequence_restore(s, cache_path(), ids, 3, stop, &calls, &err), ELLM_INTERRUPTED);
  assert_int_equal(ellm_sequence_length(s), 2);
  unlink(cache_path());
  assert_int_equal(ellm_sequence_save(s, cache_path(), stop, &calls, &err), ELLM_INTERRUPTED);
  assert_false(file_exists(cache_path()));
  assert_int_equal(calls, 2);
  ASSERT_OK(ellm_sequence_save(s, cache_path(), NULL, NULL, ERR));
  ASSERT_OK(ellm_sequence_restore(shared, cache_path(), ids + 1, 2, stop, &calls, ERR));
  ASSERT_OK(ellm_sequence_save(s, cache_path(), stop, &calls, ERR));
  assert_int_equal(calls, 2);
  ellm_sequence_free(shared);
  ellm_sequence_free(s);
  ellm_model_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_logits),
      cmocka_unit_test(the_same_bytes),
      cmocka_unit_test(damage_is_refused),
      cmocka_unit_test(sizes_do_not_overflow),
      cmocka_unit_test(identifying_stops),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
