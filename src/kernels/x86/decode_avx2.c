/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block decoding with AVX2. The task that matters is expanding a list: some lanes of a vector take the next bytes of a
 * list, in order. AVX-512 has vpexpandb for this. Here a lane that takes a byte needs to know how many such lanes are
 * before it among its 16, which is a running sum; a shuffle of 16 bytes of the list by these counts then gives all
 * bytes at once. This arithmetic is faster than a table of shuffles, which serves 8 lanes per step. pdep and pext are
 * not used, because they are microcoded on Zen 1 and 2.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/tables.h"

typedef struct bytes64 { __m256i low, high; } bytes64;
typedef struct mask64 { __m256i low, high; } mask64; /* lanes of all ones */

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
KERNEL_INLINE bytes64 bytes_add(bytes64 a, bytes64 b) {
  return (bytes64){_mm256_add_epi8(a.low, b.low), _mm256_add_epi8(a.high, b.high)};
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
  return (mask64){_mm256_cmpeq_epi8(a.low, b.low), _mm256_cmpeq_epi8(a.high, b.high)};
}
KERNEL_INLINE void fetch_next(const uint8_t *p, size_t bytes) { __builtin_prefetch(p + bytes); }
KERNEL_INLINE size_t word_ones(uint64_t word) { return (size_t)_mm_popcnt_u64(word); }
KERNEL_INLINE mask64 mask_first(mask64 mask, size_t n) {
  const __m256i lane = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                        22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  const __m256i count = _mm256_set1_epi8((char)n), half = _mm256_set1_epi8(32);
  return (mask64){_mm256_and_si256(mask.low, _mm256_cmpgt_epi8(count, lane)),
                  _mm256_and_si256(mask.high, _mm256_cmpgt_epi8(count, _mm256_add_epi8(lane, half)))};
}
KERNEL_INLINE bytes64 bytes_keep(bytes64 v) {
  __asm__("" : "+x"(v.low), "+x"(v.high));
  return v;
}

/* 32 bits spread to 32 bytes: all ones where a bit is set. */
KERNEL_INLINE __m256i spread_bits(const uint8_t *bits) {
  const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
  uint32_t word;
  memcpy(&word, bits, sizeof word);
  return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)word), byte), bit), bit);
}
KERNEL_INLINE mask64 mask_of(const uint8_t *bits) { return (mask64){spread_bits(bits), spread_bits(bits + 4)}; }
KERNEL_INLINE bytes64 bytes_add_where(bytes64 v, const uint8_t *bits, uint8_t value) {
  const mask64 where = mask_of(bits);
  return bytes_or(v, bytes_and((bytes64){where.low, where.high}, bytes_set(value)));
}
KERNEL_INLINE bytes64 bytes_select(bytes64 zero, bytes64 one, mask64 mask) {
  return (bytes64){_mm256_blendv_epi8(zero.low, one.low, mask.low), _mm256_blendv_epi8(zero.high, one.high, mask.high)};
}

/*
 * How many lanes of the mask are before each lane among its 16; both halves of the mask are counted together, in the
 * two nibbles of a byte. Let m[i] = 1 in a lane of the mask. The mask moved up by one lane is m[i-1]. Adding a copy of
 * it that is moved up by one gives sums of two lanes, m[i-1] + m[i-2]. Adding a copy of that moved up by 2 gives sums
 * of four, then by 4 of eight, then by 8 of sixteen. These are all lanes before i, because the shift brings in zeros.
 * 16 = 2^4, so four additions are enough. At most 15 lanes are before one, so a sum fits a nibble and never carries. So
 * the second half of the mask can count in the upper nibbles of the same bytes at no cost.
 */
