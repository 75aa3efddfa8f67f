/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block decoding with AVX-512 VBMI2: a list is spread under a mask by one
 * vpexpandb, 64 symbols a step; popcounts of the masks move the pointers.
 */
#include <string.h>

#include "kernels/tables.h"
#include "kernels/x86/avx512.h"

typedef __m512i bytes64;
typedef __mmask64 mask64;

KERNEL_INLINE bytes64 bytes_set(uint8_t value) { return _mm512_set1_epi8((char)value); }
KERNEL_INLINE bytes64 bytes_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
KERNEL_INLINE void bytes_store(uint8_t *p, bytes64 v) { _mm512_storeu_si512(p, v); }
KERNEL_INLINE bytes64 bytes_or(bytes64 a, bytes64 b) { return _mm512_or_si512(a, b); }
KERNEL_INLINE bytes64 bytes_and(bytes64 a, bytes64 b) { return _mm512_and_si512(a, b); }
KERNEL_INLINE bytes64 bytes_add(bytes64 a, bytes64 b) { return _mm512_add_epi8(a, b); }
KERNEL_INLINE bytes64 bytes_up(bytes64 v, unsigned k) { return _mm512_slli_epi16(v, k); }
KERNEL_INLINE bytes64 bytes_down(bytes64 v, unsigned k) { return _mm512_srli_epi16(v, k); }
KERNEL_INLINE bool bytes_any(bytes64 v) { return _mm512_test_epi8_mask(v, v) != 0; }

KERNEL_INLINE bytes64 bytes_table(const uint8_t *p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
}
KERNEL_INLINE bytes64 bytes_lookup(bytes64 table, bytes64 place) { return _mm512_shuffle_epi8(table, place); }
KERNEL_INLINE mask64 bytes_equal(bytes64 a, bytes64 b) { return _mm512_cmpeq_epi8_mask(a, b); }

KERNEL_INLINE uint64_t mask_load(const uint8_t *bitmap, size_t symbol) {
  uint64_t mask;
  memcpy(&mask, bitmap + symbol / 8, sizeof mask);
  return mask;
}

KERNEL_INLINE size_t word_ones(uint64_t word) { return (size_t)_mm_popcnt_u64(word); }
KERNEL_INLINE mask64 mask_first(mask64 mask, size_t n) { return n >= 64 ? mask : mask & (((uint64_t)1 << n) - 1); }
KERNEL_INLINE bytes64 bytes_add_where(bytes64 v, const uint8_t *bits, uint8_t value) {
  return _mm512_mask_add_epi8(v, mask_load(bits, 0), v, bytes_set(value));
}

KERNEL_INLINE bytes64 bytes_keep(bytes64 v) { return vector_keep(v); }

/* Into the second-level cache: the few miss buffers of the first one are a limit of their own. */
KERNEL_INLINE void fetch_next(const uint8_t *p, size_t bytes) { __builtin_prefetch(p + 2 * bytes, 0, 2); }

/* The next 64 of a list: vpexpandb from memory is microcode on Zen 4 and saves nothing on Ice Lake. */
KERNEL_INLINE __m512i list_load(const uint8_t *list) { return vector_keep(bytes_load(list)); }

KERNEL_INLINE size_t store_filled(uint8_t *out, bytes64 v, mask64 mask, const uint8_t *list) {
  bytes_store(out, _mm512_mask_expand_epi8(v, mask, list_load(list)));
  return (size_t)_mm_popcnt_u64(mask);
}

static void select_leaves(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, uint8_t leaf1) {
  const __m512i value0 = bytes_set(leaf0), value1 = bytes_set(leaf1);
  for (size_t i = 0; i < n; i += 64) bytes_store(out + i, _mm512_mask_blend_epi8(mask_load(bitmap, i), value0, value1));
}

static size_t expand_list(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, const uint8_t *list) {
  const __m512i value0 = bytes_set(leaf0);
  const uint8_t *const start = list;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const uint64_t mask = mask_load(bitmap, i);
    bytes_store(out + i, _mm512_mask_expand_epi8(value0, mask, list_load(list)));
    list += _mm_popcnt_u64(mask);
  }
  if (i < n) {
    const uint64_t mask = mask_load(bitmap, i) & (((uint64_t)1 << (n - i)) - 1);
    bytes_store(out + i, _mm512_mask_expand_epi8(value0, mask, list_load(list)));
    list += _mm_popcnt_u64(mask);
  }
  return (size_t)(list - start);
}

static void merge_lists(uint8_t *out, const uint8_t *bitmap, size_t n, const uint8_t *list0, const uint8_t *list1) {
  for (size_t i = 0; i < n; i += 64) {
    const uint64_t mask = mask_load(bitmap, i);
    /* In place, not zero-masked: that form depends on the old value of its output on Zen 4. */
    const __m512i next = list_load(list0);
    const __m512i spread = _mm512_mask_expand_epi8(next, ~mask, next);
    bytes_store(out + i, _mm512_mask_expand_epi8(spread, mask, list_load(list1)));
    const unsigned ones = (unsigned)_mm_popcnt_u64(mask);
    list0 += 64 - ones;
    list1 += ones;
  }
}

enum { LOOK_AHEAD = 1 };
#define KERNEL_DECODE decode_block_avx512
#define KERNEL_SYMBOLS decode_symbols_avx512
#define KERNEL_LEVELS decode_levels_avx512
#include "kernels/decode_template.inc.h"
