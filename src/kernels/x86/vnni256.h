/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with AVX-VNNI: vpdpbusd on ymm, as AVX2 encodes (VEX). It multiplies bytes without a sign by bytes with one and
 * adds four products to a dword, exactly: no 16 bits on the way, so it takes codes and digits as they lie.
 *
 * KERNELS_SIMDE (tests) makes the same of AVX2 instructions; KERNELS_EVEX (tests) takes the encoding of AVX-512 VNNI and VL,
 * the same operation, so that processors without AVX-VNNI can try it.
 */
#ifndef ELLM_KERNELS_VNNI256_H
#define ELLM_KERNELS_VNNI256_H

#include <immintrin.h>
#include <string.h>

#include "kernels/columns.h"

enum { VNNI_HALVES = 2, VNNI_HALF = CODER_TILE / VNNI_HALVES };

/* Written out, because compilers copy the sums about, and older ones do not know the instruction. */
KERNEL_INLINE __m256i add_products(__m256i sums, __m256i codes, __m256i digits) {
#if defined(KERNELS_SIMDE)
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(255)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(digits, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), _mm256_srai_epi16(digits, 8));
  return _mm256_add_epi32(sums, _mm256_add_epi32(even, odd));
#elif defined(KERNELS_EVEX)
  __asm__("vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(codes), "x"(digits));
  return sums;
#else
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(codes), "x"(digits));
  return sums;
#endif
}

/* Four digits in every dword. */
KERNEL_INLINE __m256i four_digits(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm256_set1_epi32(four);
}

KERNEL_INLINE __m256i load_codes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

/* Tokens at once: with 12 sums in registers. */
enum { VNNI_TOKENS = 6 };
KERNEL_INLINE size_t vnni_tokens(size_t n, bool two_digits) {
  const size_t most = two_digits ? VNNI_TOKENS / 2 : VNNI_TOKENS;
  return n < most ? n : most;
}

/* sums[t * stride + row] = start[t] + codes times the digits of n_tiles tiles; x: the first token's columns. */
KERNEL_INLINE void group_sums(const uint8_t *codes, size_t n_tiles, columns x, size_t x_stride, const int32_t *start,
                              size_t tokens, unsigned digits, int32_t *sums, size_t stride) {
  __m256i low[VNNI_TOKENS][VNNI_HALVES], high[VNNI_TOKENS][VNNI_HALVES];
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++) {
    low[t][0] = low[t][1] = _mm256_set1_epi32(start[t]);
    high[t][0] = high[t][1] = _mm256_setzero_si256();
  }
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m256i c[VNNI_HALVES] = {load_codes(codes + CODER_TILE * tile),
                                    load_codes(codes + CODER_TILE * tile + VNNI_HALF)};
    KERNEL_UNROLL(6)
    for (size_t t = 0; t < tokens; t++) {
      const size_t at = t * x_stride + CODER_TILE_COLUMNS * tile;
      const __m256i x_low = four_digits(x.low + at);
      KERNEL_UNROLL(2)
      for (int half = 0; half < VNNI_HALVES; half++) low[t][half] = add_products(low[t][half], c[half], x_low);
      if (digits == 1) continue;
      const __m256i x_high = four_digits(x.high + at);
      KERNEL_UNROLL(2)
      for (int half = 0; half < VNNI_HALVES; half++) high[t][half] = add_products(high[t][half], c[half], x_high);
    }
  }
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++)
    KERNEL_UNROLL(2)
    for (int half = 0; half < VNNI_HALVES; half++) {
      __m256i sum = low[t][half];
      if (digits == 2) sum = _mm256_add_epi32(sum, _mm256_slli_epi32(high[t][half], 8));
      _mm256_storeu_si256((__m256i *)(void *)(sums + t * stride + 8 * half), sum);
    }
}

/* The same for any number of tokens that vnni_tokens gives. */
KERNEL_INLINE void group_sums_of(const uint8_t *codes, size_t n_tiles, columns x, size_t x_stride, const int32_t *start,
                                 size_t tokens, int32_t *sums, size_t stride) {
#define CASE(n, digits) case n: group_sums(codes, n_tiles, x, x_stride, start, n, digits, sums, stride); break;
  if (x.high)
    switch (tokens) { CASE(1, 2) CASE(2, 2) CASE(3, 2) default: break; }
  else
    switch (tokens) { CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1) default: break; }
#undef CASE
}

#endif
