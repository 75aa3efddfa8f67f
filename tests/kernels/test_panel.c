/* SPDX-License-Identifier: Apache-2.0 */
/* The product of packed panels: the scalar table against its definition, the others against it, bit by bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "random.h"

enum { DEPTH = 100, STRIDE = 41, ROWS = KERNEL_PANEL_ROWS, COLUMNS = KERNEL_PANEL_COLUMNS };

static void random_floats(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = ldexpf((float)(int32_t)random_u64(), (int)random_below(40) - 50);
}

static void same_bits(void **state) {
  static float a[DEPTH * ROWS], b[DEPTH * COLUMNS], start[ROWS * STRIDE], want[ROWS * STRIDE], have[ROWS * STRIDE];
  static const size_t depths[] = {0, 1, 2, 5, 12, 96, DEPTH};
  (void)state;
  for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
    random_floats(a, DEPTH * ROWS);
    random_floats(b, DEPTH * COLUMNS);
    random_floats(start, ROWS * STRIDE);
    memcpy(want, start, sizeof want);
    for (size_t k = 0; k < depths[d]; k++)
      for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLUMNS; j++)
          want[i * STRIDE + j] = fmaf(a[k * ROWS + i], b[k * COLUMNS + j], want[i * STRIDE + j]);
    for (size_t isa = 0; kernels_at(isa) != NULL; isa++) {
      memcpy(have, start, sizeof have); /* what lies between the rows stays */
      kernels_at(isa)->panel_product(depths[d], a, b, have, STRIDE);
      if (memcmp(have, want, sizeof have) != 0) fail_msg("%s, depth %zu", kernels_at(isa)->isa, depths[d]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits)};
  return cmocka_run_group_tests_name("panel", tests, NULL, NULL);
}
