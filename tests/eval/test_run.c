/* SPDX-License-Identifier: Apache-2.0 */
/* Running items with a state file: stopping, going on, damage, other evaluations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "eval/run.h"

enum { ITEMS = 7, VALUES = 3 };

typedef struct fixture {
  size_t computed, stop_at, fail_at;
  char state[64];
  json_t *identity;
} fixture;

static double expected(size_t item, size_t value) {
  if (item == 2 && value == 1) return INFINITY;
  if (item == 3 && value == 0) return NAN;
  return (double)item / 3 - (double)value * 1e-300;
}

static ellm_status item(void *self, size_t index, double *values, ellm_error *err) {
  fixture *f = self;
  if (index == f->fail_at) return ellm_fail(err, ELLM_ERR_IO, "no more");
  f->computed++;
  for (size_t i = 0; i < VALUES; i++) values[i] = expected(index, i);
  return ELLM_OK;
}

static void running(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]) {
  (void)self;
  (void)values;
  snprintf(text, EVAL_RUNNING_TEXT, "%zu done", done);
}

static bool progress(void *user, const ellm_progress *step) {
  fixture *f = user;
  if (step->done) {
    char text[32];
    snprintf(text, sizeof text, "%d done", (int)step->done);
    assert_string_equal(step->tensor, text);
  }
  return step->done < f->stop_at;
}

static int set_up(void **state) {
  static fixture f;
  f = (fixture){.stop_at = SIZE_MAX, .fail_at = SIZE_MAX};
  snprintf(f.state, sizeof f.state, "/tmp/entrollm-test-state-%ld", (long)getpid());
  f.identity = json_pack("{s:s, s:i}", "task", "test", "ctx", 64);
  unlink(f.state);
  *state = &f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  json_decref(f->identity);
  unlink(f->state);
  return 0;
}

static ellm_status run(fixture *f, size_t items, double *values, size_t *resumed, ellm_error *err) {
  eval_task task = {"test", f->identity, items, VALUES, item, running, f};
  ellm_eval_options options = {.state = f->state, .progress = progress, .progress_user = f};
  f->computed = 0;
  memset(values, 0, items * VALUES * sizeof *values);
  return eval_run(&task, &options, values, resumed, err);
}

static void check(const double *values, size_t items) {
  for (size_t i = 0; i < items; i++)
    for (size_t k = 0; k < VALUES; k++) {
      double want = expected(i, k), got = values[i * VALUES + k];
      assert_true(got == want || (isnan(got) && isnan(want)));
    }
}

static void stops_and_goes_on(void **state) {
  fixture *f = *state;
  double values[ITEMS * VALUES];
  size_t resumed;
  ellm_error err;
  f->stop_at = 4;
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_INTERRUPTED);
  assert_int_equal(f->computed, 4);
  assert_non_null(strstr(err.message, f->state));
  f->stop_at = SIZE_MAX;
  f->fail_at = 5;
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_ERR_IO);
  assert_int_equal(resumed, 4);
  assert_int_equal(f->computed, 1);
  f->fail_at = SIZE_MAX;
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_OK);
  assert_int_equal(f->computed, 2);
  check(values, ITEMS);
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_OK);
  assert_int_equal(f->computed, 0);
  check(values, ITEMS);
  assert_int_equal(run(f, 2, values, &resumed, &err), ELLM_OK); /* a smaller --limit */
  check(values, 2);
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_OK);
  assert_int_equal(f->computed, 0); /* which lost nothing */
}

static void cut_at_every_byte(void **state) {
  fixture *f = *state;
  double values[ITEMS * VALUES];
  uint8_t *text;
  size_t bytes, resumed, last = 0;
  ellm_error err;
  assert_int_equal(run(f, ITEMS, values, &resumed, &err), ELLM_OK);
  assert_int_equal(file_read_all(f->state, 1 << 20, &text, &bytes, &err), ELLM_OK);
  for (size_t length = 0; length <= bytes; length++) {
    FILE *file = fopen(f->state, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    ellm_status status = run(f, ITEMS, values, &resumed, &err);
    if (length > 0 && length < 28) { /* within the first line */
      assert_int_equal(status, ELLM_ERR_USAGE);
      continue;
    }
    assert_int_equal(status, ELLM_OK);
    assert_int_equal(resumed + f->computed, ITEMS);
    assert_true(resumed >= last);
    last = resumed;
    check(values, ITEMS);
    uint8_t *again;
    size_t again_bytes;
    assert_int_equal(file_read_all(f->state, 1 << 20, &again, &again_bytes, &err), ELLM_OK);
    assert_int_equal(again_bytes, bytes);
    assert_memory_equal(again, text, bytes);
    free(again);
  }
  assert_int_equal(last, ITEMS);
  free(text);
}

static void damage_and_others(void **state) {
  fixture *f = *state;
  double values[ITEMS * VALUES];
  uint8_t *text;
  size_t bytes;
  ellm_error err;
  assert_int_equal(run(f, ITEMS, values, NULL, &err), ELLM_OK);
  json_object_set_new(f->identity, "ctx", json_integer(128));
  assert_int_equal(run(f, ITEMS, values, NULL, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, "ctx is 64, not 128"));
  json_object_set_new(f->identity, "ctx", json_integer(64));
  assert_int_equal(file_read_all(f->state, 1 << 20, &text, &bytes, &err), ELLM_OK);
  text[bytes - 5] = 'x';
  FILE *file = fopen(f->state, "wb");
  assert_non_null(file);
  fwrite(text, 1, bytes, file);
  fclose(file);
  free(text);
  assert_int_equal(run(f, ITEMS, values, NULL, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "item 6"));
}

static void without_state(void **state) {
  fixture *f = *state;
  double values[ITEMS * VALUES];
  eval_task task = {"test", f->identity, ITEMS, VALUES, item, NULL, f};
  ellm_eval_options options = {0};
  assert_int_equal(eval_run(&task, &options, values, NULL, NULL), ELLM_OK);
  check(values, ITEMS);
}

static void unwritable(void **state) {
  fixture *f = *state;
  double values[ITEMS * VALUES];
  ellm_error err;
  snprintf(f->state, sizeof f->state, "/nowhere/at/all");
  assert_int_equal(run(f, ITEMS, values, NULL, &err), ELLM_ERR_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(stops_and_goes_on, set_up, tear_down),
      cmocka_unit_test_setup_teardown(cut_at_every_byte, set_up, tear_down),
      cmocka_unit_test_setup_teardown(damage_and_others, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_state, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unwritable, set_up, tear_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
