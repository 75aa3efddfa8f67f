/* SPDX-License-Identifier: Apache-2.0 */
/* When the places of a job are free: before its connection is woken for the last bytes, and not before that. The
 * connection is one of this test, which looks as it is woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <microhttpd.h>

#include "serve/job.h"
#include "serve/request.h"

static server *asked;
static size_t woken, admitted_then;

void MHD_suspend_connection(struct MHD_Connection *connection) { (void)connection; }

void MHD_resume_connection(struct MHD_Connection *connection) {
  (void)connection;
  woken++;
  admitted_then = asked->admitted;
}

void request_free(request *r) { assert_null(r); }

static job *begin(server *s) {
  *s = (server){.admitted = 5};
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->quiet, NULL);
  asked = s;
  woken = 0;
  job *j = job_create(s, (struct MHD_Connection *)s, -1);
  assert_non_null(j);
  j->submitted = true;
  j->places = 3;
  job_suspend(j);
  return j;
}

static void end(job *j, size_t wakes) {
  assert_int_equal(woken, wakes);
  assert_int_equal(admitted_then, 2);
  job_leave_places(j); /* the engine, a little later: they count once */
  assert_int_equal(asked->admitted, 2);
  job_left(j);
}

static void whole(void **state) {
  server s;
  prog_buffer out = {0};
  job *j = begin(&s);
  (void)state;
  prog_print(&out, "{}");
  job_answer(j, 200, "application/json", &out);
  end(j, 1);
}

static void problems(void **state) {
  server s;
  problem p;
  job *j = begin(&s);
  (void)state;
  problem_set(&p, 500, NULL, "broken");
  job_problem(j, &p);
  end(j, 1);
}

static void streamed(void **state) {
  server s;
  prog_buffer out = {0};
  job *j = begin(&s);
  (void)state;
  prog_print(&out, "one");
  job_stream(j, &out, false);
  assert_int_equal(woken, 1);
  assert_int_equal(admitted_then, 5); /* it goes on */
  job_suspend(j);
  prog_print(&out, "two");
  job_stream(j, &out, true);
  end(j, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole),
      cmocka_unit_test(problems),
      cmocka_unit_test(streamed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
