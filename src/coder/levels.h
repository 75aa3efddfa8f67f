/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CODER_LEVELS: symbols in fixed-width fields with escapes. Level j has a table
 * of the next 2^width[j] - 1 symbols in order of falling count; a field holds a
 * place in the table, or all ones: the symbol is found at the next level, after
 * the last one as a byte. Decoding goes from the last level to the first: look
 * up, then expand the next level's symbols under the mask of the escapes.
 *
 * A block: [counts: one u16 a level, the symbols that escape it] [raw bit lists]
 * [field list of level 0] ... [field list of the last level] [escaped symbols].
 */
#ifndef ELLM_CODER_LEVELS_H
#define ELLM_CODER_LEVELS_H

#include "coder/machine.h"
#include "coder/scratch.h"

/* Where the parts lie; false if counts and lengths do not fit `bytes` exactly. */
typedef struct levels_parts {
  uint32_t n_symbols;
  uint32_t raw_offset;                             /* of the first raw list */
  uint32_t level_offset[CODER_MAX_LEVELS];
  uint32_t level_count[CODER_MAX_LEVELS + 1];      /* fields of each level; [n_levels]: escaped bytes */
  uint32_t escape_offset;
} levels_parts;
bool levels_locate(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                   levels_parts *parts);

/* Fields of all levels and the escaped symbols; returns bytes written behind
 * `out`, which is zeroed as needed, SIZE_MAX where they would be more than
 * `room`. counts: one u16 a level. `work` holds 2 * n bytes. */
size_t levels_encode_symbols(const coder_codebook *book, const uint8_t *symbols, size_t n, uint8_t *counts,
                             uint8_t *out, size_t room, uint8_t *work);

/* Symbols of a located block into list[0]; false if the escapes do not add up. */
bool levels_decode_symbols_scalar(const coder_codebook *book, const levels_parts *parts, const uint8_t *data,
                                  coder_scratch *scratch);

/* Bits of all levels for symbol counts sorted in falling order, per-block waste
 * included: expected rounding of each list. */
typedef struct levels_plan {
  uint8_t n_levels, width[CODER_MAX_LEVELS];
  double bits;      /* in total */
  double cycles;    /* modelled, in total */
} levels_plan;
/*
 * The most bits that all widths together may have beside raw_bits, so that no block, whatever its symbols, is larger
 * than CODER_MAX_BLOCK_BYTES, which are 32 bits a code. A symbol that no level holds takes a field of every level and
 * 8 bits as an escaped byte; with the raw bits of its code that is (23 - raw) + 8 + raw = 31 bits at most. (Pairs take
 * less: their fields serve two codes.) The 32nd bit of 16,384 codes is 2,048 bytes, of which counts (2 for each of at
 * most 8 levels) and the rounding of at most 19 lists to whole bytes take 35.
 */
static inline unsigned levels_most_bits(unsigned raw_bits) { return 23 - raw_bits; }
/* The best widths for counts[n] (falling, none 0), most_bits in all: fewest cycles among the plans of at most
 * `limit_bits`; false if there is none. */
bool levels_choose(const coder_machine *machine, const uint64_t *counts, size_t n, uint64_t n_blocks,
                   unsigned most_bits, double limit_bits, levels_plan *plan);

#endif
