/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The float kernels, once, for all instruction sets. A set's float_*.c includes
 * its lanes_*.h, which defines `lanes`, 16 virtual float lanes, and the
 * operations on them, then this file, which defines the functions and the table
 * kernel_table_<KERNEL_NAME>. Only order and grouping of exactly defined IEEE 754
 * operations are written here, so the tables cannot differ in a bit.
 *
 * A set supplies:
 *   lanes_set, lanes_load, lanes_store, lanes_add, lanes_sub, lanes_mul, lanes_div
 *   lanes_fma(a, b, c)            a * b + c, rounded once
 *   lanes_below(a, b, x, y)       a < b ? x : y, y where a or b is NaN
 *   lanes_unless_nan(a, y)        y, or a where a is NaN
 *   lanes_shift_exponent(p, t)    p's bits + (t's bits << 23)
 *   lanes_fold(v)                 sum: i and i + 8, i + 4, i + 2, i + 1
 *   lanes_load_bf16, lanes_load_f16, lanes_store_f16   from and to bytes
 *   lanes_load_i8(p)              16 signed bytes as floats
 *   lanes_column(tile, column)    bytes 4 * lane + column of a 64-byte tile as floats
 *   lanes_transpose(rows, w)      rows[16 lanes][LANES_STRIDE], 4 columns, to w[4][16]
 *   lanes_keep(v)                 v, hidden from the compiler, which then cannot load it twice
 * and the shape of the matrix product's inner loop (see tiles_multiply):
 *   MULTIPLY_TOKENS               most tokens at once
 *   MULTIPLY_COLUMNS(tokens)      columns at once with so many tokens: 1, 2 or 4
 * that of attention (attention_template.inc.h): ATTENTION_VECTORS(queries)
 * and that of the product of panels (panel_template.inc.h):
 *   PANEL_ROWS, PANEL_VECTORS     rows, groups of 16 columns at once
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "kernels/patches.h"

enum { LANES = 16 };

/* The first n < 16 lanes from memory, the others `fill`. */
KERNEL_INLINE lanes load_part(const float *x, size_t n, float fill) {
  float buffer[LANES];
  for (int i = 0; i < LANES; i++) buffer[i] = fill;
  memcpy(buffer, x, n * sizeof(float));
  return lanes_load(buffer);
}

KERNEL_INLINE void store_part(float *x, size_t n, lanes v) {
  float buffer[LANES];
  lanes_store(buffer, v);
  memcpy(x, buffer, n * sizeof(float));
}

/* exp: x = n ln 2 + r with |r| <= 0.3466. A polynomial of degree 6, minimax in relative error (3.8e-9), gives e^r, and
 * adding n to the exponent multiplies it by 2^n. Adding 1.5 * 2^23 rounds x / ln 2 to the integer n, because floats of
 * that size have no fraction bits. n is then in the low bits of t, and shifting t left by 23 moves them to the exponent
 * and drops the rest. ln 2 is subtracted in two parts, so that r keeps its low bits. */
#define EXP_LOWEST (-87.3365f)        /* just above ln 2^-126 */
#define EXP_HIGHEST 0x1.62e42ep+6f    /* largest float with a finite exp */
KERNEL_INLINE lanes lanes_exp(lanes x) {
  const lanes rounder = lanes_set(12582912.0f); /* 1.5 * 2^23 */
  const lanes t = lanes_fma(x, lanes_set(0x1.715476p+0f), rounder);
  const lanes n = lanes_sub(t, rounder);
  lanes r = lanes_fma(n, lanes_set(-0x1.62e43p-1f), x);
  r = lanes_fma(n, lanes_set(0x1.05c61p-29f), r);
  lanes p = lanes_set(0x1.6a243ap-10f);
  p = lanes_fma(p, r, lanes_set(0x1.1239ep-7f));
  p = lanes_fma(p, r, lanes_set(0x1.5558f2p-5f));
  p = lanes_fma(p, r, lanes_set(0x1.555492p-3f));
  p = lanes_fma(p, r, lanes_set(0x1.fffffcp-2f));
  p = lanes_fma(p, r, lanes_set(1.0f));
  p = lanes_fma(p, r, lanes_set(1.0f));
  lanes y = lanes_shift_exponent(p, t);
  y = lanes_below(x, lanes_set(EXP_LOWEST), lanes_set(0.0f), y);
  y = lanes_below(lanes_set(EXP_HIGHEST), x, lanes_set(INFINITY), y);
  return lanes_unless_nan(x, y);
}

