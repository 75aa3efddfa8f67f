/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of compute kernels. One table an instruction set, listed once in
 * kernels/isa_list.inc, which feeds dispatch, tests and bench. Every kernel
 * equals the scalar one bit by bit: integers exactly, floats because each
 * operation and its order are fixed (16 virtual lanes, explicit fma,
 * -ffp-contract=off, subnormals kept). Only the bits of a NaN are left open:
 * a NaN stays a NaN, except where said otherwise.
 *
 * Kernels do not allocate, keep no state and may run on any thread. Pointers
 * need no alignment beyond that of their type. Inputs and outputs may be the
 * same array where the text says "in place", else they must not overlap.
 * Depends on base and coder only.
 */
#ifndef ELLM_KERNELS_KERNELS_H
#define ELLM_KERNELS_KERNELS_H

#include "coder/codebook.h"
#include "coder/decode_scalar.h"
#include "coder/geometry.h"
#include "coder/patches.h"
#include "entrollm.h"
#include "kernels/activations.h"
#include "quant/scales.h"

/* How a product y = W x is made, W of blocks of one tensor with its scales:
 *   kernel_activations_init(&a, memory, columns, n_tokens, digits)
 *   quantize_activations(x_t, scales->columns, &a, t) for each token t
 *   y = 0; for each block, column ranges ascending (the order of the sum of a row):
 *     one token:  dot_block(book, block, data, bytes, scratch, &a, token, sums)
 *                 dot_finish(sums, block, &a, token, scales, block->rows, y + block->first_row)
 *     or many:    multiply_block(book, block, data, bytes, patches, scratch, &a, first token, n tokens, scales,
 *                                y + block->first_row, floats from token to token)
 *   scale_rows(y, scales, rows)
 * So the factors of columns go into the activations before these are rounded, and y = (sum * step) * row comes last.
 * Both ways give the same bits: the integers are exact, and dot_finish fixes the floats. */

/* The tile of panel_product. */
enum { KERNEL_PANEL_ROWS = 12, KERNEL_PANEL_COLUMNS = 32 };

/* Scratch memory of one thread for dot_block and multiply_block, aligned to 64. */
typedef struct kernel_scratch {
  coder_scratch coder;
  uint8_t codes[CODER_MAX_CODES + CODER_SLACK];
  int32_t sums[KERNEL_MAX_SUMS]; /* for those of dot_block; multiply_block's own */
} kernel_scratch;

/* Element types of a KV cache. Q8: integers of 8 bits, with a scale for each head and position. */
typedef enum kernel_cache { KERNEL_CACHE_F32, KERNEL_CACHE_F16, KERNEL_CACHE_Q8 } kernel_cache;
enum { KERNEL_MAX_QUERIES = 4, KERNEL_MAX_HEAD_DIM = 1024, KERNEL_Q8_ZERO = 128 };
/* Elements from one position's values to the next one's; also the elements of a tile of keys by 16. */
static inline size_t kernel_cache_row(kernel_cache type, size_t dim) {
  return type == KERNEL_CACHE_Q8 ? (dim + 3) / 4 * 4 : dim;
}

