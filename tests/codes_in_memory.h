/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix of codes that a test has in memory, for quantized_write. */
#ifndef TESTS_CODES_IN_MEMORY_H
#define TESTS_CODES_IN_MEMORY_H

#include <string.h>

#include "convert/quantized.h"

typedef struct codes_in_memory { const int32_t *codes; uint64_t columns; } codes_in_memory;

/* quantized_matrix.codes, user being one of these. */
static inline ellm_status codes_from_memory(void *user, uint64_t first_row, size_t n_rows, int32_t *codes,
                                            ellm_error *err) {
  (void)err;
  const codes_in_memory *memory = user;
  memcpy(codes, memory->codes + first_row * memory->columns, n_rows * (size_t)memory->columns * sizeof *codes);
  return ELLM_OK;
}

#endif