/* ------------------------------------------------------------------ vectors */

static float kernel_dot(const float *a, const float *b, size_t n) {
  lanes sum = lanes_set(0.0f);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) sum = lanes_fma(lanes_load(a + i), lanes_load(b + i), sum);
  if (i < n) sum = lanes_fma(load_part(a + i, n - i, 0.0f), load_part(b + i, n - i, 0.0f), sum);
  return lanes_fold(sum);
}

static void kernel_axpy(float alpha, const float *x, float *y, size_t n) {
  const lanes factor = lanes_set(alpha);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(y + i, lanes_fma(factor, lanes_load(x + i), lanes_load(y + i)));
  if (i < n) store_part(y + i, n - i, lanes_fma(factor, load_part(x + i, n - i, 0.0f), load_part(y + i, n - i, 0.0f)));
}

KERNEL_INLINE lanes lanes_larger(lanes earlier, lanes later) { return lanes_below(earlier, later, later, earlier); }

static float kernel_max(const float *x, size_t n) {
  lanes most = lanes_set(-INFINITY);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) most = lanes_larger(most, lanes_load(x + i));
  if (i < n) most = lanes_larger(most, load_part(x + i, n - i, -INFINITY));
  float folded[LANES];
  lanes_store(folded, most);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) folded[j] = folded[j] < folded[j + half] ? folded[j + half] : folded[j];
  return folded[0];
}

static float kernel_exp_sum(float *x, float shift, size_t n) {
  const lanes shifts = lanes_set(shift);
  lanes sum = lanes_set(0.0f);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const lanes e = lanes_exp(lanes_sub(lanes_load(x + i), shifts));
    lanes_store(x + i, e);
    sum = lanes_add(sum, e);
  }
  if (i < n) {
    float buffer[LANES];
    lanes_store(buffer, lanes_exp(lanes_sub(load_part(x + i, n - i, 0.0f), shifts)));
    for (size_t j = n - i; j < LANES; j++) buffer[j] = 0.0f; /* exp of a missing element is none */
    memcpy(x + i, buffer, (n - i) * sizeof(float));
    sum = lanes_add(sum, lanes_load(buffer));
  }
  return lanes_fold(sum);
}

static void kernel_scale(float *x, float factor, size_t n) {
  const lanes factors = lanes_set(factor);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(x + i, lanes_mul(lanes_load(x + i), factors));
  if (i < n) store_part(x + i, n - i, lanes_mul(load_part(x + i, n - i, 0.0f), factors));
}

static void kernel_add(const float *x, float *y, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(y + i, lanes_add(lanes_load(y + i), lanes_load(x + i)));
  if (i < n) store_part(y + i, n - i, lanes_add(load_part(y + i, n - i, 0.0f), load_part(x + i, n - i, 0.0f)));
}

static void kernel_rms_norm(const float *x, const float *weight, float eps, float *out, size_t n) {
  const float mean = kernel_dot(x, x, n) / (float)n;
  const lanes factor = lanes_set(1.0f / sqrtf(mean + eps));
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(out + i, lanes_mul(lanes_mul(lanes_load(x + i), factor), lanes_load(weight + i)));
  if (i < n) {
    const lanes part = lanes_mul(load_part(x + i, n - i, 0.0f), factor);
    store_part(out + i, n - i, lanes_mul(part, load_part(weight + i, n - i, 0.0f)));
  }
}

