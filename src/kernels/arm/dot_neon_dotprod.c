/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with the dot-product instructions of ARMv8.2 (sdot). They are
 * signed, so codes are taken less 128 (the highest bit turned) and 128 times the
 * sum of the digits is added: exact in int32, for 255 * 32639 * 256 < 2^31 and
 * what wraps on the way wraps back. A dword lane is a row.
 */
#include <arm_neon.h>

#include "kernels/columns.h"

enum { QUARTERS = 4, MULTIPLY_TOKENS = 6 };

typedef struct digit_sums { int32x4_t rows, digits; } digit_sums;

KERNEL_INLINE int8x16_t signed_codes(const uint8_t *p) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128)));
}

/* One tile's rows times its four of sixteen digits. */
KERNEL_INLINE int32x4_t add_lane(int32x4_t sum, int8x16_t codes, int8x16_t digits, int lane) {
  switch (lane) {
    case 0: return vdotq_laneq_s32(sum, codes, digits, 0);
    case 1: return vdotq_laneq_s32(sum, codes, digits, 1);
    case 2: return vdotq_laneq_s32(sum, codes, digits, 2);
    default: return vdotq_laneq_s32(sum, codes, digits, 3);
  }
}

KERNEL_INLINE int32x4_t sums_of(digit_sums low, digit_sums high, unsigned digits) {
  int32x4_t sum = vaddq_s32(low.rows, vdupq_n_s32((int32_t)((uint32_t)vaddvq_s32(low.digits) << 7)));
  if (digits == 2) {
    const int32x4_t more = vaddq_s32(high.rows, vdupq_n_s32((int32_t)((uint32_t)vaddvq_s32(high.digits) << 7)));
    sum = vaddq_s32(sum, vshlq_n_s32(more, 8));
  }
  return sum;
}

/* Four rows of all tiles by `tokens` tokens. Digits are read by 16; those of missing tiles are 0 (kernels.h). */
KERNEL_INLINE void multiply_quarter(const uint8_t *codes, size_t n_tiles, columns x, size_t tokens, size_t stride,
                                    unsigned digits, int32_t *sums, size_t sums_stride) {
  const int8x16_t ones = vdupq_n_s8(1);
  digit_sums low[MULTIPLY_TOKENS], high[MULTIPLY_TOKENS];
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++)
    low[t].rows = low[t].digits = high[t].rows = high[t].digits = vdupq_n_s32(0);
  for (size_t first = 0; first < n_tiles; first += 4) {
    const size_t left = n_tiles - first;
    int8x16_t c[4];
    KERNEL_UNROLL(4)
    for (size_t i = 0; i < 4; i++) c[i] = i < left ? signed_codes(codes + CODER_TILE * (first + i)) : vdupq_n_s8(0);
    KERNEL_UNROLL(6)
    for (size_t t = 0; t < tokens; t++) {
      const size_t at = t * stride + CODER_TILE_COLUMNS * first;
      const int8x16_t x_low = vld1q_s8(x.low + at);
      low[t].digits = vdotq_s32(low[t].digits, ones, x_low);
      KERNEL_UNROLL(4)
      for (int i = 0; i < 4; i++) low[t].rows = add_lane(low[t].rows, c[i], x_low, i);
      if (digits == 2) {
        const int8x16_t x_high = vld1q_s8(x.high + at);
        high[t].digits = vdotq_s32(high[t].digits, ones, x_high);
        KERNEL_UNROLL(4)
        for (int i = 0; i < 4; i++) high[t].rows = add_lane(high[t].rows, c[i], x_high, i);
      }
    }
  }
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++) vst1q_s32(sums + t * sums_stride, sums_of(low[t], high[t], digits));
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

KERNEL_INLINE void multiply_digits(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                                   unsigned digits, int32_t *sums, size_t sums_stride) {
  for (int quarter = 0; quarter < QUARTERS; quarter++, codes += CODER_TILE / QUARTERS, sums += 4)
    switch (n_tokens) {
      case 6: multiply_quarter(codes, n_tiles, x, 6, stride, digits, sums, sums_stride); break;
      case 4: multiply_quarter(codes, n_tiles, x, 4, stride, digits, sums, sums_stride); break;
      case 2: multiply_quarter(codes, n_tiles, x, 2, stride, digits, sums, sums_stride); break;
      default: multiply_quarter(codes, n_tiles, x, 1, stride, digits, sums, sums_stride); break;
    }
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  if (x.high)
    multiply_digits(codes, n_tiles, x, n_tokens, stride, 2, sums, sums_stride);
  else
    multiply_digits(codes, n_tiles, x, n_tokens, stride, 1, sums, sums_stride);
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  multiply_group(codes, n_tiles, x, 1, 0, sums, 0);
}

#define KERNEL_NAME neon_dotprod
#define KERNEL_DECODE decode_block_neon
#include "kernels/dot_template.inc.h"
