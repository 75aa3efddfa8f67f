/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: the AVX-512 intrinsics that our kernels use, from SIMDe where it has
 * them, else here by their definition (Intel's Intrinsics Guide), lane by lane.
 * Compiled with AVX2 and FMA flags only, so no AVX-512 instruction can result.
 */
#ifndef ELLM_TESTS_AVX512_BY_SIMDE_H
#define ELLM_TESTS_AVX512_BY_SIMDE_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#include <string.h>

static inline simde__m512i shim_mask_expand_epi8(simde__m512i src, simde__mmask64 k, simde__m512i a) {
  unsigned char from[64], to[64];
  simde_mm512_storeu_si512(from, a);
  simde_mm512_storeu_si512(to, src);
  for (int i = 0, next = 0; i < 64; i++)
    if (k >> i & 1) to[i] = from[next++];
  return simde_mm512_loadu_si512(to);
}
#undef _mm512_mask_expand_epi8
#define _mm512_mask_expand_epi8(src, k, a) shim_mask_expand_epi8(src, k, a)

static inline simde__m512i shim_cvtepu16_epi32(simde__m256i a) {
  unsigned short from[16];
  unsigned to[16];
  simde_mm256_storeu_si256(from, a);
  for (int i = 0; i < 16; i++) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(a) shim_cvtepu16_epi32(a)

static inline simde__m512i shim_cvtepi8_epi32(simde__m128i a) {
  signed char from[16];
  int to[16];
  simde_mm_storeu_si128(from, a);
  for (int i = 0; i < 16; i++) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(a) shim_cvtepi8_epi32(a)

static inline simde__m512 shim_cvtepi32_ps(simde__m512i a) {
  int from[16];
  float to[16];
  simde_mm512_storeu_si512(from, a);
  for (int i = 0; i < 16; i++) to[i] = (float)from[i];
  return simde_mm512_loadu_ps(to);
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) shim_cvtepi32_ps(a)

static inline simde__m512i shim_srai_epi32(simde__m512i a, unsigned count) {
  int lanes[16];
  simde_mm512_storeu_si512(lanes, a);
  for (int i = 0; i < 16; i++) lanes[i] >>= count;
  return simde_mm512_loadu_si512(lanes);
}
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(a, count) shim_srai_epi32(a, count)

static inline simde__m512i shim_cvtps_epi32(simde__m512 a) {
  float from[16];
  int to[16];
  simde_mm512_storeu_ps(from, a);
  simde_mm256_storeu_si256(to, simde_mm256_cvtps_epi32(simde_mm256_loadu_ps(from)));
  simde_mm256_storeu_si256(to + 8, simde_mm256_cvtps_epi32(simde_mm256_loadu_ps(from + 8)));
  return simde_mm512_loadu_si512(to);
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) shim_cvtps_epi32(a)

static inline simde__m512i shim_dpbusd_epi32(simde__m512i sum, simde__m512i a, simde__m512i b) {
  int total[16];
  unsigned char x[64];
  signed char y[64];
  simde_mm512_storeu_si512(total, sum);
  simde_mm512_storeu_si512(x, a);
  simde_mm512_storeu_si512(y, b);
  for (int i = 0; i < 64; i++) total[i / 4] += x[i] * y[i];
  return simde_mm512_loadu_si512(total);
}
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32(sum, a, b) shim_dpbusd_epi32(sum, a, b)

static inline simde__m512 shim_maskz_loadu_ps(unsigned k, const float *p) {
  float lanes[16];
  for (int i = 0; i < 16; i++) lanes[i] = k >> i & 1 ? p[i] : 0.0f;
  return simde_mm512_loadu_ps(lanes);
}
static inline void shim_mask_storeu_ps(float *p, unsigned k, simde__m512 a) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, a);
  for (int i = 0; i < 16; i++)
    if (k >> i & 1) p[i] = lanes[i];
}
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#define _mm512_maskz_loadu_ps(k, p) shim_maskz_loadu_ps(k, p)
#define _mm512_mask_storeu_ps(p, k, a) shim_mask_storeu_ps(p, k, a)

/* Halves of 8 lanes by F16C, which the AVX2 flags include. */
static inline simde__m512 shim_cvtph_ps(simde__m256i a) {
  float to[16];
  simde_mm256_storeu_ps(to, _mm256_cvtph_ps(simde_mm256_extracti128_si256(a, 0)));
  simde_mm256_storeu_ps(to + 8, _mm256_cvtph_ps(simde_mm256_extracti128_si256(a, 1)));
  return simde_mm512_loadu_ps(to);
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(a) shim_cvtph_ps(a)

static inline simde__m256i shim_cvtps_ph(simde__m512 a) {
  float from[16];
  simde_mm512_storeu_ps(from, a);
  const __m128i low = _mm256_cvtps_ph(simde_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m128i high = _mm256_cvtps_ph(simde_mm256_loadu_ps(from + 8), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return simde_mm256_set_m128i(high, low);
}
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(a, rounding) shim_cvtps_ph(a)

#endif
