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

/* v, hidden from the compiler, which else reorders the sums so that it runs out of registers. */
KERNEL_INLINE __m256i keep(__m256i v) {
  __asm__("" : "+x"(v));
  return v;
}

/* Tokens at once: two sums each, beside four registers of codes and four more. */
enum { MULTIPLY_TOKENS = 4, HALVES = 2 };

KERNEL_INLINE void multiply_tokens(const uint8_t *codes, size_t n_tiles, const int16_t *wide, size_t tokens,
                                   size_t stride, int32_t *sums, size_t sums_stride) {
  __m256i sum[MULTIPLY_TOKENS][HALVES];
  KERNEL_UNROLL(4)
  for (size_t t = 0; t < tokens; t++) sum[t][0] = sum[t][1] = _mm256_setzero_si256();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    __m256i even[HALVES], odd[HALVES];
    KERNEL_UNROLL(2)
    for (int half = 0; half < HALVES; half++) {
      const __m256i c = load_32(codes + CODER_TILE * tile + 32 * half);
      even[half] = keep(even_codes(c));
      odd[half] = keep(odd_codes(c));
    }
    KERNEL_UNROLL(4)
    for (size_t t = 0; t < tokens; t++) {
      const int16_t *x = wide + t * stride + CODER_TILE_COLUMNS * tile;
      const __m256i x_even = two_columns(x), x_odd = two_columns(x + 2);
      KERNEL_UNROLL(2)
      for (int half = 0; half < HALVES; half++) {
        sum[t][half] = _mm256_add_epi32(sum[t][half], _mm256_madd_epi16(even[half], x_even));
        sum[t][half] = keep(_mm256_add_epi32(sum[t][half], _mm256_madd_epi16(odd[half], x_odd)));
      }
    }
  }
  KERNEL_UNROLL(4)
  for (size_t t = 0; t < tokens; t++)
    for (int half = 0; half < HALVES; half++)
      _mm256_storeu_si256((__m256i *)(void *)(sums + t * sums_stride + 8 * half), sum[t][half]);
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n < MULTIPLY_TOKENS ? n : MULTIPLY_TOKENS;
}

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  switch (n_tokens) {
    case 4: multiply_tokens(codes, n_tiles, x.wide, 4, stride, sums, sums_stride); break;
    case 3: multiply_tokens(codes, n_tiles, x.wide, 3, stride, sums, sums_stride); break;
    case 2: multiply_tokens(codes, n_tiles, x.wide, 2, stride, sums, sums_stride); break;
    default: multiply_tokens(codes, n_tiles, x.wide, 1, stride, sums, sums_stride); break;
  }
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  __m256i even[2], odd[2];
  for (int half = 0; half < 2; half++) even[half] = odd[half] = _mm256_setzero_si256();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m256i x_even = two_columns(x.wide + CODER_TILE_COLUMNS * tile);
    const __m256i x_odd = two_columns(x.wide + CODER_TILE_COLUMNS * tile + 2);
    KERNEL_UNROLL(2)
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
