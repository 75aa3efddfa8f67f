/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches: codes of a block that do not fit the width of its codes. The coded
 * block holds the nearest code that fits; a patch holds the place and what is
 * to be added. Nothing is clipped, and no step need be coarser for a few codes
 * far out. The patches of a block are before it (docs/format/blocks.md,
 * "Patches"), so that they are checked with it, are in memory beside it, and are
 * found without a search:
 *
 *   u16 n | n patches of 3 bytes | the coded block
 *
 * A patch is 24 bits: a place in tile order (14) and a signed difference (10).
 * Places ascend. A difference beyond -512..511 takes several patches of one
 * place, all but the last of them -512 or 511: one way to write each sum.
 */
#ifndef ELLM_CODER_PATCHES_H
#define ELLM_CODER_PATCHES_H

#include "base/bytes.h"
#include "coder/codebook.h"
#include "coder/geometry.h"

enum {
  CODER_PATCHES_HEAD = 2,
  CODER_PATCH_BYTES = 3,
  CODER_PATCH_LEAST = -512,
  CODER_PATCH_MOST = 511,
  /*
   * What keeps a sum of a product in int32 (kernels/kernels.h): in each row, for each 256 columns,
   *   256 * largest |code - zero| + sum of |differences| <= 65,795 = floor((2^31 - 1) / 32,639),
   * 32,639 being the largest activation, and the code any that the book's blocks can hold. Where zero is one of these
   * and all whole codes are 0 to 255 it always holds: 256 * (|code - zero| + |difference|) <= 256 * 255.
   */
  CODER_PATCH_COLUMNS = 256,
  CODER_PATCH_SUM = 65795
};

typedef struct coder_patches { const uint8_t *data; uint32_t n; } coder_patches;
typedef struct coder_patch { uint32_t place; int32_t difference; } coder_patch;

static inline coder_patch coder_patch_at(const coder_patches *patches, uint32_t i) {
  /* with the byte before it, of the patch before or of the number, in one load: nothing after the last is read */
  const uint32_t word = load_u32(patches->data + (size_t)i * CODER_PATCH_BYTES - 1) >> 8;
  return (coder_patch){word & (CODER_MAX_CODES - 1), (int32_t)(word >> 14 ^ 512) - 512};
}

/* Row and column of a place, counted from the block's first. */
static inline void coder_patch_where(const coder_block *block, uint32_t place, uint32_t *row, uint32_t *column) {
  const uint32_t tile_codes = CODER_TILE_COLUMNS * block->panel_rows, tile = place / tile_codes;
  const uint32_t in_tile = place % tile_codes;
  *row = tile / block->tiles * block->panel_rows + in_tile / CODER_TILE_COLUMNS;
  *column = tile % block->tiles * CODER_TILE_COLUMNS + in_tile % CODER_TILE_COLUMNS;
}

/* Bytes of n patches with the number before them. */
static inline size_t coder_patches_size(uint32_t n) { return CODER_PATCHES_HEAD + (size_t)n * CODER_PATCH_BYTES; }

/* Takes the patches off the front of *data; false if they are cut short. */
bool coder_patches_take(const uint8_t **data, size_t *bytes, coder_patches *patches);
/* Do they keep all rules for this block: order, places inside the matrix, the bound above? */
bool coder_patches_valid(const coder_patches *patches, const coder_block *block, const coder_codebook *book, int zero);
/* Codes of a block beyond the range of a book: they are put at its end, and patches[n_codes] gets what they lost.
 * Returns how many they are. */
size_t coder_clip(const coder_codebook *book, uint8_t *codes, size_t n_codes, coder_patch *patches);
/* The same for counts of codes. */
uint64_t coder_clip_counts(const coder_codebook *book, uint64_t counts[256]);

/* Adds patches to the codes of their block, in tile order, as far as codes of `bits` bits go; false where one goes
 * farther. */
bool coder_patch_codes(const coder_patches *patches, int bits, uint8_t *codes);

/* Places that are patched. */
uint32_t coder_patches_places(const coder_patches *patches);

/* Bytes of the patches of n places with whole differences, none 0, places ascending; SIZE_MAX where they are too many
 * for a block. */
size_t coder_patches_bytes(const coder_patch *whole, size_t n);
/* Writes them; out has as many bytes. */
void coder_patches_store(const coder_patch *whole, size_t n, uint8_t *out);

#endif