KERNEL_INLINE lanes lanes_silu_mul(lanes gate, lanes up) {
  const lanes e = lanes_exp(lanes_sub(lanes_set(0.0f), gate));
  return lanes_mul(lanes_div(gate, lanes_add(lanes_set(1.0f), e)), up);
}

static void kernel_silu_mul(const float *gate, const float *up, float *out, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(out + i, lanes_silu_mul(lanes_load(gate + i), lanes_load(up + i)));
  if (i < n)
    store_part(out + i, n - i, lanes_silu_mul(load_part(gate + i, n - i, 0.0f), load_part(up + i, n - i, 0.0f)));
}

/* 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2 u)). */
#define GELU_LINEAR 0x1.988454p+0f  /* 2 sqrt(2 / pi) */
#define GELU_CUBIC 0x1.2444f2p-4f   /* times 0.044715 */
KERNEL_INLINE lanes lanes_gelu_tanh_mul(lanes gate, lanes up) {
  const lanes slope = lanes_fma(lanes_mul(gate, gate), lanes_set(GELU_CUBIC), lanes_set(GELU_LINEAR));
  const lanes e = lanes_exp(lanes_sub(lanes_set(0.0f), lanes_mul(gate, slope)));
  return lanes_mul(lanes_div(gate, lanes_add(lanes_set(1.0f), e)), up);
}

static void kernel_gelu_tanh_mul(const float *gate, const float *up, float *out, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(out + i, lanes_gelu_tanh_mul(lanes_load(gate + i), lanes_load(up + i)));
  if (i < n)
    store_part(out + i, n - i, lanes_gelu_tanh_mul(load_part(gate + i, n - i, 0.0f), load_part(up + i, n - i, 0.0f)));
}

/* Up to TANH_SERIES an odd polynomial, x + x z p(z) with z = x^2, fitted for relative error; beyond it
 * (1 - e) / (1 + e), e = exp(-2 |x|), which loses nothing there. */
#define TANH_SERIES 0.625f
KERNEL_INLINE lanes lanes_tanh(lanes x) {
  const lanes zero = lanes_set(0.0f), one = lanes_set(1.0f);
  const lanes size = lanes_below(x, zero, lanes_sub(zero, x), x);
  const lanes z = lanes_mul(x, x);
  lanes p = lanes_set(-5.70498872745e-3f);
  p = lanes_fma(p, z, lanes_set(2.06390887954e-2f));
  p = lanes_fma(p, z, lanes_set(-5.37397155531e-2f));
  p = lanes_fma(p, z, lanes_set(1.33314422036e-1f));
  p = lanes_fma(p, z, lanes_set(-3.33332819422e-1f));
  const lanes near = lanes_fma(lanes_mul(p, z), x, x);
  const lanes e = lanes_exp(lanes_mul(size, lanes_set(-2.0f)));
  const lanes far = lanes_div(lanes_sub(one, e), lanes_add(one, e));
  return lanes_below(size, lanes_set(TANH_SERIES), near, lanes_below(x, zero, lanes_sub(zero, far), far));
}

static void kernel_soft_cap(float *x, float cap, size_t n) {
  const lanes caps = lanes_set(cap);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(x + i, lanes_mul(lanes_tanh(lanes_div(lanes_load(x + i), caps)), caps));
  if (i < n) store_part(x + i, n - i, lanes_mul(lanes_tanh(lanes_div(load_part(x + i, n - i, 0.0f), caps)), caps));
}

