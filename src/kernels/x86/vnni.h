/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of products with AVX-512 VNNI. */
#ifndef ELLM_KERNELS_VNNI_H
#define ELLM_KERNELS_VNNI_H

#include <string.h>

#include "kernels/columns.h"
#include "kernels/x86/avx512.h"

/* Codes of a tile times four digits, those of its columns, added to the sums of the rows. Written out, because
 * compilers copy the sums about and take a register more for the digits. */
KERNEL_INLINE __m512i add_products(__m512i sums, __m512i codes, const int8_t *digits) {
#if defined(KERNELS_SIMDE)
  int32_t four;
  memcpy(&four, digits, sizeof four);
  return _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four));
#else
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "m"(*(const int8_t(*)[4])digits));
  return sums;
#endif
}

/* The same with the digits at base + scale * index, scale 0, 1, 2 or 4: addresses that the instruction makes. */
KERNEL_INLINE __m512i add_products_at(__m512i sums, __m512i codes, const int8_t *base, size_t index, unsigned scale) {
#if defined(KERNELS_SIMDE)
  return add_products(sums, codes, base + scale * index);
#else
  switch (scale) {
    case 0: __asm__("vpdpbusd (%2)%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "r"(base)); break;
    case 1: __asm__("vpdpbusd (%2,%3)%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "r"(base), "r"(index)); break;
    case 2: __asm__("vpdpbusd (%2,%3,2)%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "r"(base), "r"(index)); break;
    default: __asm__("vpdpbusd (%2,%3,4)%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "r"(base), "r"(index)); break;
  }
  return sums;
#endif
}

KERNEL_INLINE __m512i join_digits(__m512i low, __m512i high) {
  return _mm512_add_epi32(low, _mm512_slli_epi32(high, 8));
}

#endif
