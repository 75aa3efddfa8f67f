/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with AVX-512 VNNI. A tile is one register, byte lane 4 * row +
 * column: vpdpbusd with four activations in every dword lane adds four columns to
 * 16 rows, and the lanes of the sum are the rows. One register of sums a digit.
 */
#include "kernels/x86/vnni.h"

enum { CHAINS = 4 }; /* independent sums: vpdpbusd takes 4 to 5 cycles */

KERNEL_INLINE void dot_digits(const uint8_t *codes, size_t n_tiles, columns x, unsigned digits, int32_t *sums) {
  __m512i low[CHAINS], high[CHAINS];
#pragma GCC unroll 4
  for (int i = 0; i < CHAINS; i++) low[i] = high[i] = _mm512_setzero_si512();
  size_t tile = 0;
  for (; tile + CHAINS <= n_tiles; tile += CHAINS) {
#pragma GCC unroll 4
    for (size_t i = 0; i < CHAINS; i++) {
      const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * (tile + i));
      low[i] = add_products(low[i], c, x.low + 4 * (tile + i));
      if (digits == 2) high[i] = add_products(high[i], c, x.high + 4 * (tile + i));
    }
  }
  for (; tile < n_tiles; tile++) {
    const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * tile);
    low[0] = add_products(low[0], c, x.low + 4 * tile);
    if (digits == 2) high[0] = add_products(high[0], c, x.high + 4 * tile);
  }
  __m512i sum = _mm512_add_epi32(_mm512_add_epi32(low[0], low[1]), _mm512_add_epi32(low[2], low[3]));
  if (digits == 2)
    sum = join_digits(sum, _mm512_add_epi32(_mm512_add_epi32(high[0], high[1]), _mm512_add_epi32(high[2], high[3])));
  _mm512_storeu_si512(sums, sum);
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  if (x.high)
    dot_digits(codes, n_tiles, x, 2, sums);
  else
    dot_digits(codes, n_tiles, x, 1, sums);
}

/* 24 sums in registers with two digits. */
enum { MULTIPLY_TOKENS = 12 };

KERNEL_INLINE void multiply_digits(const uint8_t *codes, size_t n_tiles, columns x, size_t tokens, size_t stride,
                                   unsigned digits, int32_t *sums, size_t sums_stride) {
  __m512i sum[2 * MULTIPLY_TOKENS];
#pragma GCC unroll 24
  for (size_t i = 0; i < tokens * digits; i++) sum[i] = _mm512_setzero_si512();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * tile);
#pragma GCC unroll 12
    for (size_t t = 0; t < tokens; t++) {
      const size_t at = t * stride + 4 * tile;
      sum[t * digits] = add_products(sum[t * digits], c, x.low + at);
      if (digits == 2) sum[t * 2 + 1] = add_products(sum[t * 2 + 1], c, x.high + at);
    }
  }
#pragma GCC unroll 12
  for (size_t t = 0; t < tokens; t++)
    _mm512_storeu_si512(sums + t * sums_stride, digits == 2 ? join_digits(sum[2 * t], sum[2 * t + 1]) : sum[t]);
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 8 ? 8 : n >= 6 ? 6 : n >= 4 ? 4 : n;
}

#define MULTIPLY_CASES(X) X(1) X(2) X(3) X(4) X(6) X(8) X(12)

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
#define CASE(n) case n: multiply_digits(codes, n_tiles, x, n, stride, digits, sums, sums_stride); break;
  if (x.high) {
    enum { digits = 2 };
    switch (n_tokens) { MULTIPLY_CASES(CASE) default: break; }
  } else {
    enum { digits = 1 };
    switch (n_tokens) { MULTIPLY_CASES(CASE) default: break; }
  }
#undef CASE
}

#define KERNEL_NAME avx512
#define KERNEL_FUSED dot_fused_avx512
#define KERNEL_DECODE decode_block_avx512
#include "kernels/dot_template.inc.h"
