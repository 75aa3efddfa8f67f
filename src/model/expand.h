/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices decoded once: their blocks as plain codes in memory, a byte a weight
 * or half of one up to 4 bits, and their patches. The same codes give the same products; what
 * changes is memory for speed, where decoding is slower than memory. Of a matrix that is stored
 * exactly the elements as they were.
 */
#ifndef ELLM_MODEL_EXPAND_H
#define ELLM_MODEL_EXPAND_H

#include "base/threads.h"
#include "container/reader.h"

typedef struct expanded_matrix {
  coder_codebook book; /* plain */
  uint64_t *offset;    /* [blocks + 1] */
  uint8_t *data;       /* aligned to 64, CODER_SLACK readable bytes after the last block; of an exact matrix: its
                        * elements, row by row, and `offset` is NULL */
  uint64_t *patches_offset; /* [blocks + 1], and the patches of all blocks as they are in the file; NULL: none */
  uint8_t *patches;
} expanded_matrix;

/* Every block is checked against its checksum on the way: a damaged one is ELLM_ERR_INPUT. */
ellm_status expand_matrix(thread_pool *pool, coder_decode_fn decode, const ellm_file *file,
                          const container_tensor *tensor, expanded_matrix **out, ellm_error *err);
void expanded_matrix_free(expanded_matrix *matrix);

#endif
