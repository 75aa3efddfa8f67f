/* SPDX-License-Identifier: Apache-2.0 */
/* Block decoding with NEON, ARMv8.0: leaves are selected 16 symbols a step, lists merged 8 a step by tbl. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/tables.h"

typedef uint8x16x4_t bytes64;

#define BYTES_EACH(expression)                                    \
  bytes64 out;                                                    \
  for (int i = 0; i < 4; i++) out.val[i] = (expression);          \
  return out

KERNEL_INLINE bytes64 bytes_set(uint8_t value) { BYTES_EACH(vdupq_n_u8(value)); }
KERNEL_INLINE bytes64 bytes_load(const uint8_t *p) { BYTES_EACH(vld1q_u8(p + 16 * i)); }
KERNEL_INLINE void bytes_store(uint8_t *p, bytes64 v) {
  for (int i = 0; i < 4; i++) vst1q_u8(p + 16 * i, v.val[i]);
}
KERNEL_INLINE bytes64 bytes_or(bytes64 a, bytes64 b) { BYTES_EACH(vorrq_u8(a.val[i], b.val[i])); }
KERNEL_INLINE bytes64 bytes_and(bytes64 a, bytes64 b) { BYTES_EACH(vandq_u8(a.val[i], b.val[i])); }
KERNEL_INLINE bytes64 bytes_up(bytes64 v, unsigned k) { BYTES_EACH(vshlq_u8(v.val[i], vdupq_n_s8((int8_t)k))); }
KERNEL_INLINE bytes64 bytes_down(bytes64 v, unsigned k) { BYTES_EACH(vshlq_u8(v.val[i], vdupq_n_s8((int8_t)-(int)k))); }
KERNEL_INLINE bool bytes_any(bytes64 v) {
  return vmaxvq_u8(vorrq_u8(vorrq_u8(v.val[0], v.val[1]), vorrq_u8(v.val[2], v.val[3]))) != 0;
}

/* 16 bits spread to 16 bytes and tested with the bit each byte stands for. */
static void select_leaves(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, uint8_t leaf1) {
  const uint8x8_t bit = vcreate_u8(0x8040201008040201u);
  const uint8x16_t bits = vcombine_u8(bit, bit), value0 = vdupq_n_u8(leaf0), value1 = vdupq_n_u8(leaf1);
  for (size_t i = 0; i < n; i += 16) {
    const uint8x16_t spread = vcombine_u8(vdup_n_u8(bitmap[i / 8]), vdup_n_u8(bitmap[i / 8 + 1]));
    vst1q_u8(out + i, vbslq_u8(vtstq_u8(spread, bits), value1, value0));
  }
}

typedef uint8x16_t bytes16;

KERNEL_INLINE bytes16 pair_with(bytes16 constant, const uint8_t *list1) {
  return vcombine_u8(vget_low_u8(constant), vld1_u8(list1));
}
KERNEL_INLINE bytes16 pair_load(const uint8_t *list0, const uint8_t *list1) {
  return vcombine_u8(vld1_u8(list0), vld1_u8(list1));
}
KERNEL_INLINE bytes16 pair_constant(uint8_t leaf0) { return vdupq_n_u8(leaf0); }
KERNEL_INLINE void pair_shuffle(bytes16 pair, uint8_t *out, const uint8_t *control) {
  vst1_u8(out, vqtbl1_u8(pair, vld1_u8(control)));
}
KERNEL_INLINE uint64_t ones_to(uint64_t mask) {
  return vget_lane_u64(vreinterpret_u64_u8(vcnt_u8(vcreate_u8(mask))), 0) * 0x0101010101010101u;
}

#include "kernels/merge8.inc.h"

#define KERNEL_DECODE decode_block_neon
#include "kernels/decode_template.inc.h"
