/* SPDX-License-Identifier: Apache-2.0 */
/* What fused_template.inc.h asks for of parts, as half a tile in 256 bits, for AVX2 and AVX-VNNI. */
#ifndef ELLM_KERNELS_X86_PART256_H
#define ELLM_KERNELS_X86_PART256_H

#include <immintrin.h>

#include "kernels/tables.h"

#define PART_ROWS 8
typedef __m256i part, narrow_sums, row_sums;

KERNEL_INLINE part part_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
KERNEL_INLINE part part_set(int value) { return _mm256_set1_epi8((char)value); }
KERNEL_INLINE part part_and(part a, part b) { return _mm256_and_si256(a, b); }
KERNEL_INLINE part part_or(part a, part b) { return _mm256_or_si256(a, b); }
KERNEL_INLINE part part_shift(part v, int k) {
  if (k > 0) return _mm256_slli_epi16(v, k);
  if (k < 0) return _mm256_srli_epi16(v, -k);
  return v;
}

#endif
