/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block decoding with AVX2: leaves are blended 32 symbols a step, lists merged 8
 * a step by pshufb. No pdep or pext, which are microcoded on Zen 1 and 2.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/tables.h"

typedef struct bytes64 { __m256i low, high; } bytes64;
typedef struct mask64 { uint32_t low, high; } mask64;

KERNEL_INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
KERNEL_INLINE void store_32(uint8_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

KERNEL_INLINE bytes64 bytes_set(uint8_t value) {
  return (bytes64){_mm256_set1_epi8((char)value), _mm256_set1_epi8((char)value)};
}
KERNEL_INLINE bytes64 bytes_load(const uint8_t *p) { return (bytes64){load_32(p), load_32(p + 32)}; }
KERNEL_INLINE void bytes_store(uint8_t *p, bytes64 v) {
  store_32(p, v.low);
  store_32(p + 32, v.high);
}
KERNEL_INLINE bytes64 bytes_or(bytes64 a, bytes64 b) {
  return (bytes64){_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
KERNEL_INLINE bytes64 bytes_and(bytes64 a, bytes64 b) {
  return (bytes64){_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
KERNEL_INLINE bytes64 bytes_up(bytes64 v, unsigned k) {
  return (bytes64){_mm256_slli_epi16(v.low, (int)k), _mm256_slli_epi16(v.high, (int)k)};
}
KERNEL_INLINE bytes64 bytes_down(bytes64 v, unsigned k) {
  return (bytes64){_mm256_srli_epi16(v.low, (int)k), _mm256_srli_epi16(v.high, (int)k)};
}
KERNEL_INLINE bool bytes_any(bytes64 v) {
  const __m256i all = _mm256_or_si256(v.low, v.high);
  return !_mm256_testz_si256(all, all);
}

KERNEL_INLINE bytes64 bytes_table(const uint8_t *p) {
  const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
  return (bytes64){table, table};
}
KERNEL_INLINE bytes64 bytes_lookup(bytes64 table, bytes64 place) {
  return (bytes64){_mm256_shuffle_epi8(table.low, place.low), _mm256_shuffle_epi8(table.high, place.high)};
}
KERNEL_INLINE mask64 bytes_equal(bytes64 a, bytes64 b) {
  return (mask64){(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a.low, b.low)),
                  (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a.high, b.high))};
}
KERNEL_INLINE void found_now(bytes64 v, mask64 mask) {
  __asm__ volatile("" : : "x"(v.low), "x"(v.high), "r"(mask.low), "r"(mask.high));
}
KERNEL_INLINE void fetch_next(const uint8_t *p, size_t bytes) { __builtin_prefetch(p + bytes); }
KERNEL_INLINE size_t word_ones(uint64_t word) { return (size_t)_mm_popcnt_u64(word); }
KERNEL_INLINE mask64 mask_first(mask64 mask, size_t n) {
  const uint64_t first = n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
  return (mask64){mask.low & (uint32_t)first, mask.high & (uint32_t)(first >> 32)};
}
KERNEL_INLINE bytes64 bytes_keep(bytes64 v) {
  __asm__("" : "+x"(v.low), "+x"(v.high));
  return v;
}

/* 32 bits spread to 32 bytes and compared with the bit each byte stands for: all ones where it is set. */
KERNEL_INLINE __m256i spread_bits(uint32_t mask) {
  const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
  return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)mask), byte), bit), bit);
}
KERNEL_INLINE bytes64 bytes_add_where(bytes64 v, const uint8_t *bits, uint8_t value) {
  uint32_t mask[2];
  memcpy(mask, bits, sizeof mask);
  const bytes64 where = {spread_bits(mask[0]), spread_bits(mask[1])};
  return bytes_or(v, bytes_and(where, bytes_set(value)));
}

static void select_leaves(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, uint8_t leaf1) {
  const __m256i value0 = _mm256_set1_epi8((char)leaf0), value1 = _mm256_set1_epi8((char)leaf1);
  for (size_t i = 0; i < n; i += 32) {
    uint32_t mask;
    memcpy(&mask, bitmap + i / 8, sizeof mask);
    store_32(out + i, _mm256_blendv_epi8(value0, value1, spread_bits(mask)));
  }
}

typedef __m128i bytes16;

KERNEL_INLINE bytes16 pair_with(bytes16 constant, const uint8_t *list1) {
  return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(constant), (const __m64 *)(const void *)list1));
}
KERNEL_INLINE bytes16 pair_load(const uint8_t *list0, const uint8_t *list1) {
  return pair_with(_mm_loadl_epi64((const __m128i *)(const void *)list0), list1);
}
KERNEL_INLINE bytes16 pair_constant(uint8_t leaf0) { return _mm_set1_epi8((char)leaf0); }
KERNEL_INLINE void pair_shuffle(bytes16 pair, uint8_t *out, const uint8_t *control) {
  const __m128i order = _mm_loadu_si128((const __m128i *)(const void *)control); /* the upper 8 do not matter */
  _mm_storel_epi64((__m128i *)(void *)out, _mm_shuffle_epi8(pair, order));
}
KERNEL_INLINE size_t byte_ones(size_t mask) { return (size_t)_mm_popcnt_u64(mask); }

KERNEL_INLINE size_t both_ones(size_t mask) { return (size_t)_mm_popcnt_u64(mask); }

KERNEL_INLINE unsigned mask_16(mask64 mask, int i) { return ((i < 2 ? mask.low : mask.high) >> 16 * (i % 2)) & 0xffff; }

KERNEL_INLINE bytes16 fill_16(const uint8_t *list0, const uint8_t *list1, const uint8_t *control0,
                              const uint8_t *control1) {
  return _mm_shuffle_epi8(pair_load(list0, list1), pair_load(control0, control1));
}
KERNEL_INLINE bytes64 bytes_join(const bytes16 part[4]) {
  return (bytes64){_mm256_set_m128i(part[1], part[0]), _mm256_set_m128i(part[3], part[2])};
}

#include "kernels/merge8.inc.h"

#define KERNEL_DECODE decode_block_avx2
#define KERNEL_SYMBOLS decode_symbols_avx2
#define KERNEL_LEVELS decode_levels_avx2
#include "kernels/decode_template.inc.h"
