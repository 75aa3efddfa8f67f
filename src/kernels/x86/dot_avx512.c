/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer products with AVX-512 VNNI. A tile is one register, byte lane 4 * row +
 * column: vpdpbusd with four activations in every dword lane adds four columns to
 * 16 rows, and the lanes of the sum are the rows. One register of sums a digit.
 */
#include "kernels/x86/vnni.h"

enum { CHAINS = 4 }; /* independent sums: vpdpbusd takes 4 to 5 cycles */

KERNEL_INLINE void dot_digits(const uint8_t *codes, size_t n_tiles, columns x, unsigned digits, int32_t *sums) {
  __m512i low[CHAINS], high[CHAINS];
  KERNEL_UNROLL(4)
  for (int i = 0; i < CHAINS; i++) low[i] = high[i] = _mm512_setzero_si512();
  size_t tile = 0;
  for (; tile + CHAINS <= n_tiles; tile += CHAINS) {
    KERNEL_UNROLL(4)
    for (size_t i = 0; i < CHAINS; i++) {
      const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * (tile + i));
      low[i] = add_products(low[i], c, x.low + 4 * (tile + i));
      if (digits == 2) high[i] = add_products(high[i], c, x.high + 4 * (tile + i));
    }
  }
  for (; tile < n_tiles; tile++) {
    const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * tile);
    low[0] = add_products(low[0], c, x.low + 4 * tile);
    if (digits == 2) high[0] = add_products(high[0], c, x.high + 4 * tile);
  }
  __m512i sum = _mm512_add_epi32(_mm512_add_epi32(low[0], low[1]), _mm512_add_epi32(low[2], low[3]));
  if (digits == 2)
    sum = join_digits(sum, _mm512_add_epi32(_mm512_add_epi32(high[0], high[1]), _mm512_add_epi32(high[2], high[3])));
  _mm512_storeu_si512(sums, sum);
}

static void dot_group(const uint8_t *codes, size_t n_tiles, columns x, int32_t *sums) {
  if (x.high)
    dot_digits(codes, n_tiles, x, 2, sums);
  else
    dot_digits(codes, n_tiles, x, 1, sums);
}

/* 24 sums in registers with two digits, of 32: a tile, and what the compiler loads ahead, take some of the others. */
enum { MULTIPLY_TOKENS = 12 };

KERNEL_INLINE void multiply_digits(const uint8_t *codes, size_t n_tiles, columns x, size_t tokens, size_t stride,
                                   unsigned digits, int32_t *sums, size_t sums_stride) {
  __m512i sum[2 * MULTIPLY_TOKENS];
  KERNEL_UNROLL(24)
  for (size_t i = 0; i < tokens * digits; i++) sum[i] = _mm512_setzero_si512();
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m512i c = _mm512_loadu_si512(codes + CODER_TILE * tile);
    KERNEL_UNROLL(12)
    for (size_t t = 0; t < tokens; t++) {
      const size_t at = t * stride + 4 * tile;
      sum[t * digits] = add_products(sum[t * digits], c, x.low + at);
      if (digits == 2) sum[t * 2 + 1] = add_products(sum[t * 2 + 1], c, x.high + at);
    }
  }
  KERNEL_UNROLL(12)
  for (size_t t = 0; t < tokens; t++)
    _mm512_storeu_si512(sums + t * sums_stride, digits == 2 ? join_digits(sum[2 * t], sum[2 * t + 1]) : sum[t]);
}

static size_t tokens_at_once(size_t n, bool two_digits) {
  (void)two_digits;
  return n >= MULTIPLY_TOKENS ? MULTIPLY_TOKENS : n >= 8 ? 8 : n >= 6 ? 6 : n >= 4 ? 4 : n;
}

#define MULTIPLY_CASES(X) X(1) X(2) X(3) X(4) X(6) X(8) X(12)

static void multiply_group(const uint8_t *codes, size_t n_tiles, columns x, size_t n_tokens, size_t stride,
                           int32_t *sums, size_t sums_stride) {
#define CASE(n) case n: multiply_digits(codes, n_tiles, x, n, stride, digits, sums, sums_stride); break;
  if (x.high) {
    enum { digits = 2 };
    switch (n_tokens) { MULTIPLY_CASES(CASE) default: break; }
  } else {
    enum { digits = 1 };
    switch (n_tokens) { MULTIPLY_CASES(CASE) default: break; }
  }
#undef CASE
}

/* ------------------------------------------------- products of many tokens to floats */

/* All column groups of a panel, for some tokens. */
typedef struct finish {
  const uint8_t *codes;
  size_t n_tiles, n_groups; /* n_groups: of a token, from token to token */
  columns x;
  size_t stride;
  const int32_t (*start)[KERNEL_MAX_GROUPS / CODER_PANEL_ROWS]; /* [token][group]: -zero * sum of the activations */
  const int32_t *added; /* [token][group][16] for the groups of the block, or NULL */
  size_t added_stride;  /* from token to token */
  const float *scale;
  __mmask16 rows;
  float *y;
  size_t y_stride;
} finish;

