/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of products with AVX-512 VNNI. */
#ifndef ELLM_KERNELS_VNNI_H
#define ELLM_KERNELS_VNNI_H

#include <string.h>

#include "kernels/columns.h"
#include "kernels/x86/avx512.h"

/* Four digits of a tile's columns in all rows. */
KERNEL_INLINE __m512i four_digits(const int8_t *digits) {
  int32_t four;
  memcpy(&four, digits, sizeof four);
  return _mm512_set1_epi32(four);
}

KERNEL_INLINE __m512i join_digits(__m512i low, __m512i high) { return _mm512_add_epi32(low, _mm512_slli_epi32(high, 8)); }

#endif
