/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a matrix whose codes come from elsewhere: integers of any size with
 * their scales, from a quantizer that knows more than the range of the weights.
 * What is chosen here is how they are stored: the width of codes (what lies
 * beyond it becomes patches), zero, and the code book. The bytes depend on codes,
 * scales and preference only, never on threads.
 */
#ifndef ELLM_CONVERT_QUANTIZED_H
#define ELLM_CONVERT_QUANTIZED_H

#include "container/container.h"
#include "convert/workers.h"

/* Codes of rows [first_row, first_row + n_rows), row-major, as multiples of the step: 0 is the weight 0. Called from
 * several threads at once, for each row several times, and always with the same result. */
typedef ellm_status (*quantized_codes_fn)(void *user, uint64_t first_row, size_t n_rows, int32_t *codes,
                                          ellm_error *err);

typedef struct quantized_matrix {
  const char *name;
  ellm_dtype dtype;         /* of the source: F32, F16 or BF16 */
  uint64_t rows, columns;   /* neither is 0 */
  quant_scales scales;      /* step and factors; zero and outliers are set here */
  uint32_t columns_record;  /* of scales.columns, from container_writer_columns */
  quantized_codes_fn codes;
  void *user;
} quantized_matrix;

/* How a matrix would be stored, in `tensor`: width, zero, book, entropy. *bytes (may be NULL): about what blocks,
 * tables and scales of rows take together. */
ellm_status quantized_plan(convert_workers *workers, const quantized_matrix *matrix, coder_aim aim,
                           container_tensor *tensor, double *bytes, ellm_error *err);
/* Stores it. `tensor` (may be NULL) gets its description. ELLM_ERR_INPUT where codes are so far out that the bound of
 * coder/patches.h does not hold at 8 bits: nearer than 33,027 never. */
ellm_status quantized_write(container_writer *writer, convert_workers *workers, const quantized_matrix *matrix,
                            coder_aim aim, container_tensor *tensor, ellm_error *err);

#endif
