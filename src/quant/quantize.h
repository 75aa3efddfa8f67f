/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paper's per-tensor uniform quantizer (arXiv 2505.02380, section 3), with
 * an integer zero point, the simplest case of quant/scales.h. Arithmetic is
 * float64 with ties to even; the step is rounded to float32 before it is used.
 */
#ifndef ELLM_QUANT_QUANTIZE_H
#define ELLM_QUANT_QUANTIZE_H

#include "base/status.h"
#include "quant/scales.h"

/* How codes of a matrix came about, and what they stand for. */
typedef struct quant_params {
  int bits;            /* 2..8 */
  ellm_scheme scheme;  /* as used: symmetric or asymmetric */
  quant_scales scales; /* zero: 0..2^bits - 1 */
} quant_params;

/* Range of a tensor so far; start from QUANT_RANGE_EMPTY. */
typedef struct quant_range { double lo, hi; bool bad; uint64_t bad_index; double bad_value; } quant_range;
#define QUANT_RANGE_EMPTY \
  ((quant_range){.lo = 1.0 / 0.0, .hi = -1.0 / 0.0, .bad = false, .bad_index = 0, .bad_value = 0})

/* Extend by n elements of dtype F32, F16 or BF16 whose first has index `first`
 * in the tensor; the first element that is not finite or beyond 1e30 in
 * magnitude is remembered as bad. */
void quant_range_add(quant_range *range, ellm_dtype dtype, const void *data, size_t n, uint64_t first);
enum { QUANT_PATTERNS = 65536 }; /* of 16 bits */
/* Counts of the 65,536 bit patterns of n 16-bit elements; counts is added to. */
void quant_count_patterns(const void *data, size_t n, uint64_t counts[65536]);
/* Range from pattern counts of F16 or BF16; bad patterns set bad (bad_index unknown: UINT64_MAX). */
void quant_range_from_patterns(const uint64_t counts[65536], ellm_dtype dtype, quant_range *range);

/* Step and zero of the paper's method for weights between lo and hi. */
quant_params quant_choose(double lo, double hi, int bits, ellm_scheme scheme);
uint8_t quant_code(double w, const quant_params *params);
/* Codes of all 65,536 patterns of F16 or BF16 (those not finite map to `zero`). */
void quant_table(ellm_dtype dtype, const quant_params *params, uint8_t table[65536]);
void quant_encode_f32(const void *data, size_t n, const quant_params *params, uint8_t *codes);

#endif
