/* SPDX-License-Identifier: Apache-2.0 */
/* 16 lanes as one zmm register; AVX-512 F and DQ. */
#ifndef ELLM_KERNELS_LANES_AVX512_H
#define ELLM_KERNELS_LANES_AVX512_H

#include "kernels/tables.h"
#include "kernels/x86/avx512.h"

enum { LANES_STRIDE = 64 };

/* 32 registers: up to 24 sums; the broadcast is an operand of the fma. */
#define MULTIPLY_TOKENS 6
#define MULTIPLY_COLUMNS(tokens) 4
#define ATTENTION_VECTORS(queries) 4
#define PANEL_ROWS 12
#define PANEL_VECTORS 2

typedef __m512 lanes;

KERNEL_INLINE lanes lanes_set(float x) { return _mm512_set1_ps(x); }
KERNEL_INLINE lanes lanes_load(const float *p) { return _mm512_loadu_ps(p); }
KERNEL_INLINE void lanes_store(float *p, lanes a) { _mm512_storeu_ps(p, a); }
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) { return _mm512_add_ps(a, b); }
KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) { return _mm512_sub_ps(a, b); }
KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) { return _mm512_mul_ps(a, b); }
KERNEL_INLINE lanes lanes_div(lanes a, lanes b) { return _mm512_div_ps(a, b); }
KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return _mm512_fmadd_ps(a, b, c); }
KERNEL_INLINE lanes lanes_below(lanes a, lanes b, lanes x, lanes y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
KERNEL_INLINE lanes lanes_unless_nan(lanes a, lanes y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), y, a);
}
KERNEL_INLINE lanes lanes_shift_exponent(lanes p, lanes t) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
KERNEL_INLINE float lanes_fold(lanes a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
KERNEL_INLINE lanes lanes_load_f32(const uint8_t *p) { return _mm512_loadu_ps(p); }
KERNEL_INLINE lanes lanes_load_bf16(const uint8_t *p) {
  const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
KERNEL_INLINE lanes lanes_load_f16(const uint8_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes a) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
KERNEL_INLINE lanes lanes_load_i8(const int8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
KERNEL_INLINE lanes lanes_column(const uint8_t *tile, int column) {
  const __m512i rows = _mm512_srli_epi32(_mm512_loadu_si512(tile), (unsigned)(8 * column));
  return _mm512_cvtepi32_ps(_mm512_and_si512(rows, _mm512_set1_epi32(255)));
}
KERNEL_INLINE void lanes_store_rounded(int32_t *p, lanes a) { _mm512_storeu_si512(p, _mm512_cvtps_epi32(a)); }
KERNEL_INLINE lanes lanes_from_sums(const int32_t *p, int32_t k) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32(k)));
}
KERNEL_INLINE lanes lanes_keep(lanes v) {
#if !defined(KERNELS_SIMDE)
  __asm__("" : "+v"(v));
#endif
  return v;
}

#include "kernels/x86/transpose_sse.h"

#endif