/* Digits of up to 12 tokens by three pointers, 5 strides apart, and two indices: more pointers would be reloaded for
 * every product. */
typedef struct token_digits { const int8_t *at[3]; } token_digits;

KERNEL_INLINE token_digits digits_from(const int8_t *first, size_t stride) {
  return (token_digits){{first, first + 5 * stride, first + 10 * stride}};
}
KERNEL_INLINE __m512i add_token(__m512i sums, __m512i codes, const token_digits *x, size_t t, size_t stride,
                                size_t stride_3) {
  static const unsigned scales[5] = {0, 1, 2, 1, 4};
  return add_products_at(sums, codes, x->at[t / 5], t % 5 == 3 ? stride_3 : stride, scales[t % 5]);
}

KERNEL_INLINE void finish_digits(const finish *f, size_t tokens, unsigned digits) {
  __m512 out[MULTIPLY_TOKENS];
  const columns x = f->x;
  const size_t stride_3 = 3 * f->stride;
  token_digits x_low = digits_from(x.low, f->stride), x_high = x_low;
  if (digits == 2) x_high = digits_from(x.high, f->stride);
  KERNEL_UNROLL(12)
  for (size_t t = 0; t < tokens; t++) out[t] = _mm512_maskz_loadu_ps(f->rows, f->y + t * f->y_stride);
  for (size_t tile = 0, group = 0; tile < f->n_tiles; group++) {
    const size_t left = f->n_tiles - tile, end = left < x.tiles_per_group ? f->n_tiles : tile + x.tiles_per_group;
    __m512i low[MULTIPLY_TOKENS], high[MULTIPLY_TOKENS];
    KERNEL_UNROLL(12)
    for (size_t t = 0; t < tokens; t++) {
      low[t] = _mm512_set1_epi32(f->start[t][group]);
      if (f->added)
        low[t] = _mm512_add_epi32(
            low[t], _mm512_loadu_si512(f->added + t * f->added_stride + group * CODER_PANEL_ROWS));
      high[t] = _mm512_setzero_si512();
    }
    for (; tile < end; tile++) {
      const __m512i c = _mm512_loadu_si512(f->codes + CODER_TILE * tile);
      KERNEL_UNROLL(12)
      for (size_t t = 0; t < tokens; t++) {
        low[t] = add_token(low[t], c, &x_low, t, f->stride, stride_3);
        if (digits == 2) high[t] = add_token(high[t], c, &x_high, t, f->stride, stride_3);
      }
      KERNEL_UNROLL(3)
      for (int i = 0; i < 3; i++) {
        x_low.at[i] += CODER_TILE_COLUMNS;
        if (digits == 2) x_high.at[i] += CODER_TILE_COLUMNS;
      }
    }
    KERNEL_UNROLL(12)
    for (size_t t = 0; t < tokens; t++) {
      const __m512i sum = digits == 2 ? join_digits(low[t], high[t]) : low[t];
      out[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(f->scale[t * f->n_groups + group]), out[t]);
    }
  }
  KERNEL_UNROLL(12)
  for (size_t t = 0; t < tokens; t++) _mm512_mask_storeu_ps(f->y + t * f->y_stride, f->rows, out[t]);
}

bool multiply_finish_avx512(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                            size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                            size_t n_rows, float *y, size_t y_stride) {
  if (block->panel_rows != CODER_PANEL_ROWS) return false;
  const size_t n_groups = kernel_block_groups(block, a);
  int32_t start[MULTIPLY_TOKENS][KERNEL_MAX_GROUPS / CODER_PANEL_ROWS];
  finish f = {.codes = panel_codes, .n_tiles = block->tiles, .n_groups = a->n_groups, .stride = a->stride,
              .added = added, .added_stride = n_groups * CODER_PANEL_ROWS,
              .start = (const int32_t(*)[KERNEL_MAX_GROUPS / CODER_PANEL_ROWS])start,
              .rows = (__mmask16)((1u << n_rows) - 1), .y = y, .y_stride = y_stride};
  while (n_tokens > 0) {
    const size_t now = tokens_at_once(n_tokens, a->digits == 2);
    const size_t at = token * a->n_groups + block->first_column / a->group;
    f.x = columns_at(a, token, block->first_column);
    f.scale = a->scale + at;
    for (size_t t = 0; t < now; t++)
      for (size_t g = 0; g < n_groups; g++) start[t][g] = -scales->zero * a->sum[at + t * a->n_groups + g];
#define CASE(n) case n: finish_digits(&f, n, digits); break;
    if (a->digits == 2) {
      enum { digits = 2 };
      switch (now) { MULTIPLY_CASES(CASE) default: break; }
    } else {
      enum { digits = 1 };
      switch (now) { MULTIPLY_CASES(CASE) default: break; }
    }
#undef CASE
    f.y += now * y_stride;
    if (added) f.added += now * f.added_stride;
    token += now;
    n_tokens -= now;
  }
  return true;
}

#define KERNEL_NAME avx512
#define KERNEL_FUSED dot_fused_avx512
#define KERNEL_DECODE decode_block_avx512
#include "kernels/dot_template.inc.h"
