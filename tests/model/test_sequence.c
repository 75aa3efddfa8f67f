/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences: truncation, limits, what is refused and that nothing has changed then, other threads, closing, and the
 * cache across the boundary of longrope. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "container/container.h"
#include "model/model_testing.h"
#include "model/sequence.h"

static const uint32_t text[] = {1, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200, 210, 220};
enum { TEXT = sizeof text / sizeof *text };

static ellm_model *open_pool(uint32_t positions) {
  ellm_model_options options;
  ellm_model *model = NULL;
  ellm_model_options_init(&options);
  options.threads = 2;
  options.cache_positions = positions;
  ASSERT_OK(ellm_model_open(STORIES_FOLDER, &options, &model, ERR));
  return model;
}

static float *row_of(const ellm_model *model) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  float *row = calloc(info.vocab_size, sizeof *row);
  assert_non_null(row);
  return row;
}

static uint32_t free_positions(ellm_model *model) {
  uint32_t n;
  ellm_model_cache_usage(model, NULL, &n);
  return n;
}

static void truncation_gives_the_same_logits(void **state) {
  (void)state;
  ellm_model *model = open_model(STORIES_FOLDER, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const uint32_t other[2] = {300, 301};
  float *expected = row_of(model), *got = row_of(model);
  ellm_sequence *s = sequence_of(model, text, 0);
  ASSERT_OK(append(model, s, text, 6, expected, 1, ERR));
  ASSERT_OK(ellm_sequence_truncate(s, 3, ERR));
  assert_int_equal(ellm_sequence_length(s), 3);
  ASSERT_OK(append(model, s, other, 2, got, 1, ERR));
  assert_memory_not_equal(expected, got, info.vocab_size * sizeof(float));
  ASSERT_OK(ellm_sequence_truncate(s, 3, ERR));
  ASSERT_OK(append(model, s, text + 3, 3, got, 1, ERR));
  assert_memory_equal(expected, got, info.vocab_size * sizeof(float));
  ASSERT_OK(ellm_sequence_truncate(s, 99, ERR)); /* nothing to forget */
  assert_int_equal(ellm_sequence_length(s), 6);
  assert_memory_equal(ellm_sequence_ids(s), text, 6 * sizeof *text);
  free(expected);
  free(got);
  ellm_sequence_free(s);
  ellm_model_close(model);
}

static void limits(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model = open_pool(32), *other = open_pool(0);
  ellm_model_info info;
  uint32_t positions;
  ellm_model_get_info(model, &info);
  assert_int_equal(info.activations, ELLM_ACTIVATIONS_F32);
  assert_int_equal(info.cache_type, ELLM_CACHE_F32);
  ellm_model_cache_usage(other, &positions, NULL);
  assert_int_equal(positions, info.max_context < 4096 ? info.max_context : 4096);
  ellm_model_cache_usage(model, &positions, NULL);
  assert_int_equal(positions, 32);

  ellm_sequence *s = sequence_of(model, text, 3), *foreign = sequence_of(other, text, 1);
  const uint32_t beyond[2] = {1, info.vocab_size};
  uint32_t *many = calloc(info.max_context + 1, sizeof *many);
  float *row = row_of(model);
  expect_error(append(model, s, many, 30, row, 1, &err), ELLM_ERR_INPUT, &err, "outgrows");
  expect_error(append(model, s, beyond, 2, row, 1, &err), ELLM_ERR_INPUT, &err, "beyond");
  expect_error(append(model, s, text, 1, row, 2, &err), ELLM_ERR_USAGE, &err, "requested");
  expect_error(append(model, s, text, 1, NULL, 1, &err), ELLM_ERR_USAGE, &err, "no room");
  expect_error(append(model, s, NULL, 2, NULL, 0, &err), ELLM_ERR_USAGE, &err, "missing");
  expect_error(append(model, foreign, text, 1, row, 1, &err), ELLM_ERR_USAGE, &err, "another model");
  expect_error(append(model, NULL, text, 1, row, 1, &err), ELLM_ERR_USAGE, &err, "missing");
  expect_error(append(other, foreign, many, info.max_context, row, 1, &err), ELLM_ERR_INPUT, &err, "full");
  expect_error(ellm_sequence_announce(s, info.max_context + 1, &err), ELLM_ERR_INPUT, &err, "beyond");
  const ellm_batch_item twice[] = {{s, text, 1, NULL, 0}, {s, text, 1, NULL, 0}};
  expect_error(ellm_evaluate(model, twice, 2, &err), ELLM_ERR_USAGE, &err, "same sequence");
  assert_int_equal(ellm_sequence_length(s), 3);
  assert_int_equal(free_positions(model), 16);
  ASSERT_OK(append(model, s, text, 0, NULL, 0, ERR));
  ASSERT_OK(ellm_evaluate(model, NULL, 0, ERR));
  ASSERT_OK(append(model, s, text + 3, 1, row, 1, ERR));
  assert_int_equal(ellm_sequence_length(s), 4);
  /* a larger pool keeps what there is */
  ASSERT_OK(ellm_model_reserve(model, 64, ERR));
  ASSERT_OK(append(model, s, text + 4, TEXT - 4, row, 1, ERR));
  float *expected = all_logits(other, text, TEXT, TEXT);
  assert_memory_equal(row, expected + (TEXT - 1) * (size_t)info.vocab_size, info.vocab_size * sizeof *row);
  ASSERT_OK(append(model, s, many, 64 - TEXT, row, 1, ERR));
  free(expected);
  free(many);
  free(row);
  ellm_sequence_free(s);
  ellm_sequence_free(foreign);
  ellm_model_close(model);
  ellm_model_close(other);
}

/* When the pool is full a batch is refused as a whole; pages that are freed are used again. */
static void a_full_pool_refuses(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model = open_pool(48);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  float *expected = all_logits(model, text, TEXT, 1), *row = row_of(model);
  ellm_sequence *a = sequence_of(model, text, 16), *b = sequence_of(model, text, 17), *fork;
  assert_int_equal(free_positions(model), 0);
  const ellm_batch_item both[] = {{b, text + 17, 1, NULL, 0}, {a, text + 16, 1, NULL, 0}};
  expect_error(ellm_evaluate(model, both, 2, &err), ELLM_ERR_FULL, &err, "full");
  assert_int_equal(ellm_sequence_length(a), 16);
  assert_int_equal(ellm_sequence_length(b), 17);
  /* a fork takes no page until it goes on; then it needs one, unless it is the last one that holds it */
  ASSERT_OK(ellm_sequence_fork(b, &fork, ERR));
  expect_error(append(model, fork, text + 17, 1, row, 1, &err), ELLM_ERR_FULL, &err, "full");
  ellm_sequence_free(b);
  ASSERT_OK(append(model, fork, text + 17, 1, row, 1, ERR));
  assert_memory_equal(row, expected + (size_t)17 * info.vocab_size, info.vocab_size * sizeof *row);
  ellm_sequence_free(fork);
  assert_int_equal(free_positions(model), 32);
  ASSERT_OK(append(model, a, text + 16, 3, row, 1, ERR));
  assert_memory_equal(row, expected + (size_t)18 * info.vocab_size, info.vocab_size * sizeof *row);
  ellm_sequence_free(a);
  assert_int_equal(free_positions(model), 48);
  free(row);
  free(expected);
  ellm_model_close(model);
}

static void modes_that_do_not_go_together(void **state) {
  (void)state;
  ellm_model_options options;
  ellm_model *model;
  ellm_error err;
  ellm_model_options_init(&options);
  options.activations = ELLM_ACTIVATIONS_I16;
  expect_error(ellm_model_open(STORIES_FOLDER, &options, &model, &err), ELLM_ERR_USAGE, &err, "runs with f32");
  options.activations = ELLM_ACTIVATIONS_F32;
  options.cache_type = ELLM_CACHE_F16;
  expect_error(ellm_model_open(STORIES_FOLDER, &options, &model, &err), ELLM_ERR_USAGE, &err, "cache");
  ellm_model_options_init(&options);
  expect_error(ellm_model_open("/nonexistent/model", &options, &model, &err), ELLM_ERR_IO, &err, "/nonexistent/model");
  assert_null(model);
}

/* ------------------------------------------------------------ threads, closing */

/* A sequence in use by one thread is refused to others, and nothing of it changes. */
static void one_thread_at_a_time(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model = open_pool(64);
  ellm_sequence *s = sequence_of(model, text, 5), *fork;
  ASSERT_OK(sequence_acquire(s, ERR)); /* as a call of another thread does */
  expect_error(append(model, s, text, 1, NULL, 0, &err), ELLM_ERR_USAGE, &err, "another thread");
  expect_error(ellm_sequence_fork(s, &fork, &err), ELLM_ERR_USAGE, &err, "another thread");
  expect_error(ellm_sequence_truncate(s, 1, &err), ELLM_ERR_USAGE, &err, "another thread");
  expect_error(ellm_sequence_announce(s, 9, &err), ELLM_ERR_USAGE, &err, "another thread");
  expect_error(ellm_sequence_save(s, "/tmp/x", NULL, NULL, &err), ELLM_ERR_USAGE, &err, "another thread");
  expect_error(ellm_sequence_restore(s, "/tmp/x", NULL, 0, NULL, NULL, &err), ELLM_ERR_USAGE, &err, "another thread");
  assert_int_equal(ellm_sequence_length(s), 5);
  ellm_sequence_free(s); /* goes when the other call is done */
  assert_int_equal(free_positions(model), 48);
  sequence_release(s);
  assert_int_equal(free_positions(model), 64);
  ellm_model_close(model);
}

typedef struct racing {
  ellm_model *model;
  ellm_sequence *s;
  atomic_int evaluated, refused, other;
} racing;

static void *race(void *user) {
  racing *r = user;
  for (int i = 0; i < 40; i++) {
    ellm_error err;
    const ellm_status status = append(r->model, r->s, text, 1, NULL, 0, &err);
    atomic_fetch_add(status == ELLM_OK ? &r->evaluated : status == ELLM_ERR_USAGE ? &r->refused : &r->other, 1);
  }
  return NULL;
}

static void two_threads_at_once(void **state) {
  (void)state;
  racing r = {.model = open_pool(128)};
  pthread_t threads[2];
  r.s = sequence_of(r.model, text, 0);
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, race, &r), 0);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_int_equal(r.other, 0);
  assert_int_equal(r.evaluated + r.refused, 80);
  assert_int_equal(ellm_sequence_length(r.s), r.evaluated);
  ellm_sequence_free(r.s);
  ellm_model_close(r.model);
}

