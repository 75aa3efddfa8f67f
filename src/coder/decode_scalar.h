/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parts of a block lie, and the scalar decoder: the oracle of all others. */
#ifndef ELLM_CODER_DECODE_SCALAR_H
#define ELLM_CODER_DECODE_SCALAR_H

#include "coder/scratch.h"

/* Where the parts of a CODER_HUFFMAN block lie; shared by all kernels. Checks that counts and
 * lengths fit `bytes` exactly; false if the block is damaged. Fills
 * scratch->node_offset and node_count by popcounts of the bitmaps. */
typedef struct coder_parts {
  uint32_t n_symbols;       /* symbols at the root */
  uint32_t raw_offset[3];   /* 4-bit, 2-bit, 1-bit lists of raw bits; valid where raw_bits has that part */
  uint32_t escape_offset, n_escapes;
} coder_parts;
bool coder_locate(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                  coder_scratch *scratch, coder_parts *parts);
/* The same, by a function that counts the ones among the first n bits; it may read 8 bytes past them. */
typedef uint32_t (*coder_count_fn)(const uint8_t *bitmap, uint32_t n);
bool coder_locate_by(coder_count_fn ones_of, const coder_codebook *book, const coder_block *block,
                     const uint8_t *data, size_t bytes, coder_scratch *scratch, coder_parts *parts);

/* Decode a block to tile-ordered codes[panels * tiles * 4 * panel_rows +
 * CODER_SLACK]. `data` must have CODER_SLACK readable bytes after `bytes`.
 * Returns false if the block is damaged: never reads or writes out of bounds. */
typedef bool (*coder_decode_fn)(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                                coder_scratch *scratch, uint8_t *codes);
bool coder_decode_block_scalar(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                               coder_scratch *scratch, uint8_t *codes);

#endif
