/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: every thread once, every item once and in order, many short sections, more threads than CPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/threads.h"

enum { MOST = 17, ITEMS = 1000 };

static thread_pool *pool_of(int n) {
  thread_pool *pool;
  ellm_error err;
  const ellm_status status = thread_pool_create(n, &pool, &err);
  if (status != ELLM_OK) fail_msg("%s", err.message);
  return pool;
}

typedef struct section {
  atomic_int calls[MOST];
  atomic_int wrong;
  int n_threads;
} section;

static void count_thread(void *user, int thread, int n_threads) {
  section *s = user;
  if (thread < 0 || thread >= s->n_threads || n_threads != s->n_threads) {
    atomic_fetch_add(&s->wrong, 1);
    return;
  }
  atomic_fetch_add(&s->calls[thread], 1);
}

static void every_thread_once(void **state) {
  (void)state;
  for (int n = 1; n <= MOST; n += n < 4 ? 1 : 13) {
    thread_pool *pool = pool_of(n);
    assert_int_equal(thread_pool_size(pool), n);
    section s = {.n_threads = n};
    for (int round = 1; round <= 500; round++) {
      pool_run(pool, count_thread, &s);
      for (int t = 0; t < n; t++) assert_int_equal(atomic_load(&s.calls[t]), round);
    }
    assert_int_equal(atomic_load(&s.wrong), 0);
    thread_pool_free(pool);
  }
}

typedef struct items {
  atomic_int seen[ITEMS];
  size_t last[MOST]; /* each thread sees ascending items */
  atomic_int wrong;
  int n_threads;
} items;

static void count_item(void *user, size_t item, int thread) {
  items *s = user;
  if (thread < 0 || thread >= s->n_threads || item >= ITEMS || item + 1 <= s->last[thread]) {
    atomic_fetch_add(&s->wrong, 1);
    return;
  }
  s->last[thread] = item + 1;
  atomic_fetch_add(&s->seen[item], 1);
}

static void every_item_once(void **state) {
  (void)state;
  static items s;
  for (int n = 1; n <= MOST; n += 4) {
    thread_pool *pool = pool_of(n);
    for (size_t n_items = 0; n_items <= ITEMS; n_items += 250) {
      memset(&s, 0, sizeof s);
      s.n_threads = n;
      pool_for(pool, n_items, count_item, &s);
      for (size_t i = 0; i < ITEMS; i++) assert_int_equal(atomic_load(&s.seen[i]), i < n_items);
      assert_int_equal(atomic_load(&s.wrong), 0);
    }
    thread_pool_free(pool);
  }
}

static void work(void *user, size_t item, int thread) {
  (void)thread;
  uint64_t *values = user;
  values[item] = values[item] * 6364136223846793005u + item;
}

/* What one section wrote the next one sees, also when the workers have gone to sleep in between. */
static void sections_follow_each_other(void **state) {
  (void)state;
  uint64_t values[64] = {0}, want[64] = {0};
  thread_pool *pool = pool_of(3);
  for (int round = 0; round < 2000; round++) {
    pool_for(pool, 64, work, values);
    for (size_t i = 0; i < 64; i++) work(want, i, 0);
    if (round % 200 == 0) nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
  }
  assert_memory_equal(values, want, sizeof want);
  thread_pool_free(pool);
}

static void slow_worker(void *user, int thread, int n_threads) {
  (void)n_threads;
  if (thread == 1) nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
  atomic_fetch_add((atomic_int *)user, 1);
}

static void caller_waits(void **state) {
  (void)state;
  thread_pool *pool = pool_of(2);
  atomic_int count = 0;
  for (int round = 1; round <= 3; round++) {
    pool_run(pool, slow_worker, &count);
    assert_int_equal(atomic_load(&count), 2 * round);
  }
  thread_pool_free(pool);
}

static void created_and_freed(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) thread_pool_free(pool_of(1 + i % 5));
  thread_pool_free(NULL);
}

static void sizes(void **state) {
  (void)state;
  thread_pool *pool;
  ellm_error err;
  assert_true(cpu_affinity_count() >= 1);
  assert_int_equal(thread_pool_create(-1, &pool, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "-1"));
  assert_null(pool);
  assert_int_equal(thread_pool_create(1025, &pool, &err), ELLM_ERR_USAGE);
  pool = pool_of(0);
  assert_int_equal(thread_pool_size(pool), cpu_affinity_count());
  thread_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_thread_once), cmocka_unit_test(every_item_once),
      cmocka_unit_test(sections_follow_each_other),
      cmocka_unit_test(caller_waits),      cmocka_unit_test(created_and_freed), cmocka_unit_test(sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
