/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The product of two packed panels, once, for all instruction sets; part of
 * float_template.inc.h. It is the inner loop of everything that calibration
 * computes from second moments (src/calib). The result is a tile of
 * KERNEL_PANEL_ROWS x KERNEL_PANEL_COLUMNS sums. Lanes are columns, so no sum
 * runs across lanes, and each sum is one chain of fma over ascending k.
 *
 * A set says how much of the tile fits its registers at once:
 *   PANEL_ROWS      rows: a divisor of KERNEL_PANEL_ROWS
 *   PANEL_VECTORS   groups of 16 columns: 1 or 2
 * One load of a group serves PANEL_ROWS multiplications, one broadcast of a row
 * serves PANEL_VECTORS. Of 32 registers of AVX-512 12 x 2 hold sums, of 16 of AVX2
 * (where a group is two) 6 x 2, of 32 of NEON (a group is four) 6 x 4: what is left
 * takes the columns and the factor.
 */

KERNEL_INLINE void panel_part(size_t n, const float *a, const float *b, float *c, size_t stride) {
  lanes sum[PANEL_ROWS][PANEL_VECTORS];
  KERNEL_UNROLL(12)
  for (int row = 0; row < PANEL_ROWS; row++)
    KERNEL_UNROLL(2)
    for (int v = 0; v < PANEL_VECTORS; v++) sum[row][v] = lanes_load(c + stride * (size_t)row + LANES * v);
  for (size_t k = 0; k < n; k++, a += KERNEL_PANEL_ROWS, b += KERNEL_PANEL_COLUMNS) {
    lanes columns[PANEL_VECTORS];
    KERNEL_UNROLL(2)
    for (int v = 0; v < PANEL_VECTORS; v++) columns[v] = lanes_keep(lanes_load(b + LANES * v));
    KERNEL_UNROLL(12)
    for (int row = 0; row < PANEL_ROWS; row++) {
      const lanes factor = lanes_set(a[row]);
      KERNEL_UNROLL(2)
      for (int v = 0; v < PANEL_VECTORS; v++) sum[row][v] = lanes_fma(factor, columns[v], sum[row][v]);
    }
  }
  KERNEL_UNROLL(12)
  for (int row = 0; row < PANEL_ROWS; row++)
    KERNEL_UNROLL(2)
    for (int v = 0; v < PANEL_VECTORS; v++) lanes_store(c + stride * (size_t)row + LANES * v, sum[row][v]);
}

static void kernel_panel_product(size_t n, const float *a, const float *b, float *c, size_t stride) {
  for (size_t row = 0; row < KERNEL_PANEL_ROWS; row += PANEL_ROWS)
    for (size_t column = 0; column < KERNEL_PANEL_COLUMNS; column += LANES * PANEL_VECTORS)
      panel_part(n, a + row, b + column, c + stride * row + column, stride);
}
