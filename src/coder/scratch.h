/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one thread for decoding a block. */
#ifndef ELLM_CODER_SCRATCH_H
#define ELLM_CODER_SCRATCH_H

#include "coder/codebook.h"
#include "coder/geometry.h"

/* Aligned to 64. */
typedef struct coder_scratch {
  uint8_t list[2][CODER_MAX_CODES + 2 * CODER_SLACK];
  uint32_t node_offset[CODER_MAX_LEAVES]; /* byte offset of each node's bitmap in the block */
  uint16_t node_count[CODER_MAX_LEAVES];  /* symbols that pass through each node */
} coder_scratch;

#endif
