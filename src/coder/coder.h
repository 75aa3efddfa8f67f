/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy code of one tensor: it turns codes (2..8 bits wide) into blocks of bytes and back, without loss.
 * docs/format/blocks.md is the specification; this is the summary.
 *
 * Geometry. A matrix is cut into panels of 16 rows (of `rows` rows when the
 * tensor has fewer) and each panel into tiles of 4 columns; a tile's codes are
 * row-major: with 16 rows, 64 codes, byte lane 4 * row + column. A block is an
 * aligned column range of one panel, or several whole panels; at most
 * CODER_MAX_CODES codes. Rows and columns beyond the matrix are padded with
 * `pad`, the most frequent code.
 *
 * A code q is split in raw = q & (2^raw_bits - 1), stored verbatim, and
 * upper = q >> raw_bits. `tuple` uppers make one symbol (a byte): 1: the upper
 * itself; 2: the uppers at the same place of tiles 2k and 2k + 1 of a panel
 * (low nibble first; a missing last tile counts as pad).
 *
 * Symbols are coded in one of these ways:
 * CODER_HUFFMAN: canonical Huffman code words, but pivot-coded
 *   (arXiv 2606.05765): every internal node of the tree stores one bit for each
 *   symbol that passes through it, nodes in breadth-first order, each node's
 *   bits padded to a byte. One leaf may be the escape: its symbols follow the
 *   bitmaps as raw bytes.
 * CODER_LEVELS: levels of fixed-width fields; the highest value of a field sends
 *   its symbol to the next level (coder/levels.h). Faster than Huffman, larger.
 * CODER_FIELDS: no symbols. Each code minus `first` is in a field of raw_bits bits, the
 *   same width for all codes. Codes that do not fit have patches (coder/patches.h). This
 *   is the fastest to decode, and some tenths of a bit larger than levels.
 * CODER_PLAIN: no entropy code: bytes (bits > 4) or nibbles (bits <= 4).
 *
 * This folder depends on base only; nothing here allocates while coding. Each
 * part has a header of its own; this one has them all.
 */
#ifndef ELLM_CODER_CODER_H
#define ELLM_CODER_CODER_H

#include "coder/codebook.h"
#include "coder/cost.h"
#include "coder/decode_scalar.h"
#include "coder/encode.h"
#include "coder/geometry.h"
#include "coder/package_merge.h"
#include "coder/patches.h"
#include "coder/raw_bits.h"
#include "coder/statistics.h"

#endif