/* Different sequences may be used by different threads. */
static void *work_alone(void *user) {
  ellm_model *model = user;
  float *row = row_of(model);
  ellm_error err = {0};
  for (int round = 0; round < 10; round++) {
    ellm_sequence *s = NULL, *fork = NULL;
    ellm_status status = ellm_sequence_create(model, &s, &err);
    if (status == ELLM_OK) status = append(model, s, text, 10, row, 1, &err);
    if (status == ELLM_OK) status = ellm_sequence_fork(s, &fork, &err);
    if (status == ELLM_OK) status = append(model, fork, text + 10, TEXT - 10, row, 1, &err);
    ellm_sequence_free(s);
    ellm_sequence_free(fork);
    if (status != ELLM_OK) break;
  }
  free(row);
  return err.status == ELLM_OK ? NULL : user;
}

static void sequences_of_several_threads(void **state) {
  (void)state;
  ellm_model *model = open_pool(16);
  pthread_t threads[3];
  void *failed;
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, work_alone, model), 0);
  for (uint32_t n = 32; n <= 256; n += 16) ASSERT_OK(ellm_model_reserve(model, n, ERR));
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], &failed);
    (void)failed; /* while the pool was small it may have been full */
  }
  assert_int_equal(free_positions(model), 256);
  assert_null(work_alone(model));
  ellm_model_close(model);
}