typedef struct kernel_table {
  const char *isa;                     /* "scalar", "avx2", "avxvnni", "avx512", "neon", "neon_dotprod", "neon_i8mm" */

  /* As coder_decode_block_scalar: same codes, and false for the same blocks.
   * May read CODER_SLACK bytes past `data` and may write as many past `codes`. */
  coder_decode_fn decode_block;

  /* --- integer matrix product */

  /* x[columns] to the digits, sums and scales of a token. Where column_scales (BF16 [columns]) is not NULL, x stands
   * for the rounded products x * column scale. For each group: max is the largest |x|.
   *   max < 2^-100: q = 0, scale = 0.    An element infinite or NaN: q = 0, scale = NaN.
   *   else scale = max / limit, q = x * (limit / max), each operation rounded, then q to the
   *   nearest integer, ties to even; limit = 32639 or 127.
   * Two digits: low = q modulo 256 in -128..127, high = (q - low) / 256. */
  void (*quantize_activations)(const float *x, const uint16_t *column_scales, kernel_activations *a, size_t token);
  /* Decodes one block and multiplies it with the block's columns of a token:
   *   sums[(panel * groups + group) * 16 + row] = sum of code * q over the group's columns,
   * groups = kernel_block_groups; rows beyond panel_rows are 0; at most KERNEL_MAX_SUMS, fits
   * int32: 255 * 32639 * 256 < 2^31. False, with sums undefined, for exactly the blocks that
   * decode_block refuses. May read CODER_SLACK bytes past `data`. `scratch` may be shared with
   * decode_block; nothing in it is kept. Reads a->sum, too. */
  bool (*dot_block)(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                    kernel_scratch *scratch, const kernel_activations *a, size_t token, int32_t *sums);
  /* The same sums from the decoded codes of one panel of a block, for n_tokens tokens from `token` on:
   *   sums[(t * groups + group) * 16 + row]. */
  void (*multiply_codes)(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                         size_t token, size_t n_tokens, int32_t *sums);
  /* Adds sums of as many panels as n_rows rows need to y[n_rows], groups in ascending order:
   *   y = fmaf((float)(sums - zero * a->sum[group]), a->scale[group], y)
   * The integer is the sum of (code - zero) * q, 0 <= zero <= 255, and fits int32; sums alone need not, where patches
   * were added to them: they wrap. Of the scales only zero is used; the others follow after the last block. */
  void (*dot_finish)(const int32_t *sums, const coder_block *block, const kernel_activations *a, size_t token,
                     const quant_scales *scales, size_t n_rows, float *y);
  /* multiply_codes and dot_finish in one, for n_tokens tokens from `token` on: the same bits in
   * y[t * y_stride + row], row < n_rows <= panel_rows. added (NULL: nothing) is added to the sums, wrapping:
   * added[(t * groups + group) * 16 + row]. */
  void (*multiply_finish)(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                          size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                          size_t n_rows, float *y, size_t y_stride);
  /* decode_block and multiply_finish of all panels in one, patches (none: n = 0) included: the same bits in
   * y[t * y_stride + row], row < block->rows. False, with y unchanged, for the very blocks that decode_block refuses.
   * May read CODER_SLACK bytes past `data`. */
  bool (*multiply_block)(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                         const coder_patches *patches, kernel_scratch *scratch, const kernel_activations *a,
                         size_t token, size_t n_tokens, const quant_scales *scales, float *y, size_t y_stride);
  /* y = (y * step) * row factor, in place; scales begin at y's first row. */
  void (*scale_rows)(float *y, const quant_scales *scales, size_t n);

  /* --- float matrix product over tile-ordered chunks.
   * A chunk is n_tiles tiles as floats: w[tile][column 0..3][row 0..15].
   * Order of the sum of one output: four partial sums, by column mod 4, each
   * ascending by fmaf from +0; the result is (s0 + s1) + (s2 + s3). */

  /* Codes of n_tiles full (16-row) tiles, 64 bytes each, to weights (quant_weight). The scales begin at the chunk's
   * first row and column; where they have factors, 16 rows and 4 * n_tiles columns of them are read. */
  void (*tiles_from_codes)(const uint8_t *codes, size_t n_tiles, const quant_scales *scales, float *w);
  /* Row-major source rows (n_rows <= 16, n_columns columns from each row pointer,
   * unaligned, little-endian) of F32, F16 or BF16 to ceil(n_columns / 4) tiles;
   * missing rows and columns become +0, an unknown dtype gives zeros. What lies `ahead` bytes behind each row
   * (0: nothing) is fetched into the second-level cache meanwhile: 16 rows far apart are more than processors foresee.
   * It need not be there. */
  void (*tiles_from_rows)(ellm_dtype dtype, const uint8_t *const rows[16], size_t n_rows, size_t n_columns,
                          ptrdiff_t ahead, float *w);
  /* sums[token][column mod 4][row] += chunk times x: 64 floats a token. x[token]
   * points at the chunk's first column, 4 * n_tiles floats readable. */
  void (*tiles_multiply)(const float *w, size_t n_tiles, const float *const *x, size_t n_tokens, float *sums);

  /* --- float vectors, n arbitrary, 0 included. Sums: lane = index mod 16, each
   * lane ascending from +0 (by fmaf where there is a product; indices from n to
   * the next multiple of 16 count as zero elements), then lanes i and i + 8 are
   * added, i and i + 4, i and i + 2, 0 and 1. */
  float (*dot)(const float *a, const float *b, size_t n);
  void (*axpy)(float alpha, const float *x, float *y, size_t n);          /* y = fmaf(alpha, x, y) */
  /* Largest element, -inf for n == 0; NaNs are passed over. Lanes and folding as
   * for sums, `later > earlier ? later : earlier`: of +0 and -0 the first stays. */
  float (*max)(const float *x, size_t n);
  /* x = exp(x - shift) in place, returns the lane-ordered sum. exp: at most 1 ulp
   * off; 0 below -87.3365 (so never subnormal; -inf, a masked position, gives
   * 0), inf above 88.72283, exactly 1 at 0. */
  float (*exp_sum)(float *x, float shift, size_t n);
  void (*scale)(float *x, float factor, size_t n);                        /* x *= factor */
  void (*add)(const float *x, float *y, size_t n);                        /* y += x */
  /* out = (x * r) * weight, r = 1 / sqrt(dot(x, x) / n + eps). n >= 1; out may be x. */
  void (*rms_norm)(const float *x, const float *weight, float eps, float *out, size_t n);
  /* out = (gate / (1 + exp(-gate))) * up, exp as in exp_sum; out may be gate or up. */
  void (*silu_mul)(const float *gate, const float *up, float *out, size_t n);
  /* out = gelu(gate) * up with the tanh form of GELU, 0.5 g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))), written as
   * g / (1 + exp(-g (a + b g^2))); exp as in exp_sum; out may be gate or up. */
  void (*gelu_tanh_mul)(const float *gate, const float *up, float *out, size_t n);
  /* x = cap * tanh(x / cap) in place; tanh: at most 4 ulp off. */
  void (*soft_cap)(float *x, float cap, size_t n);
  /* Hugging Face order, in place on head[2 * half], i < half:
   *   head[i]        = head[i] * cos[i] - head[i + half] * sin[i]
   *   head[i + half] = head[i + half] * cos[i] + head[i] * sin[i]   (old values, each operation rounded)
   * cos_sin: `half` cosines, then `half` sines. */
  void (*rope)(float *head, const float *cos_sin, size_t half);
  void (*f16_from_f32)(const float *x, uint16_t *out, size_t n);          /* round to nearest even, overflow to inf */
  void (*f32_from_f16)(const uint16_t *x, float *out, size_t n);          /* exact */

  /* --- attention of n_queries (1 .. KERNEL_MAX_QUERIES) over the same positions: each as if it were alone.
   * Keys of F32, or F16 (`half`): keys[tile][d][16] is element d of 16 consecutive positions. scores[q][n_tiles * 16] =
   * scale times the sum over d, ascending by fmaf from +0, of queries[q][d] * key[d]. */
  void (*attention_scores)(const float *const *queries, size_t n_queries, const void *keys, bool half, size_t n_tiles,
                           size_t dim, float scale, float *const *scores);
  /* Keys of 8 bits: queries are tokens 0 .. n_queries - 1 of activations in two digits, as many columns as a head has,
   * at most KERNEL_MAX_HEAD_DIM. keys[tile][ceil(columns / 4)][16 positions][4] are codes q + KERNEL_Q8_ZERO, anything
   * beyond the columns; key_scales (BF16) [tile][16]. The sums of code * digit are exact, as those of dot_block, then
   *   score = 0; for each group of columns, ascending: score = fmaf((float)sum of q * digit, scale of the group, score)
   *   scores[q][tile * 16 + position] = (score * scale) * key scale */
  void (*attention_scores_q8)(const kernel_activations *queries, size_t n_queries, const uint8_t *keys,
                              const uint16_t *key_scales, size_t n_tiles, float scale, float *const *scores);
  /* out[q][dim] = fmaf(weights[q][i], values[i][kernel_cache_row], out[q]) for i < n ascending. Values of 8 bits come
   * without their scales, which the weights have been multiplied with. */
  void (*attention_mix)(const float *const *weights, size_t n_queries, const void *values, kernel_cache type, size_t n,
                        size_t dim, float *const *out);
  /* x = x * factors (BF16), in place. */
  void (*multiply_bf16)(float *x, const uint16_t *factors, size_t n);
  /* x is about q * scale, |q| <= 127; the scale (BF16) is what is returned. Of the largest |x|, max:
   *   max < 2^-100: q = 0, scale = 0.    An element infinite or NaN: q = 0, scale = NaN.
   *   else scale = max / 127, rounded, then up to a BF16; q = x * (1 / scale), each operation rounded, then to the
   *   nearest integer, ties to even. */
  uint16_t (*q8_from_f32)(const float *x, size_t n, int8_t *q);

  /* --- packed panels, for calibration: a[n][KERNEL_PANEL_ROWS] and b[n][KERNEL_PANEL_COLUMNS].
   * c[i * stride + j] = fmaf(a[k][i], b[k][j], c[i * stride + j]) for k < n ascending, for all i and j of the tile. */
  void (*panel_product)(size_t n, const float *a, const float *b, float *c, size_t stride);
} kernel_table;

/* Best table for this machine (CPUID and XCR0 checked) unless another is forced; never NULL. */
const kernel_table *kernels_best(void);
/* By name; NULL when not compiled in or not usable on this machine. */
const kernel_table *kernels_find(const char *isa);
/* All that this machine can run, scalar first, faster ones later. index from 0; NULL at the end. */
const kernel_table *kernels_at(size_t index);
/* Make kernels_best() return this table for the whole process (for programs, before
 * models are opened); NULL undoes it. False, changing nothing, if unusable. */
bool kernels_force(const char *isa);

#endif