static void kernel_rope(float *head, const float *cos_sin, size_t half) {
  const float *cosines = cos_sin, *sines = cos_sin + half;
  float *low = head, *high = head + half;
  size_t i = 0;
  for (; i + LANES <= half; i += LANES) {
    const lanes a = lanes_load(low + i), b = lanes_load(high + i);
    const lanes c = lanes_load(cosines + i), s = lanes_load(sines + i);
    lanes_store(low + i, lanes_sub(lanes_mul(a, c), lanes_mul(b, s)));
    lanes_store(high + i, lanes_add(lanes_mul(b, c), lanes_mul(a, s)));
  }
  if (i < half) {
    const size_t rest = half - i;
    const lanes a = load_part(low + i, rest, 0.0f), b = load_part(high + i, rest, 0.0f);
    const lanes c = load_part(cosines + i, rest, 0.0f), s = load_part(sines + i, rest, 0.0f);
    store_part(low + i, rest, lanes_sub(lanes_mul(a, c), lanes_mul(b, s)));
    store_part(high + i, rest, lanes_add(lanes_mul(b, c), lanes_mul(a, s)));
  }
}

static void kernel_f16_from_f32(const float *x, uint16_t *out, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store_f16(out + i, lanes_load(x + i));
  if (i < n) {
    uint16_t buffer[LANES];
    lanes_store_f16(buffer, load_part(x + i, n - i, 0.0f));
    memcpy(out + i, buffer, (n - i) * sizeof(uint16_t));
  }
}

static void kernel_f32_from_f16(const uint16_t *x, float *out, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(out + i, lanes_load_f16((const uint8_t *)(x + i)));
  if (i < n) {
    uint16_t buffer[LANES] = {0};
    memcpy(buffer, x + i, (n - i) * sizeof(uint16_t));
    store_part(out + i, n - i, lanes_load_f16((const uint8_t *)buffer));
  }
}

/* -------------------------------------------------------------------- tiles */

/* Factors that are not there are 1: a product with them changes no bit. */
static void scaled_tiles(const uint8_t *codes, size_t n_tiles, const quant_scales *scales, float *w) {
  const lanes zeros = lanes_set((float)scales->zero), steps = lanes_set(scales->step);
  const lanes rows = scales->rows ? lanes_load_bf16((const uint8_t *)scales->rows) : lanes_set(1.0f);
  for (size_t i = 0; i < n_tiles * CODER_TILE_COLUMNS; i++, w += LANES) {
    const size_t tile = i / CODER_TILE_COLUMNS;
    const lanes code = lanes_column(codes + tile * CODER_TILE, (int)(i % CODER_TILE_COLUMNS));
    const lanes column = lanes_set(scales->columns ? float_from_bf16(scales->columns[i]) : 1.0f);
    lanes_store(w, lanes_mul(lanes_mul(lanes_mul(lanes_sub(code, zeros), steps), rows), column));
  }
}

static void kernel_tiles_from_codes(const uint8_t *codes, size_t n_tiles, const quant_scales *scales, float *w) {
  if (scales->rows != NULL || scales->columns != NULL) {
    scaled_tiles(codes, n_tiles, scales, w);
    return;
  }
  const lanes zeros = lanes_set((float)scales->zero), steps = lanes_set(scales->step);
  for (size_t tile = 0; tile < n_tiles; tile++, codes += CODER_TILE, w += CODER_TILE)
    for (int column = 0; column < CODER_TILE_COLUMNS; column++)
      lanes_store(w + LANES * column, lanes_mul(lanes_sub(lanes_column(codes, column), zeros), steps));
}

KERNEL_INLINE lanes load_dtype(ellm_dtype dtype, const uint8_t *bytes) {
  if (dtype == ELLM_BF16) return lanes_load_bf16(bytes);
  if (dtype == ELLM_F16) return lanes_load_f16(bytes);
  return lanes_load_f32(bytes);
}

/* n columns (a chunk's, <= LANES_STRIDE) of a row to floats, zeros up to a multiple of 16. */
KERNEL_INLINE void row_to_floats(ellm_dtype dtype, size_t size, const uint8_t *bytes, size_t n, float *out) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes_store(out + i, load_dtype(dtype, bytes + i * size));
  if (i < n) {
    uint8_t buffer[LANES * sizeof(float)] = {0};
    memcpy(buffer, bytes + i * size, (n - i) * size);
    lanes_store(out + i, load_dtype(dtype, buffer));
  }
}

