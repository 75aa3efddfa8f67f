/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scales of a quantized matrix: what turns a code into a weight. There is
 * one step and one zero for the matrix and, where a quantizer chose so, one
 * factor a row and one a column. The weight of a code is
 *
 *   ((float(code - zero) * step) * row) * column
 *
 * in float32, each product rounded, in this order. A missing factor is 1, which
 * changes no bit, so that the paper's method (a step and a zero alone) is the
 * same rule with fewer factors.
 *
 * Factors are BF16: positive, normal, finite. BF16 has the range of float32, so
 * that no factor a quantizer may want is out of reach, and turns into float32 by
 * a shift. Its 8 bits of precision cost nothing: a quantizer rounds a factor
 * first and chooses codes with the rounded one, and a step that is 0.2 % finer
 * or coarser than the best is as good as the best.
 *
 * A code is an integer of any size. A file stores 2 to 8 bits of it and, for the
 * few codes beyond, exact patches with each block (coder/patches.h): outliers.
 */
#ifndef ELLM_QUANT_SCALES_H
#define ELLM_QUANT_SCALES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

typedef struct quant_scales {
  float step;               /* finite; may be negative or 0 */
  int zero;                 /* the code that stands for 0, 0..255; coder, which knows no scales, is told it alone */
  const uint16_t *rows;     /* BF16 [rows], or NULL: all 1; not owned */
  const uint16_t *columns;  /* BF16 [columns], readable to the next multiple of 4, or NULL: all 1; not owned */
  uint64_t outliers;        /* codes that need a patch */
} quant_scales;

enum { QUANT_SCALE_ONE = 0x3f80 }; /* BF16 */

/* May these bits be a row's or a column's factor? */
static inline bool quant_scale_valid(uint16_t bits) { return bits >= 0x0080 && bits < 0x7f80; }

/* The same scales, seen from another first row and column. */
static inline quant_scales quant_scales_from(const quant_scales *scales, uint64_t row, uint64_t column) {
  quant_scales from = *scales;
  if (from.rows != NULL) from.rows += row;
  if (from.columns != NULL) from.columns += column;
  return from;
}

/* The weight of a code at a place. */
static inline float quant_weight(const quant_scales *scales, int32_t code, uint64_t row, uint64_t column) {
  float w = (float)(code - scales->zero) * scales->step;
  if (scales->rows != NULL) w *= float_from_bf16(scales->rows[row]);
  if (scales->columns != NULL) w *= float_from_bf16(scales->columns[column]);
  return w;
}

#endif
