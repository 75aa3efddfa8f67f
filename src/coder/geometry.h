/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a matrix is cut into blocks (see coder.h for panels and tiles), and the
 * order of codes inside one. Plain data and pure functions.
 */
#ifndef ELLM_CODER_GEOMETRY_H
#define ELLM_CODER_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  CODER_PANEL_ROWS = 16,
  CODER_TILE_COLUMNS = 4,
  CODER_TILE = 64,            /* codes of a full tile */
  /* Codes of a block, padding included. As bytes they take half of a first-level cache of 32 KiB, beside the coded
   * block and the list of the symbols at work; a patch has 14 bits for the place of one (coder/patches.h). */
  CODER_MAX_CODES = 16384,
  CODER_MAX_TILES = CODER_MAX_CODES / CODER_TILE,
  CODER_SLACK = 64,           /* readable and writable bytes wanted after every buffer */
  CODER_MAX_BLOCK_BYTES = 65536 /* no valid block is larger: 32 bits a code (coder/levels.h) */
};

/* How a rows x columns matrix is cut into blocks. A block index counts row
 * groups first to last, inside one the column ranges first to last. Either
 * panels_per_block > 1 and one column range, or panels_per_block == 1. */
typedef struct coder_geometry {
  uint64_t rows, columns;
  uint32_t panel_rows;         /* 16, or rows when rows < 16 */
  uint32_t panels_per_block;
  uint32_t block_columns;      /* >= columns, or a multiple of 256 (groups of activations never straddle blocks) */
  uint64_t row_groups, column_ranges, n_blocks;
} coder_geometry;

/* One block of it. */
typedef struct coder_block {
  uint64_t first_row, first_column;
  uint32_t panels;       /* in this block */
  uint32_t rows;         /* real rows, <= panels * panel_rows */
  uint32_t columns;      /* real columns */
  uint32_t tiles;        /* of one panel: ceil(columns / 4) */
  uint32_t panel_rows;
} coder_block;
/* Codes that are stored, padding included. */
static inline size_t coder_block_codes(const coder_block *block) {
  return (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}

/* The default cut for a matrix: blocks of 8,192..16,384 codes where possible.
 * False if rows or columns is 0 or the count overflows. */
bool coder_geometry_init(coder_geometry *geometry, uint64_t rows, uint64_t columns);
/* As above from stored panels_per_block and block_columns; false if they break a rule. */
bool coder_geometry_from(coder_geometry *geometry, uint64_t rows, uint64_t columns, uint32_t panels_per_block,
                         uint32_t block_columns);
coder_block coder_geometry_block(const coder_geometry *geometry, uint64_t index);
/* Block number row_group * column_ranges + column_range, without the division. */
coder_block coder_geometry_block_at(const coder_geometry *geometry, uint64_t row_group, uint64_t column_range);

/* Codes of a block from row-major codes: `source` is the code of the block's
 * first row and column, rows `stride` bytes apart. out: panels * tiles * 4 *
 * panel_rows codes in tile order, padded. */
void coder_tile_block(const coder_block *block, const uint8_t *source, size_t stride, uint8_t pad, uint8_t *out);
/* The reverse, real rows and columns only. */
void coder_untile_block(const coder_block *block, const uint8_t *tiles, uint8_t *out, size_t stride);

#endif