/* The model goes with its last sequence. */
static void closing_with_live_sequences(void **state) {
  (void)state;
  ellm_error err;
  ellm_model *model = open_pool(64);
  ellm_sequence *a = sequence_of(model, text, 5), *b, *c;
  ASSERT_OK(ellm_sequence_fork(a, &b, ERR));
  ellm_model_close(model);
  expect_error(append(model, a, text, 1, NULL, 0, &err), ELLM_ERR_USAGE, &err, "closed");
  expect_error(ellm_sequence_create(model, &c, &err), ELLM_ERR_USAGE, &err, "closed");
  assert_null(c);
  ellm_sequence_free(a);
  assert_int_equal(ellm_sequence_length(b), 5);
  assert_memory_equal(ellm_sequence_ids(b), text, 5 * sizeof *text);
  ellm_sequence_free(b);
  ellm_sequence_free(NULL);
}

static void logits_that_are_none(void **state) {
  (void)state;
  ellm_error err;
  float row[5] = {1, -INFINITY, 3.4028234e38f, -3, 0};
  ASSERT_OK(ellm_logits_check(row, 5, 7, ERR));
  row[4] = NAN;
  expect_error(ellm_logits_check(row, 5, 7, &err), ELLM_ERR_INPUT, &err, "position 7 hold NaN (token id 4)");
  row[3] = INFINITY;
  expect_error(ellm_logits_check(row, 5, 7, &err), ELLM_ERR_INPUT, &err, "position 7 hold infinity (token id 3)");
}

