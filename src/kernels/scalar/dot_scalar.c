/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products in plain C: decode, then a code at a time. What every other set must equal. */
#include "kernels/columns.h"

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  for (size_t row = 0; row < CODER_PANEL_ROWS; row++) {
    int32_t sum = 0;
    for (size_t tile = 0; tile < n_tiles; tile++)
      for (size_t column = 0; column < CODER_TILE_COLUMNS; column++) {
        const size_t at = tile * CODER_TILE_COLUMNS + column;
        const int q = x.low[at] + (x.high ? 256 * x.high[at] : 0);
        sum += codes[tile * CODER_TILE + row * CODER_TILE_COLUMNS + column] * q;
      }
    sums[row] = sum;
  }
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)n, (void)two_digits;
  return 1;
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  (void)n_tokens, (void)stride, (void)sums_stride;
  dot_group(codes, n_tiles, x, sums);
}

#define KERNEL_NAME scalar
#define KERNEL_DECODE coder_decode_block_scalar
#include "kernels/dot_template.inc.h"
