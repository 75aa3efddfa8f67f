/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX-512 intrinsics: the compiler's, or SIMDe's where the sources are tested without the instructions. */
#ifndef ELLM_KERNELS_AVX512_H
#define ELLM_KERNELS_AVX512_H

#if defined(KERNELS_SIMDE)
#include "simde/avx512_by_simde.h" /* tests/ */
#else
#include <immintrin.h>
#endif

#endif
