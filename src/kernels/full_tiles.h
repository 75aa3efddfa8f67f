/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles of a matrix of fewer than 16 rows, made whole for kernels that know only whole ones. */
#ifndef ELLM_KERNELS_FULL_TILES_H
#define ELLM_KERNELS_FULL_TILES_H

#include <string.h>

#include "coder/geometry.h"

/* n_tiles tiles of panel_rows rows to tiles of 16 in full[n_tiles * CODER_TILE]; rows that are not there are `pad`. */
static inline const uint8_t *kernel_full_tiles(const uint8_t *codes, size_t n_tiles, uint32_t panel_rows, int pad,
                                               uint8_t *full) {
  const size_t bytes = (size_t)CODER_TILE_COLUMNS * panel_rows;
  memset(full, pad, n_tiles * CODER_TILE);
  for (size_t tile = 0; tile < n_tiles; tile++) memcpy(full + tile * CODER_TILE, codes + tile * bytes, bytes);
  return full;
}

#endif
