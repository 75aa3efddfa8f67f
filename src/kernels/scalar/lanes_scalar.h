/* SPDX-License-Identifier: Apache-2.0 */
/* 16 lanes in plain C: what every other set must equal. fmaf may be a library call here. */
#ifndef ELLM_KERNELS_LANES_SCALAR_H
#define ELLM_KERNELS_LANES_SCALAR_H

#include <math.h>

#include "base/bytes.h"
#include "kernels/tables.h"

enum { LANES_STRIDE = 64 };
#define MULTIPLY_TOKENS 1
#define MULTIPLY_COLUMNS(tokens) 4
#define ATTENTION_VECTORS(queries) 1
#define PANEL_ROWS 1
#define PANEL_VECTORS 1

typedef struct lanes { float v[16]; } lanes;

#define LANES_EACH(expression)                            \
  lanes out;                                              \
  for (int i = 0; i < 16; i++) out.v[i] = (expression);   \
  return out

KERNEL_INLINE lanes lanes_set(float x) { LANES_EACH(x); }
KERNEL_INLINE lanes lanes_load(const float *p) { LANES_EACH(p[i]); }
KERNEL_INLINE void lanes_store(float *p, lanes a) { memcpy(p, a.v, sizeof a.v); }
KERNEL_INLINE lanes lanes_add(lanes a, lanes b) { LANES_EACH(a.v[i] + b.v[i]); }
KERNEL_INLINE lanes lanes_sub(lanes a, lanes b) { LANES_EACH(a.v[i] - b.v[i]); }
KERNEL_INLINE lanes lanes_mul(lanes a, lanes b) { LANES_EACH(a.v[i] * b.v[i]); }
KERNEL_INLINE lanes lanes_div(lanes a, lanes b) { LANES_EACH(a.v[i] / b.v[i]); }
KERNEL_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { LANES_EACH(fmaf(a.v[i], b.v[i], c.v[i])); }
KERNEL_INLINE lanes lanes_below(lanes a, lanes b, lanes x, lanes y) { LANES_EACH(a.v[i] < b.v[i] ? x.v[i] : y.v[i]); }
KERNEL_INLINE lanes lanes_unless_nan(lanes a, lanes y) { LANES_EACH(a.v[i] != a.v[i] ? a.v[i] : y.v[i]); }
KERNEL_INLINE lanes lanes_shift_exponent(lanes p, lanes t) {
  LANES_EACH(float_from_bits(float_bits(p.v[i]) + (float_bits(t.v[i]) << 23)));
}
KERNEL_INLINE float lanes_fold(lanes a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.v[i] += a.v[i + half];
  return a.v[0];
}
KERNEL_INLINE lanes lanes_load_f32(const uint8_t *p) { LANES_EACH(float_from_bits(load_u32(p + 4 * i))); }
KERNEL_INLINE lanes lanes_load_bf16(const uint8_t *p) { LANES_EACH(float_from_bf16(load_u16(p + 2 * i))); }
/* An array of uint16_t in memory is little-endian on every machine we build for. */
KERNEL_INLINE lanes lanes_load_f16(const uint8_t *p) { LANES_EACH(float_from_f16(load_u16(p + 2 * i))); }
KERNEL_INLINE void lanes_store_f16(uint16_t *p, lanes a) {
  for (int i = 0; i < 16; i++) p[i] = f16_from_float(a.v[i]);
}
KERNEL_INLINE lanes lanes_load_i8(const int8_t *p) { LANES_EACH((float)p[i]); }
KERNEL_INLINE lanes lanes_column(const uint8_t *tile, int column) { LANES_EACH((float)tile[4 * i + column]); }
KERNEL_INLINE void lanes_transpose(const float *rows, float *w) {
  for (int column = 0; column < 4; column++)
    for (int row = 0; row < 16; row++) w[16 * column + row] = rows[LANES_STRIDE * row + column];
}

KERNEL_INLINE void lanes_store_rounded(int32_t *p, lanes a) {
  for (int i = 0; i < 16; i++) p[i] = (int32_t)lrintf(a.v[i]);
}
KERNEL_INLINE lanes lanes_from_sums(const int32_t *p, int32_t k) {
  LANES_EACH((float)(int32_t)((uint32_t)p[i] - (uint32_t)k)); /* in range, whatever the rows that do not exist hold */
}

KERNEL_INLINE lanes lanes_keep(lanes v) { return v; }

#undef LANES_EACH
#endif
