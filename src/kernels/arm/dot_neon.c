/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with NEON, ARMv8.0. Codes are widened to 16 bits by a mask
 * (columns 0 and 2) and a shift (1 and 3) and multiplied with both digits at once,
 * smlal into 32 bits: exact for all codes. The two sums of a row are added last.
 */
#include <arm_neon.h>
#include <string.h>

#include "kernels/columns.h"

KERNEL_INLINE int16x8_t two_columns(const int16_t *wide) {
  int32_t two;
  memcpy(&two, wide, sizeof two);
  return vreinterpretq_s16_s32(vdupq_n_s32(two));
}

/* `tokens` tokens times 4 rows at once. */
enum { MULTIPLY_TOKENS = 6 };

KERNEL_INLINE void multiply_quarter(const uint8_t *codes, size_t n_tiles, const int16_t *wide, size_t tokens,
                                    size_t stride, int32_t *sums, size_t sums_stride) {
  int32x4_t low[MULTIPLY_TOKENS], high[MULTIPLY_TOKENS]; /* rows 0 and 1, 2 and 3 */
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++) low[t] = high[t] = vdupq_n_s32(0);
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const uint16x8_t c = vreinterpretq_u16_u8(vld1q_u8(codes + CODER_TILE * tile));
    const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(c, vdupq_n_u16(255)));
    const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(c, 8));
    KERNEL_UNROLL(6)
    for (size_t t = 0; t < tokens; t++) {
      const int16_t *x = wide + t * stride + CODER_TILE_COLUMNS * tile;
      const int16x8_t x_even = two_columns(x), x_odd = two_columns(x + 2);
      low[t] = vmlal_s16(low[t], vget_low_s16(even), vget_low_s16(x_even));
      high[t] = vmlal_high_s16(high[t], even, x_even);
      low[t] = vmlal_s16(low[t], vget_low_s16(odd), vget_low_s16(x_odd));
      high[t] = vmlal_high_s16(high[t], odd, x_odd);
    }
  }
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++) vst1q_s32(sums + t * sums_stride, vpaddq_s32(low[t], high[t]));
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  for (int quarter = 0; quarter < 4; quarter++, codes += CODER_TILE / 4, sums += CODER_PANEL_ROWS / 4)
    switch (n_tokens) {
      case 6: multiply_quarter(codes, n_tiles, x.wide, 6, stride, sums, sums_stride); break;
      case 4: multiply_quarter(codes, n_tiles, x.wide, 4, stride, sums, sums_stride); break;
      case 2: multiply_quarter(codes, n_tiles, x.wide, 2, stride, sums, sums_stride); break;
      default: multiply_quarter(codes, n_tiles, x.wide, 1, stride, sums, sums_stride); break;
    }
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  int32x4_t low[4], high[4];
  KERNEL_UNROLL(4)
  for (int i = 0; i < 4; i++) low[i] = high[i] = vdupq_n_s32(0);
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const int16x8_t x_even = two_columns(x.wide + CODER_TILE_COLUMNS * tile);
    const int16x8_t x_odd = two_columns(x.wide + CODER_TILE_COLUMNS * tile + 2);
    KERNEL_UNROLL(4)
    for (int i = 0; i < 4; i++) {
      const uint16x8_t c = vreinterpretq_u16_u8(vld1q_u8(codes + CODER_TILE * tile + 16 * i));
      const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(c, vdupq_n_u16(255)));
      const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(c, 8));
      low[i] = vmlal_s16(low[i], vget_low_s16(even), vget_low_s16(x_even));
      high[i] = vmlal_high_s16(high[i], even, x_even);
      low[i] = vmlal_s16(low[i], vget_low_s16(odd), vget_low_s16(x_odd));
      high[i] = vmlal_high_s16(high[i], odd, x_odd);
    }
  }
  KERNEL_UNROLL(4)
  for (int i = 0; i < 4; i++) vst1q_s32(sums + 4 * i, vpaddq_s32(low[i], high[i]));
}

#define KERNEL_NAME neon
#define KERNEL_FUSED dot_fused_neon
#define KERNEL_DECODE decode_block_neon
#include "kernels/dot_template.inc.h"
