/* SPDX-License-Identifier: Apache-2.0 */
/* Products of symbols with AVX2: half a tile at a time; vpmaddubsw for narrow values, vpmaddwd for wide ones. */
#include <immintrin.h>
#include <string.h>

#include "kernels/x86/part256.h"

/* Four bytes in every dword. */
KERNEL_INLINE __m256i four_bytes(const void *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm256_set1_epi32(four);
}

/* v, hidden from the compiler, which else makes the sums of a step at its end, from products that it has to store. */
KERNEL_INLINE __m256i keep(__m256i v) {
  __asm__("" : "+x"(v));
  return v;
}

KERNEL_INLINE void narrow_add(narrow_sums *sums, part values, const int8_t *digits, bool first) {
  const __m256i products = _mm256_maddubs_epi16(values, four_bytes(digits));
  *sums = first ? products : keep(_mm256_add_epi16(*sums, products));
}
KERNEL_INLINE row_sums row_sums_zero(void) { return _mm256_setzero_si256(); }
KERNEL_INLINE row_sums row_sums_set(int32_t value) { return _mm256_set1_epi32(value); }
KERNEL_INLINE void row_sums_add(row_sums *rows, narrow_sums sums, int up) {
  *rows = _mm256_add_epi32(*rows, _mm256_madd_epi16(sums, _mm256_set1_epi16((short)(1 << up))));
}
KERNEL_INLINE void row_sums_wide(row_sums *rows, part codes, const int16_t *wide) {
  const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(codes, 8);
  const __m256i both =
      _mm256_add_epi32(_mm256_madd_epi16(even, four_bytes(wide)), _mm256_madd_epi16(odd, four_bytes(wide + 2)));
  *rows = keep(_mm256_add_epi32(*rows, both));
}
KERNEL_INLINE void row_sums_store(int32_t *p, row_sums low, row_sums high) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm256_add_epi32(low, _mm256_slli_epi32(high, 8)));
}

KERNEL_INLINE void part_store(uint8_t *p, part v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
typedef struct wide_pair { __m256i even, odd; } wide_codes, wide_digits;
KERNEL_INLINE wide_codes wide_split(part codes) {
  return (wide_codes){keep(_mm256_and_si256(codes, _mm256_set1_epi16(255))), keep(_mm256_srli_epi16(codes, 8))};
}
KERNEL_INLINE wide_digits wide_load(const int16_t *wide) {
  return (wide_digits){four_bytes(wide), four_bytes(wide + 2)};
}
KERNEL_INLINE void row_sums_add_wide(row_sums *rows, wide_codes codes, wide_digits digits) {
  *rows = _mm256_add_epi32(*rows, _mm256_madd_epi16(codes.even, digits.even));
  *rows = keep(_mm256_add_epi32(*rows, _mm256_madd_epi16(codes.odd, digits.odd)));
}

#define FUSED_TOKENS 4 /* two sums each, beside four registers of codes */
#define FUSED_LEAST_ONE_DIGIT 5 /* multiply_avx2.c is faster for so many */
#define KERNEL_NAME avx2
#define KERNEL_SYMBOLS decode_symbols_avx2
#include "kernels/fused_template.inc.h"
