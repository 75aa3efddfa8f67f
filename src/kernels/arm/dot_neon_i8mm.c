/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with the instructions of ARMv8.6 for matrices of bytes (I8MM).
 * usmmla multiplies two rows of eight unsigned codes with two tokens of eight
 * signed digits, four sums at a time: twice the work of sdot. usdot, of the same
 * extension, serves a token that is alone. Both take codes as they are, so nothing
 * has to be corrected, and they add in int32, which holds every sum (kernels.h).
 */
#include <arm_neon.h>

#include "kernels/columns.h"

/* Eight rows at a time and six tokens: 24 registers of sums with two digits, four of codes, one of digits. */
enum { HALVES = 2, HALF_ROWS = CODER_PANEL_ROWS / HALVES, HALF_PAIRS = HALF_ROWS / 2, MULTIPLY_TOKENS = 6 };

/* Codes of a half of two neighbouring tiles (`second` NULL: there is none), for usmmla: a vector has two rows, of eight
 * columns each. */
KERNEL_INLINE void load_pairs(const uint8_t *first, const uint8_t *second, uint8x16_t pairs[HALF_PAIRS]) {
  KERNEL_UNROLL(2)
  for (int i = 0; i < HALF_PAIRS / 2; i++) {
    const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(first + 16 * i));
    const uint32x4_t b = second ? vreinterpretq_u32_u8(vld1q_u8(second + 16 * i)) : vdupq_n_u32(0);
    pairs[2 * i] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
    pairs[2 * i + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
  }
}

/* Sums of two rows and two tokens each to eight rows of one token, which is the first or the second of its pair. */
KERNEL_INLINE void store_rows(int32_t *sums, const int32x4_t pairs[HALF_PAIRS], bool second) {
  KERNEL_UNROLL(2)
  for (int i = 0; i < HALF_PAIRS; i += 2)
    vst1q_s32(sums + 2 * i, second ? vuzp2q_s32(pairs[i], pairs[i + 1]) : vuzp1q_s32(pairs[i], pairs[i + 1]));
}

/* Eight rows of all tiles by `tokens` tokens, an even number. */
KERNEL_INLINE void multiply_half(const uint8_t *codes, size_t n_tiles, columns x, size_t tokens, size_t stride,
                                 unsigned digits, int32_t *sums, size_t sums_stride) {
  int32x4_t low[MULTIPLY_TOKENS / 2][HALF_PAIRS], high[MULTIPLY_TOKENS / 2][HALF_PAIRS];
  KERNEL_UNROLL(3)
  for (size_t t = 0; t < tokens / 2; t++)
    KERNEL_UNROLL(4)
    for (int i = 0; i < HALF_PAIRS; i++) low[t][i] = high[t][i] = vdupq_n_s32(0);
  for (size_t tile = 0; tile < n_tiles; tile += 2) {
    const uint8_t *first = codes + CODER_TILE * tile;
    uint8x16_t c[HALF_PAIRS];
    load_pairs(first, tile + 1 < n_tiles ? first + CODER_TILE : NULL, c);
    KERNEL_UNROLL(3)
    for (size_t t = 0; t < tokens / 2; t++) {
      /* Where there is no second tile, its digits can be read all the same (activations.h) and its codes are 0. */
      const size_t at = 2 * t * stride + CODER_TILE_COLUMNS * tile;
      const int8x16_t x_low = vcombine_s8(vld1_s8(x.low + at), vld1_s8(x.low + at + stride));
      KERNEL_UNROLL(4)
      for (int i = 0; i < HALF_PAIRS; i++) low[t][i] = vusmmlaq_s32(low[t][i], c[i], x_low);
      if (digits == 2) {
        const int8x16_t x_high = vcombine_s8(vld1_s8(x.high + at), vld1_s8(x.high + at + stride));
        KERNEL_UNROLL(4)
        for (int i = 0; i < HALF_PAIRS; i++) high[t][i] = vusmmlaq_s32(high[t][i], c[i], x_high);
      }
    }
  }
  KERNEL_UNROLL(3)
  for (size_t t = 0; t < tokens / 2; t++) {
    if (digits == 2)
      KERNEL_UNROLL(4)
      for (int i = 0; i < HALF_PAIRS; i++) low[t][i] = vaddq_s32(low[t][i], vshlq_n_s32(high[t][i], 8));
    store_rows(sums + 2 * t * sums_stride, low[t], false);
    store_rows(sums + (2 * t + 1) * sums_stride, low[t], true);
  }
}

