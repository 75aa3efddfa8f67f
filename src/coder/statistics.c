/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of codes and of pairs of uppers over the blocks of a tensor. */
#include <string.h>

#include "coder/coder.h"

/* counts[s] += occurrences of s; four tables, so that runs of one value do not wait for each other. */
static void count_bytes(const uint8_t *bytes, size_t n, uint64_t counts[256]) {
  uint32_t table[4][256];
  memset(table, 0, sizeof table);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    table[0][bytes[i]]++;
    table[1][bytes[i + 1]]++;
    table[2][bytes[i + 2]]++;
    table[3][bytes[i + 3]]++;
  }
  for (; i < n; i++) table[0][bytes[i]]++;
  for (unsigned s = 0; s < 256; s++) counts[s] += (uint64_t)table[0][s] + table[1][s] + table[2][s] + table[3][s];
}

static unsigned min_pair_raw(int bits) { return bits > 4 ? (unsigned)bits - 4 : 0; }

static void add_pairs(coder_statistics *stats, const coder_block *block, unsigned raw, const uint8_t *codes) {
  uint8_t pairs[CODER_MAX_CODES / 2 + CODER_TILE];
  size_t n = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++) {
    const uint8_t *tile = codes + (size_t)panel * block->tiles * CODER_TILE;
    for (uint32_t t = 0; t + 1 < block->tiles; t += 2, tile += 2 * CODER_TILE, n += CODER_TILE) {
      for (unsigned i = 0; i < CODER_TILE; i++)
        pairs[n + i] = (uint8_t)(tile[i] >> raw | tile[i + CODER_TILE] >> raw << 4);
    }
    if (block->tiles & 1) { /* a single tile: counted apart, its partner is the pad */
      for (unsigned i = 0; i < CODER_TILE; i++) stats->singles[tile[i] >> raw]++;
    }
  }
  count_bytes(pairs, n, stats->pairs);
}

void coder_statistics_add(coder_statistics *stats, const coder_block *block, int bits, const uint8_t *codes) {
  const uint32_t height = block->panel_rows;
  const size_t n = (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * height;
  count_bytes(codes, n, stats->padded_codes);
  count_bytes(codes, n, stats->codes);
  if (block->rows < block->panels * height || block->columns < block->tiles * CODER_TILE_COLUMNS) {
    for (size_t i = 0; i < n; i++) {
      const size_t tile = i / (CODER_TILE_COLUMNS * height), in_tile = i % (CODER_TILE_COLUMNS * height);
      const size_t row = tile / block->tiles * height + in_tile / CODER_TILE_COLUMNS;
      const size_t column = tile % block->tiles * CODER_TILE_COLUMNS + in_tile % CODER_TILE_COLUMNS;
      if (row >= block->rows || column >= block->columns) stats->codes[codes[i]]--;
    }
  }
  if (height == CODER_PANEL_ROWS) add_pairs(stats, block, min_pair_raw(bits), codes);
  stats->n_blocks++;
}

void coder_statistics_merge(coder_statistics *into, const coder_statistics *from) {
  for (unsigned s = 0; s < 256; s++) {
    into->padded_codes[s] += from->padded_codes[s];
    into->codes[s] += from->codes[s];
    into->pairs[s] += from->pairs[s];
    into->singles[s] += from->singles[s];
  }
  into->n_blocks += from->n_blocks;
}
