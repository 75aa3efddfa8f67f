/* SPDX-License-Identifier: Apache-2.0 */
/* See patches.h. */
#include "kernels/patches.h"

#include <string.h>

#include "kernels/tables.h"

/* Of four columns kernel_activations.wide has 0, 2, 1, 3. */
static size_t wide_place(size_t column) {
  static const uint8_t place[CODER_TILE_COLUMNS] = {0, 2, 1, 3};
  return column - column % CODER_TILE_COLUMNS + place[column % CODER_TILE_COLUMNS];
}

static void add(int32_t *sum, int32_t value) { *sum = (int32_t)((uint32_t)*sum + (uint32_t)value); }

static uint32_t panel_codes(const coder_block *block) {
  return block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}

/* Row, column and group of a place within its panel. */
typedef struct spot { uint32_t row, column, group; } spot;

static inline spot spot_of(const coder_block *block, uint32_t in_panel, uint32_t group) {
  spot s;
  if (block->panel_rows == CODER_PANEL_ROWS) { /* divisors that are constants */
    s.row = in_panel % CODER_TILE / CODER_TILE_COLUMNS;
    s.column = in_panel / CODER_TILE * CODER_TILE_COLUMNS + in_panel % CODER_TILE_COLUMNS;
  } else {
    const uint32_t tile_codes = CODER_TILE_COLUMNS * block->panel_rows;
    s.row = in_panel % tile_codes / CODER_TILE_COLUMNS;
    s.column = in_panel / tile_codes * CODER_TILE_COLUMNS + in_panel % CODER_TILE_COLUMNS;
  }
  s.group = group == KERNEL_GROUP_I16 ? s.column / KERNEL_GROUP_I16 : s.column / KERNEL_GROUP_I8;
  return s;
}

coder_patches kernel_panel_patches(const coder_patches *patches, const coder_block *block, uint32_t panel,
                                   uint32_t *from) {
  const uint32_t end = (panel + 1) * panel_codes(block), first = *from;
  uint32_t n = first;
  if (patches->n == 0) return (coder_patches){0}; /* data may be NULL, to which not even 0 can be added */
  while (n < patches->n && coder_patch_at(patches, n).place < end) n++;
  *from = n;
  return (coder_patches){patches->data + (size_t)first * CODER_PATCH_BYTES, n - first};
}

enum { PATCHES_AT_ONCE = 64, VECTOR_PATCHES = 8 };

/*
 * One panel of 16 rows, where every divisor is a power of 2: a place is taken apart by shifts and masks, for many patches
 * in loops that compilers make vectors of, and without a branch that depends on data. So a patch costs some cycles,
 * which is what makes fields with patches worth while. `tiles`, of a group, is a constant wherever this is inlined.
 */
KERNEL_INLINE void patch_panel(const coder_patches *patches, const coder_block *block, uint32_t panel,
                               const int16_t *q, uint32_t tiles, int32_t *sums) {
  const uint32_t size = block->tiles * CODER_TILE, start = panel * size;
  uint32_t column[PATCHES_AT_ONCE], row[PATCHES_AT_ONCE];
  int32_t difference[PATCHES_AT_ONCE];
  for (uint32_t done = 0; done < patches->n; done += PATCHES_AT_ONCE) {
    const uint32_t left = patches->n - done, n = left < PATCHES_AT_ONCE ? left : PATCHES_AT_ONCE;
    const uint8_t *p = patches->data + (size_t)done * CODER_PATCH_BYTES - 1;
    uint32_t words[PATCHES_AT_ONCE];
    KERNEL_UNROLL(4)
    for (uint32_t i = 0; i < n; i++, p += CODER_PATCH_BYTES) words[i] = load_u32(p); /* coder_patch_at */
    for (uint32_t i = n; i % VECTOR_PATCHES != 0; i++) words[i] = 0;
    for (uint32_t i = 0; i < (n + VECTOR_PATCHES - 1) / VECTOR_PATCHES * VECTOR_PATCHES; i++) {
      const uint32_t named = (words[i] >> 8 & (CODER_MAX_CODES - 1)) - start, place = named < size ? named : 0;
      column[i] = (place >> 4 & ~3u) | (place & 1) << 1 | (place >> 1 & 1); /* wide_place of it */
      row[i] = place / (CODER_TILE * tiles) * CODER_PANEL_ROWS | (place >> 2 & (CODER_PANEL_ROWS - 1));
      difference[i] = named < size ? (int32_t)words[i] >> 22 : 0; /* or passed over */
    }
    KERNEL_UNROLL(4)
    for (uint32_t i = 0; i < n; i++) add(&sums[row[i]], difference[i] * q[column[i]]);
  }
}