KERNEL_INLINE bytes64 lanes_before(mask64 mask) {
  const __m256i low = _mm256_and_si256(mask.low, _mm256_set1_epi8(1)),
                high = _mm256_and_si256(mask.high, _mm256_set1_epi8(16)), nibble = _mm256_set1_epi8(15);
  __m256i sum = _mm256_slli_si256(_mm256_or_si256(low, high), 1);
  sum = _mm256_add_epi8(sum, _mm256_slli_si256(sum, 1));
  sum = _mm256_add_epi8(sum, _mm256_slli_si256(sum, 2));
  sum = _mm256_add_epi8(sum, _mm256_slli_si256(sum, 4));
  sum = _mm256_add_epi8(sum, _mm256_slli_si256(sum, 8));
  return (bytes64){_mm256_and_si256(sum, nibble), _mm256_and_si256(_mm256_srli_epi16(sum, 4), nibble)};
}

/* Bytes of a list: the first 16 lanes by their places from `list` on, the next from `middle` on. */
KERNEL_INLINE __m256i take_32(const uint8_t *list, const uint8_t *middle, __m256i places) {
  const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)list);
  const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)middle);
  return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), places);
}

/* v, but in the lanes of the mask the next of the list, which is moved on; v is 0 there or anything else. */
KERNEL_INLINE bytes64 filled(bytes64 v, mask64 mask, const uint8_t **list) {
  const uint32_t low = (uint32_t)_mm256_movemask_epi8(mask.low), high = (uint32_t)_mm256_movemask_epi8(mask.high);
  const bytes64 places = lanes_before(mask);
  const uint8_t *const half = *list + word_ones(low);
  const bytes64 taken = {take_32(*list, *list + word_ones(low & 0xffff), places.low),
                         take_32(half, half + word_ones(high & 0xffff), places.high)};
  *list = half + word_ones(high);
  return bytes_select(v, taken, mask);
}
KERNEL_INLINE size_t store_filled(uint8_t *out, bytes64 v, mask64 mask, const uint8_t *list) {
  const uint8_t *const start = list;
  bytes_store(out, filled(v, mask, &list));
  return (size_t)(list - start);
}

static void select_leaves(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, uint8_t leaf1) {
  const bytes64 value0 = bytes_set(leaf0), value1 = bytes_set(leaf1);
  for (size_t i = 0; i < n; i += 64) bytes_store(out + i, bytes_select(value0, value1, mask_of(bitmap + i / 8)));
}

static size_t expand_list(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, const uint8_t *list) {
  const uint8_t *const start = list;
  const bytes64 constant = bytes_set(leaf0);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) bytes_store(out + i, filled(constant, mask_of(bitmap + i / 8), &list));
  if (i < n) bytes_store(out + i, filled(constant, mask_first(mask_of(bitmap + i / 8), n - i), &list));
  return (size_t)(list - start);
}

/* Of list 0 a lane takes the byte whose place is what is left of its number. */
static void merge_lists(uint8_t *out, const uint8_t *bitmap, size_t n, const uint8_t *list0, const uint8_t *list1) {
  const __m256i number = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  for (size_t i = 0; i < n; i += 64) {
    const mask64 mask = mask_of(bitmap + i / 8);
    uint64_t word;
    memcpy(&word, bitmap + i / 8, sizeof word);
    const bytes64 places1 = lanes_before(mask);
    const bytes64 places0 = {_mm256_sub_epi8(number, places1.low), _mm256_sub_epi8(number, places1.high)};
    const size_t at16 = word_ones(word << 48), at32 = word_ones(word << 32), at48 = word_ones(word << 16);
    const bytes64 from0 = {take_32(list0, list0 + 16 - at16, places0.low),
                           take_32(list0 + 32 - at32, list0 + 48 - at48, places0.high)};
    const bytes64 from1 = {take_32(list1, list1 + at16, places1.low),
                           take_32(list1 + at32, list1 + at48, places1.high)};
    bytes_store(out + i, bytes_select(from0, from1, mask));
    const size_t ones = word_ones(word);
    list0 += 64 - ones;
    list1 += ones;
  }
}

enum { LOOK_AHEAD = 0 };
#define KERNEL_DECODE decode_block_avx2
#define KERNEL_SYMBOLS decode_symbols_avx2
#define KERNEL_LEVELS decode_levels_avx2
#include "kernels/decode_template.inc.h"
