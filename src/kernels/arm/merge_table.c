/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of merge_table.h, spelled by the preprocessor so that it is constant data. */
#include "kernels/arm/merge_table.h"

#define BIT(m, j) (((m) >> (j)) & 1)
/* Ones among the bits of m below j. */
#define ONES_BELOW(m, j) ((0 < (j) ? BIT(m, 0) : 0) + (1 < (j) ? BIT(m, 1) : 0) + (2 < (j) ? BIT(m, 2) : 0) + \
                          (3 < (j) ? BIT(m, 3) : 0) + (4 < (j) ? BIT(m, 4) : 0) + (5 < (j) ? BIT(m, 5) : 0) + \
                          (6 < (j) ? BIT(m, 6) : 0))
#define SOURCE(m, j) (BIT(m, j) ? 8 + ONES_BELOW(m, j) : (j) - ONES_BELOW(m, j))
#define FILL(m, j) (BIT(m, j) ? ONES_BELOW(m, j) : 0x80)
#define FILL_UPPER(m, j) (BIT(m, j) ? 8 + ONES_BELOW(m, j) : 0x80)
#define ROW(f, m) {f(m, 0), f(m, 1), f(m, 2), f(m, 3), f(m, 4), f(m, 5), f(m, 6), f(m, 7)},
#define ROWS_4(f, m) ROW(f, m) ROW(f, (m) + 1) ROW(f, (m) + 2) ROW(f, (m) + 3)
#define ROWS_16(f, m) ROWS_4(f, m) ROWS_4(f, (m) + 4) ROWS_4(f, (m) + 8) ROWS_4(f, (m) + 12)
#define ROWS_64(f, m) ROWS_16(f, m) ROWS_16(f, (m) + 16) ROWS_16(f, (m) + 32) ROWS_16(f, (m) + 48)
#define ROWS(f) ROWS_64(f, 0) ROWS_64(f, 64) ROWS_64(f, 128) ROWS_64(f, 192)

const uint8_t merge_controls[257][8] = {ROWS(SOURCE){0}};
const uint8_t fill_controls[2][256][8] = {{ROWS(FILL)}, {ROWS(FILL_UPPER)}};
