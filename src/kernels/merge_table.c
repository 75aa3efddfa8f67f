/* SPDX-License-Identifier: Apache-2.0 */
/* The table of merge_table.h, spelled by the preprocessor so that it is constant data. */
#include "kernels/merge_table.h"

#define BIT(m, j) (((m) >> (j)) & 1)
/* Ones among the bits of m below j. */
#define ONES_BELOW(m, j) ((0 < (j) ? BIT(m, 0) : 0) + (1 < (j) ? BIT(m, 1) : 0) + (2 < (j) ? BIT(m, 2) : 0) + \
                          (3 < (j) ? BIT(m, 3) : 0) + (4 < (j) ? BIT(m, 4) : 0) + (5 < (j) ? BIT(m, 5) : 0) + \
                          (6 < (j) ? BIT(m, 6) : 0))
#define SOURCE(m, j) (BIT(m, j) ? 8 + ONES_BELOW(m, j) : (j) - ONES_BELOW(m, j))
#define ROW(m) {SOURCE(m, 0), SOURCE(m, 1), SOURCE(m, 2), SOURCE(m, 3), \
                SOURCE(m, 4), SOURCE(m, 5), SOURCE(m, 6), SOURCE(m, 7)},
#define ROWS_4(m) ROW(m) ROW((m) + 1) ROW((m) + 2) ROW((m) + 3)
#define ROWS_16(m) ROWS_4(m) ROWS_4((m) + 4) ROWS_4((m) + 8) ROWS_4((m) + 12)
#define ROWS_64(m) ROWS_16(m) ROWS_16((m) + 16) ROWS_16((m) + 32) ROWS_16((m) + 48)

const uint8_t merge_controls[256][8] = {ROWS_64(0) ROWS_64(64) ROWS_64(128) ROWS_64(192)};
