/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of many tokens to floats, for sets with registers of 8 dwords. Sums of a few groups are put aside and made floats
 * together: group by group, each would wait for the floats of the one before, through memory.
 */
#ifndef ELLM_KERNELS_FINISH_AVX2_H
#define ELLM_KERNELS_FINISH_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/tables.h"

enum { FINISH_TOKENS = 6, FINISH_GROUPS = 8, FINISH_HALVES = 2 };
typedef int32_t finish_token[CODER_PANEL_ROWS];
typedef finish_token finish_sums[FINISH_GROUPS][FINISH_TOKENS];
typedef struct finish_out { float y[FINISH_TOKENS][CODER_PANEL_ROWS]; } finish_out;

KERNEL_INLINE __m256i finish_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
KERNEL_INLINE void finish_store(int32_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

/* The floats of some tokens, y[t * y_stride + row], to `out`; and back. */
KERNEL_INLINE void finish_begin(finish_out *out, const float *y, size_t y_stride, size_t tokens, size_t n_rows) {
  for (size_t t = 0; t < tokens; t++) {
    memcpy(out->y[t], y + t * y_stride, n_rows * sizeof *y);
    for (size_t row = n_rows; row < CODER_PANEL_ROWS; row++) out->y[t][row] = 0;
  }
}
KERNEL_INLINE void finish_end(const finish_out *out, float *y, size_t y_stride, size_t tokens, size_t n_rows) {
  for (size_t t = 0; t < tokens; t++) memcpy(y + t * y_stride, out->y[t], n_rows * sizeof *y);
}

/* What patches add to the sums of a group: added[t * stride + row]. */
static inline void finish_add(const int32_t *added, size_t stride, size_t tokens, finish_token *sums) {
  for (size_t t = 0; t < tokens; t++, added += stride)
    for (int half = 0; half < FINISH_HALVES; half++)
      finish_store(sums[t] + 8 * half, _mm256_add_epi32(finish_load(sums[t] + 8 * half), finish_load(added + 8 * half)));
}

/* out = fmaf(sums, scale, out), groups ascending; scale[t * scale_stride + group]. */
KERNEL_INLINE void finish_some(const finish_token (*sums)[FINISH_TOKENS], size_t n_groups, const float *scale,
                               size_t scale_stride, size_t tokens, finish_out *out) {
  __m256 y[FINISH_TOKENS][FINISH_HALVES];
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++)
    for (int half = 0; half < FINISH_HALVES; half++) y[t][half] = _mm256_loadu_ps(out->y[t] + 8 * half);
  for (size_t g = 0; g < n_groups; g++)
    KERNEL_UNROLL(6)
    for (size_t t = 0; t < tokens; t++) {
      const __m256 factor = _mm256_set1_ps(scale[t * scale_stride + g]);
      KERNEL_UNROLL(2)
      for (int half = 0; half < FINISH_HALVES; half++)
        y[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(finish_load(sums[g][t] + 8 * half)), factor, y[t][half]);
    }
  KERNEL_UNROLL(6)
  for (size_t t = 0; t < tokens; t++)
    for (int half = 0; half < FINISH_HALVES; half++) _mm256_storeu_ps(out->y[t] + 8 * half, y[t][half]);
}

static inline void finish_groups(const finish_token (*sums)[FINISH_TOKENS], size_t n_groups, const float *scale,
                                 size_t scale_stride, size_t tokens, finish_out *out) {
  switch (tokens) {
#define CASE(n) case n: finish_some(sums, n_groups, scale, scale_stride, n, out); break;
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
    default: break;
  }
}

#endif