/* Lines of bytes, wherever they lie; an address that nothing is at is no error. */
KERNEL_INLINE void fetch_lines(uintptr_t from, size_t bytes) {
  for (uintptr_t line = from & ~(uintptr_t)63; line < from + bytes; line += 64)
    __builtin_prefetch((const void *)line, 0, 2);
}

KERNEL_INLINE void tiles_from_rows_of(ellm_dtype dtype, size_t size, const uint8_t *const rows[16], size_t n_rows,
                                      size_t n_columns, ptrdiff_t ahead, float *w) {
  float chunk[LANES][LANES_STRIDE];
  memset(chunk, 0, sizeof chunk);
  for (size_t first = 0; first < n_columns; first += LANES_STRIDE) {
    const size_t n = n_columns - first < LANES_STRIDE ? n_columns - first : LANES_STRIDE;
    for (size_t row = 0; row < n_rows; row++) {
      if (ahead != 0) fetch_lines((uintptr_t)rows[row] + first * size + (uintptr_t)ahead, n * size);
      row_to_floats(dtype, size, rows[row] + first * size, n, chunk[row]);
    }
    for (size_t column = 0; column < n; column += CODER_TILE_COLUMNS, w += CODER_TILE)
      lanes_transpose(&chunk[0][column], w);
  }
}

static void kernel_tiles_from_rows(ellm_dtype dtype, const uint8_t *const rows[16], size_t n_rows, size_t n_columns,
                                   ptrdiff_t ahead, float *w) {
  if (dtype == ELLM_F32)
    tiles_from_rows_of(ELLM_F32, 4, rows, n_rows, n_columns, ahead, w);
  else if (dtype == ELLM_F16)
    tiles_from_rows_of(ELLM_F16, 2, rows, n_rows, n_columns, ahead, w);
  else if (dtype == ELLM_BF16)
    tiles_from_rows_of(ELLM_BF16, 2, rows, n_rows, n_columns, ahead, w);
  else
    memset(w, 0, (n_columns + 3) / 4 * CODER_TILE * sizeof(float));
}

/* `tokens` tokens times `columns` of the four columns at once, sums in registers: a set
 * chooses the numbers so that they fit, and enough of them are independent to hide the
 * latency of fma. The other columns follow in further passes over the chunk, which is in
 * a near cache. */
KERNEL_INLINE void multiply_part(const float *w, size_t n_tiles, const float *const *x, float *sums, int tokens,
                                 int columns) {
  for (int first = 0; first < CODER_TILE_COLUMNS; first += columns) {
    lanes sum[MULTIPLY_TOKENS][CODER_TILE_COLUMNS];
    KERNEL_UNROLL(16)
    for (int token = 0; token < tokens; token++)
      KERNEL_UNROLL(4)
      for (int c = 0; c < columns; c++) sum[token][c] = lanes_load(sums + CODER_TILE * token + LANES * (first + c));
    for (size_t tile = 0; tile < n_tiles; tile++) {
      const float *tile_w = w + CODER_TILE * tile + LANES * first;
      const size_t at = CODER_TILE_COLUMNS * tile + (size_t)first;
      KERNEL_UNROLL(4)
      for (int c = 0; c < columns; c++) {
        const lanes weights = lanes_keep(lanes_load(tile_w + LANES * c));
        KERNEL_UNROLL(16)
        for (int token = 0; token < tokens; token++)
          sum[token][c] = lanes_fma(lanes_set(x[token][at + (size_t)c]), weights, sum[token][c]);
      }
    }
    KERNEL_UNROLL(16)
    for (int token = 0; token < tokens; token++)
      KERNEL_UNROLL(4)
      for (int c = 0; c < columns; c++) lanes_store(sums + CODER_TILE * token + LANES * (first + c), sum[token][c]);
  }
}

