/* SPDX-License-Identifier: Apache-2.0 */
/* Products of symbols with AVX-VNNI: codes are put together in registers and multiplied a digit at a time, in 32 bits. */
#include "kernels/x86/part256.h"
#include "kernels/x86/vnni256.h"

KERNEL_INLINE void narrow_add(narrow_sums *sums, part values, const int8_t *digits, bool first) {
  *sums = add_products(first ? _mm256_setzero_si256() : *sums, values, four_digits(digits));
}
KERNEL_INLINE row_sums row_sums_zero(void) { return _mm256_setzero_si256(); }
KERNEL_INLINE row_sums row_sums_set(int32_t value) { return _mm256_set1_epi32(value); }
KERNEL_INLINE void row_sums_add(row_sums *rows, narrow_sums sums, int up) {
  *rows = _mm256_add_epi32(*rows, _mm256_slli_epi32(sums, up));
}
KERNEL_INLINE void row_sums_store(int32_t *p, row_sums low, row_sums high) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm256_add_epi32(low, _mm256_slli_epi32(high, 8)));
}

#define FUSED_NARROW_HOLDS_ALL /* narrow sums have 32 bits */
#define KERNEL_NAME avxvnni
#define KERNEL_SYMBOLS decode_symbols_avx2
#include "kernels/fused_template.inc.h"
