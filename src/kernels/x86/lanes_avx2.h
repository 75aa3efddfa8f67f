/* SPDX-License-Identifier: Apache-2.0 */
/* 16 lanes as two ymm registers; AVX2, FMA and F16C. */
#ifndef ELLM_KERNELS_LANES_AVX2_H
#define ELLM_KERNELS_LANES_AVX2_H

#include <immintrin.h>

#include "kernels/tables.h"

enum { LANES_STRIDE = 64 };

/* 16 registers: up to 12 sums, one vector of weights (two halves), one broadcast. */
#define MULTIPLY_TOKENS 6
#define MULTIPLY_COLUMNS(tokens) ((tokens) == 1 ? 4 : (tokens) <= 3 ? 2 : 1)
#define ATTENTION_VECTORS(queries) ((queries) == 1 ? 4 : (queries) == 2 ? 2 : 1)
#define PANEL_ROWS 6
#define PANEL_VECTORS 1

typedef struct lanes { __m256 low, high; } lanes;

#define LANES_BOTH(low_expression, high_expression) return (lanes){(low_expression), (high_expression)}

KERNEL_INLINE lanes lanes_set(float x) { LANES_BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
KERNEL_INLINE lanes lanes_load(const float *p) { LANES_BOTH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
KERNEL_INLINE void lanes_store(float *p, lanes a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) {
  LANES_BOTH(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}
KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) {
  LANES_BOTH(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}
KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) {
  LANES_BOTH(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}
KERNEL_INLINE lanes lanes_div(lanes a, lanes b) {
  LANES_BOTH(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}
KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
  LANES_BOTH(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}
KERNEL_INLINE lanes lanes_below(lanes a, lanes b, lanes x, lanes y) {
  LANES_BOTH(_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
             _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)));
}
KERNEL_INLINE lanes lanes_unless_nan(lanes a, lanes y) {
  LANES_BOTH(_mm256_blendv_ps(y.low, a.low, _mm256_cmp_ps(a.low, a.low, _CMP_UNORD_Q)),
             _mm256_blendv_ps(y.high, a.high, _mm256_cmp_ps(a.high, a.high, _CMP_UNORD_Q)));
}
KERNEL_INLINE __m256 shift_exponent(__m256 p, __m256 t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
KERNEL_INLINE lanes lanes_shift_exponent(lanes p, lanes t) {
  LANES_BOTH(shift_exponent(p.low, t.low), shift_exponent(p.high, t.high));
}
KERNEL_INLINE float lanes_fold(lanes a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
KERNEL_INLINE lanes lanes_load_f32(const uint8_t *p) { return lanes_load((const float *)(const void *)p); }
KERNEL_INLINE __m256 load_bf16(const uint8_t *p) {
  const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
KERNEL_INLINE lanes lanes_load_bf16(const uint8_t *p) { LANES_BOTH(load_bf16(p), load_bf16(p + 16)); }
KERNEL_INLINE lanes lanes_load_f16(const uint8_t *p) {
  const __m128i *half = (const __m128i *)(const void *)p;
  LANES_BOTH(_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1)));
}
KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes a) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128((__m128i *)(void *)(p + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
KERNEL_INLINE __m256 load_i8(const int8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
KERNEL_INLINE lanes lanes_load_i8(const int8_t *p) { LANES_BOTH(load_i8(p), load_i8(p + 8)); }
KERNEL_INLINE __m256 tile_column(const uint8_t *half_tile, int column) {
  const __m256i rows = _mm256_loadu_si256((const __m256i *)(const void *)half_tile);
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(rows, 8 * column), _mm256_set1_epi32(255)));
}
KERNEL_INLINE lanes lanes_column(const uint8_t *tile, int column) {
  LANES_BOTH(tile_column(tile, column), tile_column(tile + 32, column));
}
KERNEL_INLINE void lanes_store_rounded(int32_t *p, lanes a) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm256_cvtps_epi32(a.low));
  _mm256_storeu_si256((__m256i *)(void *)(p + 8), _mm256_cvtps_epi32(a.high));
}
KERNEL_INLINE __m256 from_sums(const int32_t *p, int32_t k) {
  return _mm256_cvtepi32_ps(
      _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_set1_epi32(k)));
}
KERNEL_INLINE lanes lanes_from_sums(const int32_t *p, int32_t k) { LANES_BOTH(from_sums(p, k), from_sums(p + 8, k)); }
KERNEL_INLINE lanes lanes_keep(lanes v) {
  __asm__("" : "+x"(v.low), "+x"(v.high));
  return v;
}

#undef LANES_BOTH

#include "kernels/x86/transpose_sse.h"

#endif
