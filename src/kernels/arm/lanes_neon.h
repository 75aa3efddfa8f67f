/* SPDX-License-Identifier: Apache-2.0 */
/* 16 lanes as four q registers; ARMv8.0 has fma and half-precision conversion. */
#ifndef ELLM_KERNELS_LANES_NEON_H
#define ELLM_KERNELS_LANES_NEON_H

#include <arm_neon.h>

#include "kernels/tables.h"

enum { LANES_STRIDE = 64 };

/* 32 registers: up to 24 sums, four of weights, one broadcast. */
#define MULTIPLY_TOKENS 6
#define MULTIPLY_COLUMNS(tokens) ((tokens) == 1 ? 4 : (tokens) <= 3 ? 2 : 1)
#define ATTENTION_VECTORS(queries) ((queries) == 1 ? 4 : (queries) == 2 ? 2 : 1)
#define PANEL_ROWS 6
#define PANEL_VECTORS 1

typedef float32x4x4_t lanes;

#define LANES_EACH(expression)                                    \
  lanes out;                                                      \
  for (int i = 0; i < 4; i++) out.val[i] = (expression);          \
  return out
#define AS_FLOAT(v) vreinterpretq_f32_u32(v)
#define AS_BITS(v) vreinterpretq_u32_f32(v)

KERNEL_INLINE lanes lanes_set(float x) { LANES_EACH(vdupq_n_f32(x)); }
KERNEL_INLINE lanes lanes_load(const float *p) { LANES_EACH(vld1q_f32(p + 4 * i)); }
KERNEL_INLINE void lanes_store(float *p, lanes a) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.val[i]);
}
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) { LANES_EACH(vaddq_f32(a.val[i], b.val[i])); }
KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) { LANES_EACH(vsubq_f32(a.val[i], b.val[i])); }
KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) { LANES_EACH(vmulq_f32(a.val[i], b.val[i])); }
KERNEL_INLINE lanes lanes_div(lanes a, lanes b) { LANES_EACH(vdivq_f32(a.val[i], b.val[i])); }
KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { LANES_EACH(vfmaq_f32(c.val[i], a.val[i], b.val[i])); }
KERNEL_INLINE lanes lanes_below(lanes a, lanes b, lanes x, lanes y) {
  LANES_EACH(vbslq_f32(vcltq_f32(a.val[i], b.val[i]), x.val[i], y.val[i]));
}
KERNEL_INLINE lanes lanes_unless_nan(lanes a, lanes y) {
  LANES_EACH(vbslq_f32(vceqq_f32(a.val[i], a.val[i]), y.val[i], a.val[i]));
}
KERNEL_INLINE lanes lanes_shift_exponent(lanes p, lanes t) {
  LANES_EACH(AS_FLOAT(vaddq_u32(AS_BITS(p.val[i]), vshlq_n_u32(AS_BITS(t.val[i]), 23))));
}
KERNEL_INLINE float lanes_fold(lanes a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.val[0], a.val[2]), vaddq_f32(a.val[1], a.val[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
KERNEL_INLINE lanes lanes_load_f32(const uint8_t *p) { LANES_EACH(vreinterpretq_f32_u8(vld1q_u8(p + 16 * i))); }
KERNEL_INLINE lanes lanes_load_bf16(const uint8_t *p) {
  LANES_EACH(AS_FLOAT(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 8 * i)), 16)));
}
KERNEL_INLINE lanes lanes_load_f16(const uint8_t *p) {
  LANES_EACH(vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i))));
}
KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes a) {
  for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.val[i])));
}
KERNEL_INLINE lanes lanes_load_i8(const int8_t *p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return (lanes){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
KERNEL_INLINE lanes lanes_column(const uint8_t *tile, int column) {
  const int32x4_t down = vdupq_n_s32(-8 * column);
  LANES_EACH(
      vcvtq_f32_u32(vandq_u32(vshlq_u32(vreinterpretq_u32_u8(vld1q_u8(tile + 16 * i)), down), vdupq_n_u32(255))));
}
KERNEL_INLINE void lanes_transpose(const float *rows, float *w) {
  for (int quarter = 0; quarter < 4; quarter++) {
    const float *p = rows + LANES_STRIDE * 4 * quarter;
    const float32x4_t a = vld1q_f32(p), b = vld1q_f32(p + LANES_STRIDE);
    const float32x4_t c = vld1q_f32(p + 2 * LANES_STRIDE), d = vld1q_f32(p + 3 * LANES_STRIDE);
    const float32x4x2_t ab = vtrnq_f32(a, b), cd = vtrnq_f32(c, d); /* a0 b0 a2 b2 | a1 b1 a3 b3 */
    vst1q_f32(w + 4 * quarter, vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])));
    vst1q_f32(w + 16 + 4 * quarter, vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])));
    vst1q_f32(w + 32 + 4 * quarter, vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])));
    vst1q_f32(w + 48 + 4 * quarter, vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1])));
  }
}
KERNEL_INLINE void lanes_store_rounded(int32_t *p, lanes a) {
  for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, vcvtnq_s32_f32(a.val[i]));
}
KERNEL_INLINE lanes lanes_from_sums(const int32_t *p, int32_t k) {
  LANES_EACH(vcvtq_f32_s32(vsubq_s32(vld1q_s32(p + 4 * i), vdupq_n_s32(k))));
}
KERNEL_INLINE lanes lanes_keep(lanes v) {
  __asm__("" : "+w"(v.val[0]), "+w"(v.val[1]), "+w"(v.val[2]), "+w"(v.val[3]));
  return v;
}

#undef LANES_EACH
#undef AS_FLOAT
#undef AS_BITS
#endif