/* One tile's rows times its four of sixteen digits. */
KERNEL_INLINE int32x4_t add_lane(int32x4_t sum, uint8x16_t codes, int8x16_t digits, int lane) {
  switch (lane) {
    case 0: return vusdotq_laneq_s32(sum, codes, digits, 0);
    case 1: return vusdotq_laneq_s32(sum, codes, digits, 1);
    case 2: return vusdotq_laneq_s32(sum, codes, digits, 2);
    default: return vusdotq_laneq_s32(sum, codes, digits, 3);
  }
}

/* All rows by one token. Digits are read by 16; those of missing tiles meet codes that are 0. */
KERNEL_INLINE void dot_digits(const uint8_t *codes, size_t n_tiles, columns x, unsigned digits, int32_t *sums) {
  enum { PARTS = 4 };
  int32x4_t low[PARTS], high[PARTS];
  KERNEL_UNROLL(4)
  for (int part = 0; part < PARTS; part++) low[part] = high[part] = vdupq_n_s32(0);
  for (size_t first = 0; first < n_tiles; first += 4) {
    const int8x16_t x_low = vld1q_s8(x.low + CODER_TILE_COLUMNS * first);
    const int8x16_t x_high = digits == 2 ? vld1q_s8(x.high + CODER_TILE_COLUMNS * first) : x_low;
    KERNEL_UNROLL(4)
    for (int i = 0; i < 4; i++) {
      if (first + (size_t)i >= n_tiles) break;
      KERNEL_UNROLL(4)
      for (int part = 0; part < PARTS; part++) {
        const uint8x16_t c = vld1q_u8(codes + CODER_TILE * (first + (size_t)i) + 16 * part);
        low[part] = add_lane(low[part], c, x_low, i);
        if (digits == 2) high[part] = add_lane(high[part], c, x_high, i);
      }
    }
  }
  KERNEL_UNROLL(4)
  for (int part = 0; part < PARTS; part++)
    vst1q_s32(sums + 4 * part, digits == 2 ? vaddq_s32(low[part], vshlq_n_s32(high[part], 8)) : low[part]);
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  if (x.high)
    dot_digits(codes, n_tiles, x, 2, sums);
  else
    dot_digits(codes, n_tiles, x, 1, sums);
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

KERNEL_INLINE void multiply_digits(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                                   unsigned digits, int32_t *sums, size_t sums_stride) {
  for (int half = 0; half < HALVES; half++, codes += CODER_TILE / HALVES, sums += HALF_ROWS)
    switch (n_tokens) {
      case 6: multiply_half(codes, n_tiles, x, 6, stride, digits, sums, sums_stride); break;
      case 4: multiply_half(codes, n_tiles, x, 4, stride, digits, sums, sums_stride); break;
      default: multiply_half(codes, n_tiles, x, 2, stride, digits, sums, sums_stride); break;
    }
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  if (n_tokens == 1)
    dot_group(codes, n_tiles, x, sums);
  else if (x.high)
    multiply_digits(codes, n_tiles, x, n_tokens, stride, 2, sums, sums_stride);
  else
    multiply_digits(codes, n_tiles, x, n_tokens, stride, 1, sums, sums_stride);
}

#define KERNEL_NAME neon_i8mm
#define KERNEL_DECODE decode_block_neon
#include "kernels/dot_template.inc.h"