static void kernel_tiles_multiply(const float *w, size_t n_tiles, const float *const *x, size_t n_tokens, float *sums) {
  size_t token = 0;
  for (; token + MULTIPLY_TOKENS <= n_tokens; token += MULTIPLY_TOKENS)
    multiply_part(w, n_tiles, x + token, sums + CODER_TILE * token, MULTIPLY_TOKENS,
                  MULTIPLY_COLUMNS(MULTIPLY_TOKENS));
  x += token;
  sums += CODER_TILE * token;
  switch (n_tokens - token) {
#if MULTIPLY_TOKENS > 5
    case 5: multiply_part(w, n_tiles, x, sums, 5, MULTIPLY_COLUMNS(5)); break;
#endif
#if MULTIPLY_TOKENS > 4
    case 4: multiply_part(w, n_tiles, x, sums, 4, MULTIPLY_COLUMNS(4)); break;
#endif
#if MULTIPLY_TOKENS > 3
    case 3: multiply_part(w, n_tiles, x, sums, 3, MULTIPLY_COLUMNS(3)); break;
#endif
#if MULTIPLY_TOKENS > 2
    case 2: multiply_part(w, n_tiles, x, sums, 2, MULTIPLY_COLUMNS(2)); break;
#endif
#if MULTIPLY_TOKENS > 1
    case 1: multiply_part(w, n_tiles, x, sums, 1, MULTIPLY_COLUMNS(1)); break;
#endif
    default: break;
  }
}

#include "kernels/activations_template.inc.h"
#include "kernels/products_template.inc.h"
#include "kernels/attention_template.inc.h"
#include "kernels/panel_template.inc.h"

/* The table of a set: its own products, all else as it is here. */
#define KERNEL_TABLE(name, decode)                                                                                    \
  {                                                                                                                   \
    .isa = KERNEL_STRING(name),                                                                                       \
    .decode_block = decode,                                                                                           \
    .quantize_activations = kernel_quantize_activations,                                                              \
    .dot_block = KERNEL_PASTE(dot_block_, name),                                                                      \
    .multiply_codes = KERNEL_PASTE(multiply_codes_, name),                                                            \
    .dot_finish = kernel_dot_finish,                                                                                  \
    .multiply_finish = KERNEL_PASTE(kernel_multiply_finish_, name),                                                   \
    .multiply_block = KERNEL_PASTE(kernel_multiply_block_, name),                                                     \
    .scale_rows = kernel_scale_rows,                                                                                  \
    .tiles_from_codes = kernel_tiles_from_codes,                                                                      \
    .tiles_from_rows = kernel_tiles_from_rows,                                                                        \
    .tiles_multiply = kernel_tiles_multiply,                                                                          \
    .dot = kernel_dot,                                                                                                \
    .axpy = kernel_axpy,                                                                                              \
    .max = kernel_max,                                                                                                \
    .exp_sum = kernel_exp_sum,                                                                                        \
    .scale = kernel_scale,                                                                                            \
    .add = kernel_add,                                                                                                \
    .rms_norm = kernel_rms_norm,                                                                                      \
    .silu_mul = kernel_silu_mul,                                                                                      \
    .gelu_tanh_mul = kernel_gelu_tanh_mul,                                                                            \
    .soft_cap = kernel_soft_cap,                                                                                      \
    .rope = kernel_rope,                                                                                              \
    .f16_from_f32 = kernel_f16_from_f32,                                                                              \
    .f32_from_f16 = kernel_f32_from_f16,                                                                              \
    .attention_scores = kernel_attention_scores,                                                                      \
    .attention_scores_q8 = kernel_attention_scores_q8,                                                                \
    .attention_mix = kernel_attention_mix,                                                                            \
    .multiply_bf16 = kernel_multiply_bf16,                                                                            \
    .q8_from_f32 = kernel_q8_from_f32,                                                                                \
    .panel_product = kernel_panel_product,                                                                            \
  }

const kernel_table KERNEL_PASTE(kernel_table_, KERNEL_NAME) = KERNEL_TABLE(KERNEL_NAME, KERNEL_DECODE);
