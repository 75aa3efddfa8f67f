/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with AVX2. vpmaddubsw saturates where codes are large, so codes
 * are widened to 16 bits by a mask (columns 0 and 2) and a shift (1 and 3) and go
 * to vpmaddwd with both digits at once: exact for all codes, and the dword lanes
 * of the sums are the rows.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/columns.h"

/* Columns 0 and 2, or 1 and 3, of a tile in all rows. */
KERNEL_INLINE __m256i two_columns(const int16_t *wide) {
  int32_t two;
  memcpy(&two, wide, sizeof two);
  return _mm256_set1_epi32(two);
}

KERNEL_INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
KERNEL_INLINE __m256i even_codes(__m256i codes) { return _mm256_and_si256(codes, _mm256_set1_epi16(255)); }
KERNEL_INLINE __m256i odd_codes(__m256i codes) { return _mm256_srli_epi16(codes, 8); }

/* `tokens` tokens times 8 rows at once: 12 sums of 16 registers. */
enum { MULTIPLY_TOKENS = 6 };

KERNEL_INLINE void multiply_half(const uint8_t *codes, size_t n_tiles, const int16_t *wide, size_t tokens, size_t stride,
                                 int32_t *sums, size_t sums_stride) {
  __m256i even[MULTIPLY_TOKENS], odd[MULTIPLY_TOKENS];
#pragma GCC unroll 6
  for (size_t t = 0; t < tokens; t++) even[t] = odd[t] = _mm256_setzero_si256();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m256i c = load_32(codes + CODER_TILE * tile), c_even = even_codes(c), c_odd = odd_codes(c);
#pragma GCC unroll 6
    for (size_t t = 0; t < tokens; t++) {
      const int16_t *x = wide + t * stride + CODER_TILE_COLUMNS * tile;
      even[t] = _mm256_add_epi32(even[t], _mm256_madd_epi16(c_even, two_columns(x)));
      odd[t] = _mm256_add_epi32(odd[t], _mm256_madd_epi16(c_odd, two_columns(x + 2)));
    }
  }
#pragma GCC unroll 6
  for (size_t t = 0; t < tokens; t++)
    _mm256_storeu_si256((__m256i *)(void *)(sums + t * sums_stride), _mm256_add_epi32(even[t], odd[t]));
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  for (int half = 0; half < 2; half++, codes += CODER_TILE / 2, sums += CODER_PANEL_ROWS / 2)
    switch (n_tokens) {
      case 6: multiply_half(codes, n_tiles, x.wide, 6, stride, sums, sums_stride); break;
      case 4: multiply_half(codes, n_tiles, x.wide, 4, stride, sums, sums_stride); break;
      case 2: multiply_half(codes, n_tiles, x.wide, 2, stride, sums, sums_stride); break;
      default: multiply_half(codes, n_tiles, x.wide, 1, stride, sums, sums_stride); break;
    }
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  __m256i even[2], odd[2];
  for (int half = 0; half < 2; half++) even[half] = odd[half] = _mm256_setzero_si256();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m256i x_even = two_columns(x.wide + CODER_TILE_COLUMNS * tile);
    const __m256i x_odd = two_columns(x.wide + CODER_TILE_COLUMNS * tile + 2);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      const __m256i c = load_32(codes + CODER_TILE * tile + 32 * half);
      even[half] = _mm256_add_epi32(even[half], _mm256_madd_epi16(even_codes(c), x_even));
      odd[half] = _mm256_add_epi32(odd[half], _mm256_madd_epi16(odd_codes(c), x_odd));
    }
  }
  for (int half = 0; half < 2; half++)
    _mm256_storeu_si256((__m256i *)(void *)(sums + 8 * half), _mm256_add_epi32(even[half], odd[half]));
}

#define KERNEL_NAME avx2
#define KERNEL_FUSED dot_fused_avx2
#define KERNEL_DECODE decode_block_avx2
#include "kernels/dot_template.inc.h"
