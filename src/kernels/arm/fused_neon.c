/* SPDX-License-Identifier: Apache-2.0 */
/* Products of symbols with NEON, ARMv8.0: a quarter of a tile at a time; smlal into 16 bits for narrow values, into 32
 * bits for wide ones. A row's two sums are added last. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/tables.h"

#define PART_ROWS 4
typedef uint8x16_t part;
typedef int16x8x2_t narrow_sums; /* rows 0 and 1, 2 and 3; a lane a column */
typedef int32x4x2_t row_sums;    /* the same rows, two lanes each */

KERNEL_INLINE part part_load(const uint8_t *p) { return vld1q_u8(p); }
KERNEL_INLINE part part_set(int value) { return vdupq_n_u8((uint8_t)value); }
KERNEL_INLINE part part_and(part a, part b) { return vandq_u8(a, b); }
KERNEL_INLINE part part_or(part a, part b) { return vorrq_u8(a, b); }
KERNEL_INLINE part part_shift(part v, int k) { return k == 0 ? v : vshlq_u8(v, vdupq_n_s8((int8_t)k)); }

KERNEL_INLINE int32x4_t four_bytes(const void *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return vdupq_n_s32(four);
}

KERNEL_INLINE void narrow_add(narrow_sums *sums, part values, const int8_t *digits, bool first) {
  const int8x16_t x = vreinterpretq_s8_s32(four_bytes(digits)), v = vreinterpretq_s8_u8(values);
  if (first) {
    sums->val[0] = vmull_s8(vget_low_s8(v), vget_low_s8(x));
    sums->val[1] = vmull_high_s8(v, x);
  } else {
    sums->val[0] = vmlal_s8(sums->val[0], vget_low_s8(v), vget_low_s8(x));
    sums->val[1] = vmlal_high_s8(sums->val[1], v, x);
  }
}
KERNEL_INLINE row_sums row_sums_zero(void) { return (row_sums){{vdupq_n_s32(0), vdupq_n_s32(0)}}; }
KERNEL_INLINE row_sums row_sums_set(int32_t value) { /* in the first of a row's two lanes */
  const int32x4_t v = vtrn1q_s32(vdupq_n_s32(value), vdupq_n_s32(0));
  return (row_sums){{v, v}};
}
KERNEL_INLINE void row_sums_add(row_sums *rows, narrow_sums sums, int up) {
  for (int i = 0; i < 2; i++)
    rows->val[i] = vaddq_s32(rows->val[i], vshlq_s32(vpaddlq_s16(sums.val[i]), vdupq_n_s32(up)));
}
KERNEL_INLINE void row_sums_wide(row_sums *rows, part codes, const int16_t *wide) {
  const uint16x8_t c = vreinterpretq_u16_u8(codes);
  const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(c, vdupq_n_u16(255)));
  const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(c, 8));
  const int16x8_t x_even = vreinterpretq_s16_s32(four_bytes(wide)), x_odd = vreinterpretq_s16_s32(four_bytes(wide + 2));
  rows->val[0] = vmlal_s16(rows->val[0], vget_low_s16(even), vget_low_s16(x_even));
  rows->val[1] = vmlal_high_s16(rows->val[1], even, x_even);
  rows->val[0] = vmlal_s16(rows->val[0], vget_low_s16(odd), vget_low_s16(x_odd));
  rows->val[1] = vmlal_high_s16(rows->val[1], odd, x_odd);
}
KERNEL_INLINE void row_sums_store(int32_t *p, row_sums low, row_sums high) {
  const int32x4_t low_rows = vpaddq_s32(low.val[0], low.val[1]), high_rows = vpaddq_s32(high.val[0], high.val[1]);
  vst1q_s32(p, vaddq_s32(low_rows, vshlq_n_s32(high_rows, 8)));
}

#define KERNEL_NAME neon
#define KERNEL_SYMBOLS decode_symbols_neon
#include "kernels/fused_template.inc.h"
