/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of cmocka's interface that the tests of base, quant, coder and
 * kernels use, for cross builds where cmocka is not installed. Prints TAP. A
 * crash ends the program, which the runner counts as a failure.
 */
#ifndef ELLM_TESTS_STANDIN_CMOCKA_H
#define ELLM_TESTS_STANDIN_CMOCKA_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uintmax_t LargestIntegralType;
typedef int (*CMFixtureFunction)(void **state);
struct CMUnitTest {
  const char *name;
  void (*test_func)(void **state);
  CMFixtureFunction setup_func, teardown_func;
  void *initial_state;
};

static jmp_buf standin_return;
enum { STANDIN_FAILED = 1, STANDIN_SKIPPED = 2 };

static inline _Noreturn void standin_fail(const char *file, int line, const char *text) {
  printf("# %s:%d: %s\n", file, line, text);
  longjmp(standin_return, STANDIN_FAILED);
}

static inline void standin_check(int good, const char *file, int line, const char *text) {
  if (!good) standin_fail(file, line, text);
}

/* Arguments of assertions are evaluated once: they are often calls. */
static inline void standin_int(int good, uintmax_t a, uintmax_t b, const char *file, int line, const char *text) {
  if (good) return;
  printf("# %#jx and %#jx\n", a, b);
  standin_fail(file, line, text);
}
static inline void standin_equal(uintmax_t a, uintmax_t b, const char *file, int line, const char *text) {
  standin_int(a == b, a, b, file, line, text);
}
static inline void standin_differ(uintmax_t a, uintmax_t b, const char *file, int line, const char *text) {
  standin_int(a != b, a, b, file, line, text);
}
static inline void standin_range(uintmax_t v, uintmax_t a, uintmax_t b, const char *file, int line, const char *text) {
  standin_int(v >= a && v <= b, v, v < a ? a : b, file, line, text);
}
static inline void standin_near(double a, double b, double e, const char *file, int line, const char *text) {
  standin_check(a - b <= e && b - a <= e, file, line, text);
}

#define STANDIN_HERE __FILE__, __LINE__
#define print_message printf
#define print_error printf
#define fail_msg(...) (printf("# "), printf(__VA_ARGS__), printf("\n"), standin_fail(STANDIN_HERE, "fail"))
#define fail() standin_fail(STANDIN_HERE, "fail")
#define skip() longjmp(standin_return, STANDIN_SKIPPED)
#define assert_true(c) standin_check((c) ? 1 : 0, STANDIN_HERE, "assert_true(" #c ")")
#define assert_false(c) standin_check((c) ? 0 : 1, STANDIN_HERE, "assert_false(" #c ")")
#define assert_return_code(c, e) ((void)(e), standin_check((c) >= 0, STANDIN_HERE, "assert_return_code(" #c ")"))
#define assert_null(p) standin_check((p) == NULL, STANDIN_HERE, "assert_null(" #p ")")
#define assert_non_null(p) standin_check((p) != NULL, STANDIN_HERE, "assert_non_null(" #p ")")
#define STANDIN_BOTH(name, a, b) STANDIN_HERE, name "(" #a ", " #b ")"
#define assert_ptr_equal(a, b) \
  standin_check((const void *)(a) == (const void *)(b), STANDIN_BOTH("assert_ptr_equal", a, b))
#define assert_ptr_not_equal(a, b) \
  standin_check((const void *)(a) != (const void *)(b), STANDIN_BOTH("assert_ptr_not_equal", a, b))
#define assert_string_equal(a, b) standin_check(strcmp(a, b) == 0, STANDIN_BOTH("assert_string_equal", a, b))
#define assert_string_not_equal(a, b) standin_check(strcmp(a, b) != 0, STANDIN_BOTH("assert_string_not_equal", a, b))
#define assert_memory_equal(a, b, n) standin_check(memcmp(a, b, n) == 0, STANDIN_BOTH("assert_memory_equal", a, b))
#define assert_memory_not_equal(a, b, n) \
  standin_check(memcmp(a, b, n) != 0, STANDIN_BOTH("assert_memory_not_equal", a, b))
#define assert_int_equal(a, b) standin_equal((uintmax_t)(a), (uintmax_t)(b), STANDIN_BOTH("assert_int_equal", a, b))
#define assert_int_not_equal(a, b) \
  standin_differ((uintmax_t)(a), (uintmax_t)(b), STANDIN_BOTH("assert_int_not_equal", a, b))
#define assert_in_range(v, a, b) \
  standin_range((uintmax_t)(v), (uintmax_t)(a), (uintmax_t)(b), STANDIN_BOTH("assert_in_range", v, [a b]))
#define assert_float_equal(a, b, e) standin_near(a, b, e, STANDIN_BOTH("assert_float_equal", a, b))

#define cmocka_unit_test(f) {#f, f, NULL, NULL, NULL}
#define cmocka_unit_test_setup(f, s) {#f, f, s, NULL, NULL}
#define cmocka_unit_test_teardown(f, t) {#f, f, NULL, t, NULL}
#define cmocka_unit_test_setup_teardown(f, s, t) {#f, f, s, t, NULL}
#define cmocka_unit_test_prestate(f, p) {#f, f, NULL, NULL, p}

static inline int standin_run(const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                              CMFixtureFunction teardown) {
  volatile int failures = 0; /* volatile, as i: changed between setjmp and longjmp */
  void *group_state = NULL;
  printf("1..%zu\n", n);
  fflush(stdout);
  if (setup != NULL && setup(&group_state) != 0) {
    printf("not ok - group setup\n");
    return 1;
  }
  for (volatile size_t i = 0; i < n; i++) {
    const struct CMUnitTest *const test = &tests[i];
    void *state = test->initial_state != NULL ? test->initial_state : group_state;
    const int outcome = setjmp(standin_return);
    if (outcome == 0) {
      if (test->setup_func != NULL && test->setup_func(&state) != 0) standin_fail(test->name, 0, "setup failed");
      test->test_func(&state);
      if (test->teardown_func != NULL && test->teardown_func(&state) != 0)
        standin_fail(test->name, 0, "teardown failed");
    }
    if (outcome == STANDIN_FAILED) failures++;
    printf("%sok %zu - %s%s\n", outcome == STANDIN_FAILED ? "not " : "", (size_t)i + 1, tests[i].name,
           outcome == STANDIN_SKIPPED ? " # SKIP" : "");
    fflush(stdout);
  }
  if (teardown != NULL && teardown(&group_state) != 0) failures++;
  return failures;
}

#define cmocka_run_group_tests(t, s, d) standin_run(t, sizeof(t) / sizeof(t)[0], s, d)
#define cmocka_run_group_tests_name(name, t, s, d) standin_run(t, sizeof(t) / sizeof(t)[0], s, d)

#endif
