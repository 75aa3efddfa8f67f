/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a matrix is cut into blocks, and the order of codes inside one. Invariant:
 * every element is in exactly one block; a block has at most CODER_MAX_CODES
 * codes, padding included.
 */
#include "coder/geometry.h"

#include <string.h>

enum { RANGE_STEP = 256, RANGE_MIN = 512, RANGE_MAX = 1024 };

static uint64_t divide_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

bool coder_geometry_from(coder_geometry *geometry, uint64_t rows, uint64_t columns, uint32_t panels_per_block,
                         uint32_t block_columns) {
  if (rows == 0 || columns == 0 || rows > UINT32_MAX || columns > UINT32_MAX) return false;
  if (panels_per_block == 0 || block_columns == 0) return false;
  const uint32_t panel_rows = rows < CODER_PANEL_ROWS ? (uint32_t)rows : CODER_PANEL_ROWS;
  const uint64_t used = block_columns < columns ? block_columns : columns;
  const uint64_t tiles = divide_up(used, CODER_TILE_COLUMNS);
  if (tiles > CODER_MAX_TILES * (uint64_t)CODER_PANEL_ROWS) return false;
  if (panels_per_block > CODER_MAX_CODES ||
      panels_per_block * tiles * CODER_TILE_COLUMNS * panel_rows > CODER_MAX_CODES)
    return false;
  const bool ranges = block_columns < columns;
  if (ranges && (block_columns % RANGE_STEP != 0 || panels_per_block != 1)) return false;
  geometry->rows = rows;
  geometry->columns = columns;
  geometry->panel_rows = panel_rows;
  geometry->panels_per_block = panels_per_block;
  geometry->block_columns = block_columns;
  geometry->row_groups = divide_up(divide_up(rows, panel_rows), panels_per_block);
  geometry->column_ranges = divide_up(columns, block_columns);
  geometry->n_blocks = geometry->row_groups * geometry->column_ranges; /* both below 2^32 */
  return true;
}

bool coder_geometry_init(coder_geometry *geometry, uint64_t rows, uint64_t columns) {
  if (rows == 0 || columns == 0 || rows > UINT32_MAX || columns > UINT32_MAX) return false;
  const uint32_t panel_rows = rows < CODER_PANEL_ROWS ? (uint32_t)rows : CODER_PANEL_ROWS;
  const uint64_t panel_codes = divide_up(columns, CODER_TILE_COLUMNS) * CODER_TILE_COLUMNS * panel_rows;
  if (columns <= RANGE_MAX || panel_codes <= CODER_MAX_CODES) {
    uint64_t panels = CODER_MAX_CODES / panel_codes;
    const uint64_t all = divide_up(rows, panel_rows);
    if (panels > all) panels = all;
    return coder_geometry_from(geometry, rows, columns, (uint32_t)panels, (uint32_t)columns);
  }
  /* the widest range whose last block is not tiny */
  uint32_t best = RANGE_MAX;
  uint64_t best_last = 0;
  for (uint32_t range = RANGE_MAX; range >= RANGE_MIN; range -= RANGE_STEP) {
    const uint64_t last = columns % range == 0 ? range : columns % range;
    if (last >= RANGE_MIN || last == range) return coder_geometry_from(geometry, rows, columns, 1, range);
    if (last > best_last) {
      best = range;
      best_last = last;
    }
  }
  return coder_geometry_from(geometry, rows, columns, 1, best);
}

coder_block coder_geometry_block(const coder_geometry *g, uint64_t index) {
  return coder_geometry_block_at(g, index / g->column_ranges, index % g->column_ranges);
}

coder_block coder_geometry_block_at(const coder_geometry *g, uint64_t group, uint64_t range) {
  coder_block block;
  const uint64_t group_rows = (uint64_t)g->panels_per_block * g->panel_rows;
  block.first_row = group * group_rows;
  block.first_column = range * g->block_columns;
  const uint64_t rows_left = g->rows - block.first_row, columns_left = g->columns - block.first_column;
  block.rows = (uint32_t)(rows_left < group_rows ? rows_left : group_rows);
  block.columns = (uint32_t)(columns_left < g->block_columns ? columns_left : g->block_columns);
  block.panels = (block.rows + g->panel_rows - 1) / g->panel_rows;
  block.tiles = (block.columns + CODER_TILE_COLUMNS - 1) / CODER_TILE_COLUMNS;
  block.panel_rows = g->panel_rows;
  return block;
}

void coder_tile_block(const coder_block *block, const uint8_t *source, size_t stride, uint8_t pad, uint8_t *out) {
  const uint32_t height = block->panel_rows, full = block->columns / CODER_TILE_COLUMNS;
  for (uint32_t panel = 0; panel < block->panels; panel++) {
    for (uint32_t r = 0; r < height; r++) {
      const uint32_t row = panel * height + r;
      uint8_t *to = out + (size_t)panel * block->tiles * CODER_TILE_COLUMNS * height + r * CODER_TILE_COLUMNS;
      const size_t step = (size_t)CODER_TILE_COLUMNS * height;
      if (row >= block->rows) {
        for (uint32_t t = 0; t < block->tiles; t++, to += step) memset(to, pad, CODER_TILE_COLUMNS);
        continue;
      }
      const uint8_t *from = source + row * stride;
      for (uint32_t t = 0; t < full; t++, to += step) memcpy(to, from + CODER_TILE_COLUMNS * t, CODER_TILE_COLUMNS);
      if (full < block->tiles) {
        memset(to, pad, CODER_TILE_COLUMNS);
        memcpy(to, from + CODER_TILE_COLUMNS * full, block->columns % CODER_TILE_COLUMNS);
      }
    }
  }
}

void coder_untile_block(const coder_block *block, const uint8_t *tiles, uint8_t *out, size_t stride) {
  const uint32_t height = block->panel_rows, full = block->columns / CODER_TILE_COLUMNS;
  const size_t step = (size_t)CODER_TILE_COLUMNS * height;
  for (uint32_t row = 0; row < block->rows; row++) {
    const uint8_t *from = tiles + (size_t)(row / height) * block->tiles * step + row % height * CODER_TILE_COLUMNS;
    uint8_t *to = out + row * stride;
    for (uint32_t t = 0; t < full; t++, from += step) memcpy(to + CODER_TILE_COLUMNS * t, from, CODER_TILE_COLUMNS);
    memcpy(to + CODER_TILE_COLUMNS * full, from, block->columns % CODER_TILE_COLUMNS);
  }
}
