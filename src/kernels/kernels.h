/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of compute kernels. One row an instruction set, listed once in
 * kernels/isa_list.inc, which feeds dispatch, tests and bench. Every kernel
 * equals the scalar one bit by bit: integers exactly, floats because each
 * operation and its order are fixed (16 virtual lanes, explicit fma,
 * -ffp-contract=off). Kernels do not allocate. Depends on base and coder only.
 */
#ifndef ELLM_KERNELS_KERNELS_H
#define ELLM_KERNELS_KERNELS_H

#include "coder/coder.h"

typedef struct kernel_table {
  const char *isa;                     /* "scalar", "avx2", "avx512", "neon" */
  coder_decode_fn decode_block;

  /* --- float matrix product over tile-ordered chunks.
   * A chunk is n_tiles tiles as floats: w[tile][column 0..3][row 0..15].
   * Order of the sum of one output: four partial sums, by column mod 4, each
   * ascending by fmaf from +0; the result is (s0 + s1) + (s2 + s3). */

  /* Codes of full (16-row) tiles to floats: (float)(q - zero) * step. */
  void (*tiles_from_codes)(const uint8_t *codes, size_t n_tiles, int zero, float step, float *w);
  /* Row-major source rows (n_rows <= 16, n_columns columns from each row pointer,
   * unaligned, little-endian) of F32, F16 or BF16 to tiles; missing rows and
   * columns become +0. */
  void (*tiles_from_rows)(ellm_dtype dtype, const uint8_t *const rows[16], size_t n_rows, size_t n_columns, float *w);
  /* sums[token][column mod 4][row] += chunk times x. x[token] points at the
   * chunk's first column, 4 * n_tiles floats readable. */
  void (*tiles_multiply)(const float *w, size_t n_tiles, const float *const *x, size_t n_tokens, float *sums);

  /* --- float vectors, n arbitrary. Sums: lane = index mod 16, each lane
   * ascending by fmaf, lanes added as ((0+8)+(4+12))...: fold 8, 4, 2, 1. */
  float (*dot)(const float *a, const float *b, size_t n);
  void (*axpy)(float alpha, const float *x, float *y, size_t n);          /* y = fmaf(alpha, x, y) */
  float (*max)(const float *x, size_t n);                                 /* n >= 1 */
  float (*exp_sum)(float *x, float shift, size_t n);                      /* x = exp(x - shift), returns the lane-ordered sum */
  void (*scale)(float *x, float factor, size_t n);
  void (*add)(const float *x, float *y, size_t n);                        /* y += x */
  void (*rms_norm)(const float *x, const float *weight, float eps, float *out, size_t n); /* x * (1 / sqrt(mean(x^2) + eps)) * weight */
  void (*silu_mul)(const float *gate, const float *up, float *out, size_t n);  /* gate / (1 + exp(-gate)) * up */
  void (*rope)(float *head, const float *cos_sin, size_t half);           /* HF order: (x[i], x[i + half]); cos_sin[half] cosines, then half sines */
  void (*f16_from_f32)(const float *x, uint16_t *out, size_t n);          /* round to nearest even */
  void (*f32_from_f16)(const uint16_t *x, float *out, size_t n);
} kernel_table;

/* Best table for this machine (CPUID and XCR0 checked); never NULL. */
const kernel_table *kernels_best(void);
/* By name; NULL when not compiled in or not usable on this machine. */
const kernel_table *kernels_find(const char *isa);
/* All that this machine can run, scalar first. index from 0; NULL at the end. */
const kernel_table *kernels_at(size_t index);
/* Force a table for the process (programs only, before models are opened);
 * false if unusable. */
bool kernels_force(const char *isa);

#endif
