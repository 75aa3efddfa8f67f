/* SPDX-License-Identifier: Apache-2.0 */
/* 16 rows x 4 columns of floats, rows LANES_STRIDE apart, to w[4][16]: four 4 x 4 transpositions. */
#ifndef ELLM_KERNELS_TRANSPOSE_SSE_H
#define ELLM_KERNELS_TRANSPOSE_SSE_H

KERNEL_INLINE void lanes_transpose(const float *rows, float *w) {
  for (int quarter = 0; quarter < 4; quarter++) {
    const float *p = rows + LANES_STRIDE * 4 * quarter;
    __m128 a = _mm_loadu_ps(p), b = _mm_loadu_ps(p + LANES_STRIDE);
    __m128 c = _mm_loadu_ps(p + 2 * LANES_STRIDE), d = _mm_loadu_ps(p + 3 * LANES_STRIDE);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(w + 4 * quarter, a);
    _mm_storeu_ps(w + 16 + 4 * quarter, b);
    _mm_storeu_ps(w + 32 + 4 * quarter, c);
    _mm_storeu_ps(w + 48 + 4 * quarter, d);
  }
}

#endif
