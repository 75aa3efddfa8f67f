/* SPDX-License-Identifier: Apache-2.0 */
/* Notes: one printable line each, to whoever wants them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/notes.h"

typedef struct heard { int n; char last[600]; } heard;

static void take(void *user, const char *line) {
  heard *h = user;
  h->n++;
  strncpy(h->last, line, sizeof h->last - 1);
}

static void test_lines(void **state) {
  (void)state;
  heard h = {0};
  const ellm_notes notes = {take, &h};
  ellm_note(&notes, "%s: %s is %d", "config.json", "top_k", -1);
  assert_int_equal(h.n, 1);
  assert_string_equal(h.last, "config.json: top_k is -1");
  ellm_note(&notes, "a\nb\x1b[2Jc");
  assert_string_equal(h.last, "a?b?[2Jc");
  char longer[2000];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  ellm_note(&notes, "%s", longer);
  assert_int_equal(h.n, 3);
  assert_true(strlen(h.last) > 400 && strlen(h.last) < sizeof((ellm_error *)0)->message);
}

static void test_nobody(void **state) {
  (void)state;
  const ellm_notes nobody = {0};
  ellm_note(&nobody, "unheard");
  ellm_note(NULL, "unheard");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_nobody)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
