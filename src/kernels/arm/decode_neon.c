/* SPDX-License-Identifier: Apache-2.0 */
/* Block decoding with NEON, ARMv8.0: leaves are selected 16 symbols a step, lists merged 8 a step by tbl. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/tables.h"

typedef uint8x16x4_t bytes64;
typedef uint64_t mask64;

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
KERNEL_INLINE bytes64 bytes_add(bytes64 a, bytes64 b) { BYTES_EACH(vaddq_u8(a.val[i], b.val[i])); }
KERNEL_INLINE bytes64 bytes_up(bytes64 v, unsigned k) { BYTES_EACH(vshlq_u8(v.val[i], vdupq_n_s8((int8_t)k))); }
KERNEL_INLINE bytes64 bytes_down(bytes64 v, unsigned k) { BYTES_EACH(vshlq_u8(v.val[i], vdupq_n_s8((int8_t)-(int)k))); }
KERNEL_INLINE bool bytes_any(bytes64 v) {
  return vmaxvq_u8(vorrq_u8(vorrq_u8(v.val[0], v.val[1]), vorrq_u8(v.val[2], v.val[3]))) != 0;
}

KERNEL_INLINE bytes64 bytes_table(const uint8_t *p) { BYTES_EACH(vld1q_u8(p)); }
KERNEL_INLINE bytes64 bytes_lookup(bytes64 table, bytes64 place) { BYTES_EACH(vqtbl1q_u8(table.val[i], place.val[i])); }

/* Byte j of 16 stands for bit j % 8. */
KERNEL_INLINE uint8x16_t bit_of_byte(void) { return vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u)); }
KERNEL_INLINE mask64 bytes_equal(bytes64 a, bytes64 b) {
  uint8x16_t bits[4];
  for (int i = 0; i < 4; i++) bits[i] = vandq_u8(vceqq_u8(a.val[i], b.val[i]), bit_of_byte());
  const uint8x16_t quarters = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
}
KERNEL_INLINE bytes64 bytes_keep(bytes64 v) { return v; }

/* 16 bits spread to 16 bytes: all ones where a bit is set. */
KERNEL_INLINE uint8x16_t spread_bits(unsigned low, unsigned high) {
  return vtstq_u8(vcombine_u8(vdup_n_u8((uint8_t)low), vdup_n_u8((uint8_t)high)), bit_of_byte());
}
KERNEL_INLINE void fetch_next(const uint8_t *p, size_t bytes) { __builtin_prefetch(p + bytes); }
KERNEL_INLINE size_t word_ones(uint64_t word) { return vaddv_u8(vcnt_u8(vcreate_u8(word))); }
KERNEL_INLINE mask64 mask_first(mask64 mask, size_t n) { return n >= 64 ? mask : mask & (((uint64_t)1 << n) - 1); }
KERNEL_INLINE bytes64 bytes_add_where(bytes64 v, const uint8_t *bits, uint8_t value) {
  BYTES_EACH(vorrq_u8(v.val[i], vandq_u8(spread_bits(bits[2 * i], bits[2 * i + 1]), vdupq_n_u8(value))));
}

static void select_leaves(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, uint8_t leaf1) {
  const uint8x16_t value0 = vdupq_n_u8(leaf0), value1 = vdupq_n_u8(leaf1);
  for (size_t i = 0; i < n; i += 16)
    vst1q_u8(out + i, vbslq_u8(spread_bits(bitmap[i / 8], bitmap[i / 8 + 1]), value1, value0));
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
/* By table: there is no popcount of general registers. */
#define ONES_2(n) (n), (n) + 1, (n) + 1, (n) + 2
#define ONES_4(n) ONES_2(n), ONES_2((n) + 1), ONES_2((n) + 1), ONES_2((n) + 2)
#define ONES_6(n) ONES_4(n), ONES_4((n) + 1), ONES_4((n) + 1), ONES_4((n) + 2)
static const uint8_t ones_table[256] = {ONES_6(0), ONES_6(1), ONES_6(1), ONES_6(2)};
KERNEL_INLINE size_t byte_ones(size_t mask) { return ones_table[mask]; }

KERNEL_INLINE size_t both_ones(size_t mask) { return byte_ones(mask & 255) + byte_ones(mask >> 8); }

KERNEL_INLINE unsigned mask_16(mask64 mask, int i) { return (unsigned)(mask >> 16 * i) & 0xffff; }

KERNEL_INLINE bytes16 fill_16(const uint8_t *list0, const uint8_t *list1, const uint8_t *control0,
                              const uint8_t *control1) {
  return vqtbl1q_u8(pair_load(list0, list1), pair_load(control0, control1));
}
KERNEL_INLINE bytes64 bytes_join(const bytes16 part[4]) { BYTES_EACH(part[i]); }

#include "kernels/arm/merge8.inc.h"

enum { LOOK_AHEAD = 1 };
#define KERNEL_DECODE decode_block_neon
#define KERNEL_SYMBOLS decode_symbols_neon
#define KERNEL_LEVELS decode_levels_neon
#include "kernels/decode_template.inc.h"
