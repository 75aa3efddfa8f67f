/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products with AVX-VNNI; all else of the set is that of AVX2. */
#include "kernels/x86/vnni256.h"

enum { CHAINS = 4 }; /* tiles in turn: vpdpbusd takes 4 to 6 cycles */

KERNEL_INLINE void dot_digits(const uint8_t *codes, size_t n_tiles, columns x, unsigned digits, int32_t *sums) {
  const size_t chains = digits == 2 ? CHAINS / 2 : CHAINS;
  __m256i low[CHAINS][VNNI_HALVES], high[CHAINS][VNNI_HALVES];
  KERNEL_UNROLL(4)
  for (size_t i = 0; i < chains; i++)
    low[i][0] = low[i][1] = high[i][0] = high[i][1] = _mm256_setzero_si256();
  for (size_t tile = 0; tile < n_tiles; tile += chains)
    KERNEL_UNROLL(4)
    for (size_t i = 0; i < chains; i++) {
      if (i > 0 && tile + i >= n_tiles) break;
      const __m256i x_low = four_digits(x.low + CODER_TILE_COLUMNS * (tile + i));
      KERNEL_UNROLL(2)
      for (int half = 0; half < VNNI_HALVES; half++) {
        const __m256i c = load_codes(codes + CODER_TILE * (tile + i) + VNNI_HALF * half);
        low[i][half] = add_products(low[i][half], c, x_low);
        if (digits == 2)
          high[i][half] = add_products(high[i][half], c, four_digits(x.high + CODER_TILE_COLUMNS * (tile + i)));
      }
    }
  for (int half = 0; half < VNNI_HALVES; half++) {
    __m256i sum = low[0][half], more = high[0][half];
    for (size_t i = 1; i < chains; i++) {
      sum = _mm256_add_epi32(sum, low[i][half]);
      more = _mm256_add_epi32(more, high[i][half]);
    }
    if (digits == 2) sum = _mm256_add_epi32(sum, _mm256_slli_epi32(more, 8));
    _mm256_storeu_si256((__m256i *)(void *)(sums + 8 * half), sum);
  }
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  if (x.high)
    dot_digits(codes, n_tiles, x, 2, sums);
  else
    dot_digits(codes, n_tiles, x, 1, sums);
}

static size_t tokens_at_once(size_t n, bool two_digits) { return vnni_tokens(n, two_digits); }

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
  static const int32_t zeros[VNNI_TOKENS] = {0};
  group_sums_of(codes, n_tiles, x, stride, zeros, n_tokens, sums, sums_stride);
}

#define KERNEL_NAME avxvnni
#define KERNEL_FUSED dot_fused_avxvnni
#define KERNEL_DECODE decode_block_avx2
#include "kernels/dot_template.inc.h"
