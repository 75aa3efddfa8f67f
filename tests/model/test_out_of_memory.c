/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: while a model is opened, sequences are
 * made, forked, evaluated, saved and restored, and the pool grows. Each time that
 * is an error that says so, nothing is lost or leaked, and the same call succeeds
 * with the same logits once there is memory again.
 */
#include <unistd.h>

#include "failing_allocator.h"
#include "model/model_testing.h"
#include "sanitized.h"

/* --------------------------------------------------------------- the scenario */

enum { N = 40 };
static uint32_t ids[N];

/* Everything that a call of the scenario may need. */
typedef struct scene {
  const char *path, *cache;
  ellm_model_options options;
  ellm_model *model;
  ellm_sequence *first, *fork, *restored;
  float *logits;      /* [vocab_size] */
  uint32_t vocab_size;
} scene;

typedef ellm_status (*step_fn)(scene *s, ellm_error *err);

static ellm_status open_it(scene *s, ellm_error *err) { return ellm_model_open(s->path, &s->options, &s->model, err); }
static ellm_status create(scene *s, ellm_error *err) { return ellm_sequence_create(s->model, &s->first, err); }
static ellm_status prompt(scene *s, ellm_error *err) { return append(s->model, s->first, ids, 20, NULL, 0, err); }
static ellm_status fork_it(scene *s, ellm_error *err) { return ellm_sequence_fork(s->first, &s->fork, err); }
static ellm_status grow(scene *s, ellm_error *err) { return ellm_model_reserve(s->model, 128, err); }
static ellm_status together(scene *s, ellm_error *err) {
  const ellm_batch_item items[] = {{s->first, ids + 20, 1, NULL, 0}, {s->fork, ids + 20, N - 20, s->logits, 1}};
  return ellm_evaluate(s->model, items, 2, err);
}
static ellm_status save(scene *s, ellm_error *err) { return ellm_sequence_save(s->fork, s->cache, NULL, NULL, err); }
static ellm_status create_another(scene *s, ellm_error *err) {
  return ellm_sequence_create(s->model, &s->restored, err);
}
static ellm_status restore(scene *s, ellm_error *err) {
  return ellm_sequence_restore(s->restored, s->cache, ids, N - 1, NULL, NULL, err);
}
static ellm_status last(scene *s, ellm_error *err) {
  return append(s->model, s->restored, ids + N - 1, 1, s->logits + s->vocab_size, 1, err);
}

static const step_fn steps[] = {open_it, create, prompt, fork_it, grow, together, save, create_another, restore, last};
enum { STEPS = sizeof steps / sizeof *steps };

static uint32_t length(const ellm_sequence *s) { return s != NULL ? ellm_sequence_length(s) : 0; }

/* All steps; allocation number n of all of them fails, and the step that it hits is done again. False: no step made so
 * many. */
static bool play(scene *s, long n) {
  const long before = allocator.live;
  uint32_t free_before = 0, free_after;
  allocator_fail_after(n);
  for (int i = 0; i < STEPS; i++) {
    ellm_error err = {0};
    const uint32_t lengths[3] = {length(s->first), length(s->fork), length(s->restored)};
    if (s->model != NULL) ellm_model_cache_usage(s->model, NULL, &free_before);
    const ellm_status status = steps[i](s, &err);
    if (status == ELLM_OK) continue;
    if (!allocator.failed) fail_msg("step %d: %s", i, err.message);
    if (status != ELLM_ERR_IO || strstr(err.message, "memory") == NULL)
      fail_msg("allocation %ld, step %d: status %d: %s", n, i, (int)status, err.message);
    assert_true(length(s->first) == lengths[0] && length(s->fork) == lengths[1] && length(s->restored) == lengths[2]);
    if (s->model != NULL && steps[i] != grow) {
      ellm_model_cache_usage(s->model, NULL, &free_after);
      assert_int_equal(free_after, free_before);
    }
    allocator_recover();
    ASSERT_OK(steps[i](s, ERR));
  }
  allocator_recover();
  assert_memory_equal(s->logits, s->logits + s->vocab_size, s->vocab_size * sizeof *s->logits);
  ellm_sequence_free(s->first);
  ellm_sequence_free(s->fork);
  ellm_sequence_free(s->restored);
  ellm_model_close(s->model);
  s->model = NULL;
  s->first = s->fork = s->restored = NULL;
  if (allocator.live != before)
    fail_msg("allocation %ld fails: %ld blocks are left", n, allocator.live - before);
  return allocator.failed;
}

static void play_all(const char *path, const ellm_model_options *options) {
  char cache[] = "/tmp/ellm-memory-cache-XXXXXX";
  const int file = mkstemp(cache);
  assert_true(file >= 0);
  close(file);
  ellm_model *model;
  ellm_model_info info;
  ASSERT_OK(ellm_model_open(path, options, &model, ERR));
  ellm_model_get_info(model, &info);
  ellm_model_close(model);
  scene s = {.path = path, .cache = cache, .options = *options, .vocab_size = info.vocab_size};
  for (uint32_t i = 0; i < N; i++) ids[i] = (i * 37 + 5) % info.vocab_size;
  s.logits = calloc(2, info.vocab_size * sizeof *s.logits);
  float *expected = calloc(1, info.vocab_size * sizeof *expected);
  play(&s, -1);
  memcpy(expected, s.logits, info.vocab_size * sizeof *expected);
  static long first;
  const long stride = SANITIZED ? 7 : 2; /* another way of opening begins elsewhere among them */
  long n = first++ % stride;
  for (; play(&s, n); n += stride) assert_memory_equal(s.logits, expected, info.vocab_size * sizeof *expected);
  print_message("%s: of %ld allocations every %ld. failed once\n", path, n, stride);
  assert_true(n > 30);
  free(expected);
  free(s.logits);
  unlink(cache);
}

/* A folder, one with experts, and one with scales of norms and soft caps of its own. */
static void of_a_folder(void **state) {
  (void)state;
  static const char *const models[] = {"qwen3-qknorm", "qwen3moe-mixed", "gemma2-caps"};
  for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
    char path[512];
    ellm_model_options options;
    assert_true(golden_model(models[i], path, sizeof path));
    ellm_model_options_init(&options);
    options.threads = 2;
    options.cache_positions = 48;
    play_all(path, &options);
  }
}

static void of_a_file(void **state) {
  (void)state;
  char folder[512], path[] = "/tmp/ellm-memory-XXXXXX";
  const int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  ellm_compress_options compress;
  ellm_compress_options_init(&compress);
  compress.overwrite = true;
  assert_true(golden_model("qwen2-bias", folder, sizeof folder));
  for (int way = 0; way < 5; way++) {
    compress.lossless = way > 2;
    ASSERT_OK(ellm_compress(folder, path, &compress, NULL, ERR));
    ellm_model_options options;
    ellm_model_options_init(&options);
    options.threads = 2;
    options.cache_positions = 48;
    options.load = way == 1;
    if (way == 1) options.cache_type = ELLM_CACHE_Q8; /* its scales and queries are further blocks */
    options.expand = way == 2 || way == 4;
    play_all(path, &options);
  }
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(of_a_folder), cmocka_unit_test(of_a_file)};
  return cmocka_run_group_tests_name("out of memory", tests, NULL, NULL);
}