/* ------------------------------------------------------------------- failing */

/* A .ellm file of a longrope model, at path[64], and one whose output matrix is damaged: at damaged[64]. */
static void make_damaged(char *path, char *damaged) {
  char folder[512];
  ellm_compress_options options;
  ellm_file *file;
  container_block block;
  uint8_t *data;
  size_t all, at = 0;
  snprintf(path, 64, "/tmp/ellm-sequence-%ld", (long)getpid());
  snprintf(damaged, 64, "/tmp/ellm-sequence-%ld-damaged", (long)getpid());
  assert_true(golden_model("phi3-longrope", folder, sizeof folder));
  ellm_compress_options_init(&options);
  ASSERT_OK(ellm_compress(folder, path, &options, NULL, ERR));
  ASSERT_OK(file_read_all(path, 1 << 24, &data, &all, ERR));
  ASSERT_OK(ellm_file_open(path, &file, ERR));
  ASSERT_OK(container_checked_block(file, container_find(file, "lm_head.weight"), 0, &block, ERR));
  while (memcmp(data + at, block.data, block.bytes) != 0) assert_true(++at + block.bytes <= all);
  data[at + block.bytes / 2] ^= 1;
  ellm_file_close(file);
  FILE *f = fopen(damaged, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, all, f), all);
  assert_int_equal(fclose(f), 0);
  free(data);
}

/* Ids, keys and values of a sequence, as a prompt cache has them behind its head, which names the model. */
static uint8_t *held_by(const ellm_sequence *s, size_t *bytes) {
  char path[64];
  uint8_t *data;
  snprintf(path, sizeof path, "/tmp/ellm-sequence-%ld-cache", (long)getpid());
  ASSERT_OK(ellm_sequence_save(s, path, NULL, NULL, ERR));
  ASSERT_OK(file_read_all(path, 1 << 24, &data, bytes, ERR));
  unlink(path);
  memset(data, 0, *bytes < 128 ? *bytes : 128);
  return data;
}

static void expect_same(const ellm_sequence *a, const ellm_sequence *b) {
  size_t n, m;
  uint8_t *x = held_by(a, &n), *y = held_by(b, &m);
  assert_int_equal(n, m);
  assert_memory_equal(x, y, n);
  free(x);
  free(y);
}

/* An evaluation that fails when all layers are computed already, at the logits: every sequence is as before, also where
 * one of them was to be computed anew with other factors. */
static void a_failed_evaluation_changes_nothing(void **state) {
  (void)state;
  char path[64], damaged[64];
  ellm_error err;
  make_damaged(path, damaged);
  ellm_model *good = open_model(path, 2, ELLM_ACTIVATIONS_I16), *bad = open_model(damaged, 2, ELLM_ACTIVATIONS_I16);
  ellm_model_info info;
  ellm_model_get_info(bad, &info);
  const uint32_t boundary = bad->ropes.long_above, n = boundary + 4;
  assert_true(boundary > 20 && n < info.max_context);
  uint32_t *ids = calloc(n, sizeof *ids);
  for (uint32_t i = 0; i < n; i++) ids[i] = (i * 37 + 5) % info.vocab_size;
  float *row = calloc(2, info.vocab_size * sizeof *row);
  ellm_sequence *s = sequence_of(bad, ids, boundary - 1), *fork, *expected = sequence_of(good, ids, boundary - 1);
  ASSERT_OK(ellm_sequence_fork(s, &fork, ERR));
  const uint32_t free_before = free_positions(bad);

  ellm_batch_item items[] = {{s, ids + boundary - 1, 1, NULL, 0}, {fork, ids + 3, 1, row, 1}};
  for (int crossing = 0; crossing < 2; crossing++) {
    expect_error(ellm_evaluate(bad, items, 2, &err), ELLM_ERR_INPUT, &err, "checksum");
    assert_int_equal(ellm_sequence_length(s), boundary - 1);
    assert_int_equal(ellm_sequence_length(fork), boundary - 1);
    assert_memory_equal(ellm_sequence_ids(s), ids, (boundary - 1) * sizeof *ids);
    expect_same(fork, expected);
    if (crossing == 0) {
      expect_same(s, expected);
      items[0].n_ids = 4; /* this time s crosses the boundary */
    }
  }
  assert_true(free_positions(bad) <= free_before); /* s and its fork no longer share, at most */
  /* what s held was to be computed anew, and is when it is evaluated next: with its old factors or with others */
  expect_error(ellm_sequence_save(s, "/tmp/none", NULL, NULL, &err), ELLM_ERR_USAGE, &err, "not evaluated");
  ASSERT_OK(append(bad, s, ids + boundary - 1, 1, NULL, 0, ERR));
  ASSERT_OK(append(good, expected, ids + boundary - 1, 1, NULL, 0, ERR));
  expect_same(s, expected);
  ASSERT_OK(append(bad, s, ids + boundary, 3, NULL, 0, ERR));
  ASSERT_OK(append(good, expected, ids + boundary, 3, NULL, 0, ERR));
  expect_same(s, expected);
  ellm_sequence_free(s);
  ellm_sequence_free(fork);
  ellm_sequence_free(expected);
  ellm_model_close(good);
  ellm_model_close(bad);
  free(row);
  free(ids);
  unlink(path);
  unlink(damaged);
}

