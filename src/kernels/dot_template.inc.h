/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of codes and integer activations, once, for all instruction sets. A
 * set's dot_*.c defines what follows and includes this file, which defines
 * dot_block_<KERNEL_NAME> and multiply_codes_<KERNEL_NAME>.
 *
 * The unit of work is one group of columns of one panel of 16 rows: some tiles of
 * 64 codes, four columns by 16 rows, against as many columns of one or more
 * tokens. Its result is 16 sums, exact in int32 (kernels.h).
 *
 * A set supplies
 *   KERNEL_NAME, KERNEL_DECODE
 *   dot_group(codes, n_tiles, x, sums)      the sums of one group and token
 *   tokens_at_once(n, two_digits)           how many of n > 0 tokens multiply_group takes
 *   multiply_group(codes, n_tiles, x, n_tokens, stride, sums, sums_stride)   their sums
 *   KERNEL_FUSED, where there is one        (tables.h) decoding and product in one
 * where x (columns.h) points at the group's columns of the first token.
 */
#include <string.h>

#include "kernels/columns.h"
#include "kernels/fetch.h"
#include "kernels/full_tiles.h"

KERNEL_INLINE columns columns_after(columns x, size_t n) {
  x.low += n;
  if (x.high) x.high += n;
  x.wide += n;
  return x;
}

void KERNEL_PASTE(multiply_codes_, KERNEL_NAME)(const uint8_t *panel_codes, const coder_block *block,
                                                const kernel_activations *a, size_t token, size_t n_tokens,
                                                int32_t *sums) {
  const size_t n_groups = kernel_block_groups(block, a), tile_bytes = CODER_TILE_COLUMNS * block->panel_rows;
  const size_t token_sums = n_groups * CODER_PANEL_ROWS;
  uint8_t full[KERNEL_GROUP_I16 / CODER_TILE_COLUMNS * CODER_TILE];
  while (n_tokens > 0) {
    const columns x = columns_at(a, token, block->first_column);
    const size_t now = tokens_at_once(n_tokens, x.high != NULL);
    for (size_t g = 0; g < n_groups; g++) {
      const size_t first = g * x.tiles_per_group, left = block->tiles - first;
      const size_t n_tiles = left < x.tiles_per_group ? left : x.tiles_per_group;
      const uint8_t *codes = panel_codes + first * tile_bytes;
      if (tile_bytes < CODER_TILE) codes = kernel_full_tiles(codes, n_tiles, block->panel_rows, 0, full);
      multiply_group(codes, n_tiles, columns_after(x, g * a->group), now, a->stride, sums + g * CODER_PANEL_ROWS,
                     token_sums);
    }
    token += now;
    n_tokens -= now;
    sums += now * token_sums;
  }
}

/* Sums of all panels from codes; `ahead` is 0 for those that were decoded, which are in a cache. */
static void dot_codes(const uint8_t *codes, size_t ahead, const coder_block *block, const kernel_activations *a,
                      size_t token, int32_t *sums) {
  const size_t n_groups = kernel_block_groups(block, a), tile_bytes = CODER_TILE_COLUMNS * block->panel_rows;
  const columns x = columns_at(a, token, block->first_column);
  uint8_t full[KERNEL_GROUP_I16 / CODER_TILE_COLUMNS * CODER_TILE];
  for (size_t panel = 0; panel < block->panels; panel++, codes += block->tiles * tile_bytes) {
    for (size_t g = 0; g < n_groups; g++, sums += CODER_PANEL_ROWS) {
      const size_t first = g * x.tiles_per_group, left = block->tiles - first;
      const size_t n_tiles = left < x.tiles_per_group ? left : x.tiles_per_group;
      const uint8_t *from = codes + first * tile_bytes;
      if (ahead > 0) fetch_lines(from + ahead, n_tiles * tile_bytes);
      if (tile_bytes < CODER_TILE) from = kernel_full_tiles(from, n_tiles, block->panel_rows, 0, full);
      dot_group(from, n_tiles, columns_after(x, g * a->group), sums);
    }
  }
}

/* All bytes or'd. */
static unsigned bytes_or_all(const uint8_t *data, size_t n) {
  uint8_t all = 0;
  for (size_t i = 0; i < n; i++) all |= data[i];
  return all;
}

bool KERNEL_PASTE(dot_block_, KERNEL_NAME)(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                           size_t bytes, kernel_scratch *scratch, const kernel_activations *a,
                                           size_t token, int32_t *sums) {
#if defined(KERNEL_FUSED)
  const kernel_fused_result result =
      kernel_knows(book) ? KERNEL_FUSED(book, block, data, bytes, scratch, a, token, sums) : KERNEL_NOT_FUSED;
  if (result != KERNEL_NOT_FUSED) return result == KERNEL_FUSED_GOOD;
#endif
  if (book->kind == CODER_PLAIN && book->bits > 4) { /* the bytes are the codes */
    if (bytes != coder_block_codes(block)) return false;
    if (book->bits < 8 && bytes_or_all(data, bytes) >> book->bits != 0) return false;
    dot_codes(data, fetch_distance(bytes), block, a, token, sums);
    return true;
  }
  if (!KERNEL_DECODE(book, block, data, bytes, &scratch->coder, scratch->codes)) return false;
  dot_codes(scratch->codes, 0, block, a, token, sums);
  return true;
}