void kernel_patch_sums(const coder_patches *patches, const coder_block *block, const kernel_activations *a,
                       size_t token, int32_t *sums) {
  const size_t panel_sums = kernel_block_groups(block, a) * CODER_PANEL_ROWS;
  const int16_t *q = a->wide + token * a->stride + block->first_column;
  if (block->panel_rows == CODER_PANEL_ROWS) {
    uint32_t from = 0;
    for (uint32_t panel = 0; panel < block->panels; panel++, sums += panel_sums) {
      const coder_patches of_panel =
          block->panels == 1 ? *patches : kernel_panel_patches(patches, block, panel, &from);
      if (a->group == KERNEL_GROUP_I16)
        patch_panel(&of_panel, block, panel, q, KERNEL_GROUP_I16 / CODER_TILE_COLUMNS, sums);
      else
        patch_panel(&of_panel, block, panel, q, KERNEL_GROUP_I8 / CODER_TILE_COLUMNS, sums);
    }
    return;
  }
  for (uint32_t i = 0; i < patches->n; i++) { /* one panel */
    const coder_patch patch = coder_patch_at(patches, i);
    if (patch.place >= panel_codes(block)) continue;
    const spot s = spot_of(block, patch.place, a->group);
    add(&sums[s.group * CODER_PANEL_ROWS + s.row], patch.difference * q[wide_place(s.column)]);
  }
}

void kernel_patch_added(const coder_patches *panel_patches, const coder_block *block, const kernel_activations *a,
                        size_t token, size_t n_tokens, int32_t *added) {
  const uint32_t size = panel_codes(block);
  const size_t token_sums = kernel_block_groups(block, a) * CODER_PANEL_ROWS;
  const int16_t *q = a->wide + token * a->stride + block->first_column;
  memset(added, 0, n_tokens * token_sums * sizeof *added);
  for (uint32_t i = 0; i < panel_patches->n; i++) {
    const coder_patch patch = coder_patch_at(panel_patches, i);
    const spot s = spot_of(block, patch.place % size, a->group);
    int32_t *sum = added + s.group * CODER_PANEL_ROWS + s.row;
    const int16_t *x = q + wide_place(s.column);
    for (size_t t = 0; t < n_tokens; t++) add(&sum[t * token_sums], patch.difference * x[t * a->stride]);
  }
}

void kernel_patch_tiles(const coder_patches *patches, const coder_block *block, uint32_t first, size_t n_tiles,
                        const uint8_t *codes, const quant_scales *scales, float *w) {
  const uint32_t tile_codes = CODER_TILE_COLUMNS * block->panel_rows, end = first + (uint32_t)n_tiles * tile_codes;
  int32_t difference = 0;
  for (uint32_t i = 0; i < patches->n; i++) {
    const coder_patch patch = coder_patch_at(patches, i);
    if (patch.place < first || patch.place >= end) continue;
    difference += patch.difference;
    if (i + 1 < patches->n && coder_patch_at(patches, i + 1).place == patch.place) continue; /* a part of it */
    const uint32_t tile = (patch.place - first) / tile_codes, lane = (patch.place - first) % tile_codes;
    const uint32_t row = lane / CODER_TILE_COLUMNS, column = lane % CODER_TILE_COLUMNS;
    w[tile * CODER_TILE + column * CODER_PANEL_ROWS + row] =
        quant_weight(scales, codes[tile * CODER_TILE + lane] + difference, row, tile * CODER_TILE_COLUMNS + column);
    difference = 0;
  }
}