/* ------------------------------------------------------------------- longrope */

/* Generation one by one across original_max_position_embeddings gives what all ids at once give. */
static void longrope_rebuilds_its_cache(void **state) {
  (void)state;
  char path[512];
  assert_true(golden_model("phi3-longrope", path, sizeof path));
  ellm_model *model = open_model(path, 2, ELLM_ACTIVATIONS_F32);
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  const uint32_t boundary = model->ropes.long_above, n = boundary + 3;
  assert_true(boundary > 8 && n < info.max_context);
  const size_t row = info.vocab_size * sizeof(float);
  uint32_t *ids = calloc(n, sizeof *ids);
  for (uint32_t i = 0; i < n; i++) ids[i] = (i * 37 + 5) % info.vocab_size;
  float *expected = calloc(n, row), *got = calloc(n, row);
  ASSERT_OK(ellm_model_reserve(model, 2 * n + 32, ERR));
  for (uint32_t end = boundary - 2; end <= n; end++) {
    const float *last = expected + (size_t)(end - 1) * info.vocab_size;
    ellm_sequence *s = sequence_of(model, ids, 0), *fork;
    ASSERT_OK(append(model, s, ids, end, expected, end, ERR));
    ellm_sequence_free(s);
    s = sequence_of(model, ids, 0);
    for (uint32_t i = 0; i < end; i++) ASSERT_OK(append(model, s, ids + i, 1, got, 1, ERR));
    assert_memory_equal(last, got, row);
    /* a fork that goes on with other factors leaves the first one what it has */
    ASSERT_OK(ellm_sequence_fork(s, &fork, ERR));
    ASSERT_OK(ellm_sequence_truncate(fork, 4, ERR));
    ASSERT_OK(append(model, fork, ids + 4, 3, got, 1, ERR));
    float *alone = all_logits(model, ids, 7, 7);
    assert_memory_equal(alone + 6 * (size_t)info.vocab_size, got, row);
    free(alone);
    ellm_sequence_free(fork);
    /* and back below the boundary */
    ASSERT_OK(ellm_sequence_truncate(s, 4, ERR));
    ASSERT_OK(append(model, s, ids + 4, end - 4, got, 1, ERR));
    assert_memory_equal(last, got, row);
    ellm_sequence_free(s);
    /* a length that is announced decides from the first position on */
    s = sequence_of(model, ids, 0);
    ASSERT_OK(ellm_sequence_announce(s, end, ERR));
    for (uint32_t i = 0; i < end; i += 5) {
      const uint32_t m = end - i < 5 ? end - i : 5;
      ASSERT_OK(append(model, s, ids + i, m, got + (size_t)i * info.vocab_size, m, ERR));
    }
    assert_memory_equal(expected, got, end * row);
    ellm_sequence_free(s);
  }
  free(ids);
  free(expected);
  free(got);
  ellm_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(truncation_gives_the_same_logits),
      cmocka_unit_test(limits),
      cmocka_unit_test(a_full_pool_refuses),
      cmocka_unit_test(modes_that_do_not_go_together),
      cmocka_unit_test(one_thread_at_a_time),
      cmocka_unit_test(two_threads_at_once),
      cmocka_unit_test(sequences_of_several_threads),
      cmocka_unit_test(closing_with_live_sequences),
      cmocka_unit_test(logits_that_are_none),
      cmocka_unit_test(a_failed_evaluation_changes_nothing),
      cmocka_unit_test(longrope_rebuilds_its_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
