/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX-512 intrinsics: the compiler's, or SIMDe's where the sources are tested without the instructions. */
#ifndef ELLM_KERNELS_AVX512_H
#define ELLM_KERNELS_AVX512_H

#if defined(KERNELS_SIMDE)
#include "simde/avx512_by_simde.h" /* tests/ */
#else
#include <immintrin.h>
#endif

#include "kernels/tables.h"

/* v in a register, hidden from the compiler: a load that is kept is made once, and not folded into each use. Loads of
 * 64 bytes are dear where they cross cache lines. */
KERNEL_INLINE __m512i vector_keep(__m512i v) {
#if !defined(KERNELS_SIMDE)
  __asm__("" : "+v"(v));
#endif
  return v;
}

#endif
