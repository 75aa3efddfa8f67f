/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that grow: older ones are accepted, with defaults for what they lack; others are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sized.h"

typedef struct thing { size_t size; uint64_t first; uint64_t later; } thing;
static void thing_init(thing *t) { *t = (thing){.size = sizeof *t, .first = 1, .later = 2}; }

static ellm_status take(const void *given, thing *out, ellm_error *err) {
  ELLM_SIZED(thing, own, given, err);
  *out = own;
  return ELLM_OK;
}

static void sizes(void **state) {
  (void)state;
  ellm_error err;
  thing given, got = {0};
  thing_init(&given);
  given.first = 7;
  given.later = 8;
  assert_int_equal(take(&given, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 7 && got.later == 8);
  assert_int_equal(take(NULL, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 1 && got.later == 2);
  given.size = offsetof(thing, later); /* of a program built before */
  assert_int_equal(take(&given, &got, &err), ELLM_OK);
  assert_true(got.size == sizeof got && got.first == 7 && got.later == 2);
}

static void refused(void **state) {
  (void)state;
  static const size_t wrong[] = {0, 1, sizeof(size_t) - 1, sizeof(thing) + 8, SIZE_MAX};
  ellm_error err;
  thing given, got;
  thing_init(&given);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    given.size = wrong[i];
    assert_int_equal(take(&given, &got, &err), ELLM_ERR_USAGE);
    assert_non_null(strstr(err.message, "thing.size is "));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
