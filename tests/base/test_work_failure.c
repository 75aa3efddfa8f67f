/* SPDX-License-Identifier: Apache-2.0 */
/* The failure that counts is that of the lowest item, whatever the threads do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/threads.h"
#include "base/work_failure.h"

enum { ITEMS = 2000 };

typedef struct work { work_failure failure; size_t first; } work;

static void fail_some(void *user, size_t item, int thread) {
  work *w = user;
  ellm_error err;
  (void)thread;
  if (work_failed_before(&w->failure, item)) return;
  if (item < w->first || item % 3 == 1) return;
  ellm_error_set(&err, ELLM_ERR_INPUT, "item %zu", item);
  work_fail(&w->failure, item, &err);
}

static void test_lowest(void **state) {
  (void)state;
  thread_pool *pool;
  ellm_error err = {0};
  work w;
  work_failure_init(&w.failure);
  assert_int_equal(thread_pool_create(4, &pool, &err), ELLM_OK);
  for (size_t first = 0; first < 300; first += 3) {
    char text[32];
    w.first = first;
    pool_for(pool, ITEMS, fail_some, &w);
    assert_int_equal(work_failure_take(&w.failure, &err), ELLM_ERR_INPUT);
    snprintf(text, sizeof text, "item %zu", first);
    assert_string_equal(err.message, text);
    assert_int_equal(work_failure_take(&w.failure, &err), ELLM_OK); /* forgotten */
  }
  w.first = ITEMS;
  pool_for(pool, ITEMS, fail_some, &w);
  assert_int_equal(work_failure_take(&w.failure, NULL), ELLM_OK);
  thread_pool_free(pool);
}

static void test_order(void **state) {
  (void)state;
  work_failure f;
  ellm_error err = {0};
  work_failure_init(&f);
  for (uint64_t item = 9; item > 2; item -= 2) { /* 9 7 5 3 */
    ellm_error_set(&err, ELLM_ERR_IO, "item %u", (unsigned)item);
    work_fail(&f, item, &err);
    ellm_error_set(&err, ELLM_ERR_USAGE, "a higher one");
    work_fail(&f, item + 1, &err);
  }
  assert_true(work_failed_before(&f, 4) && !work_failed_before(&f, 3));
  assert_int_equal(work_failure_take(&f, &err), ELLM_ERR_IO);
  assert_string_equal(err.message, "item 3");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lowest), cmocka_unit_test(test_order)};
  return cmocka_run_group_tests_name("work failure", tests, NULL, NULL);
}
