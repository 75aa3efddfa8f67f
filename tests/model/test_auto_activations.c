/* SPDX-License-Identifier: Apache-2.0 */
/* What runs where nobody chooses: one digit where the file says that it adds at most a twentieth, else two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "entrollm.h"

static void test_rule(void **state) {
  (void)state;
  static const struct { const char *quality; ellm_activations expected; double added, own; } cases[] = {
    {"{\"divergence_i16\":0.06,\"divergence_i8_from_i16\":0.0009}", ELLM_ACTIVATIONS_I8, 0.0009, 0.06},
    {"{\"divergence_i16\":0.5,\"divergence_i8_from_i16\":0.025}", ELLM_ACTIVATIONS_I8, 0.025, 0.5},
    {"{\"divergence_i16\":0.5,\"divergence_i8_from_i16\":0.0251}", ELLM_ACTIVATIONS_I16, 0.0251, 0.5},
    {"{\"divergence_i16\":0,\"divergence_i8_from_i16\":0}", ELLM_ACTIVATIONS_I8, 0, 0},
    {"{\"divergence_i16\":0,\"divergence_i8_from_i16\":1e-9}", ELLM_ACTIVATIONS_I16, 1e-9, 0},
    {"{\"divergence_i16\":1,\"divergence_i8\":1.001}", ELLM_ACTIVATIONS_I16, -1, 1}, /* lacks the figure */
    {"{\"divergence_i8_from_i16\":0.001}", ELLM_ACTIVATIONS_I16, 0.001, -1},
    {"{\"divergence_i16\":1,\"divergence_i8_from_i16\":-0.1}", ELLM_ACTIVATIONS_I16, -1, 1},
    {"{\"divergence_i16\":\"1\",\"divergence_i8_from_i16\":true}", ELLM_ACTIVATIONS_I16, -1, -1},
    {"{\"divergence_i16\":1,\"divergence_i8_from_i16\":0.001", ELLM_ACTIVATIONS_I16, -1, -1}, /* no JSON */
    {"[1]", ELLM_ACTIVATIONS_I16, -1, -1},
    {"", ELLM_ACTIVATIONS_I16, -1, -1},
    {NULL, ELLM_ACTIVATIONS_I16, -1, -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double added, own;
    assert_int_equal(ellm_quality_activations(cases[i].quality, &added, &own), cases[i].expected);
    assert_true(added == cases[i].added && own == cases[i].own);
    assert_int_equal(ellm_quality_activations(cases[i].quality, NULL, NULL), cases[i].expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rule)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
