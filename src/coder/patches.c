/* SPDX-License-Identifier: Apache-2.0 */
/* See patches.h. */
#include "coder/patches.h"

#include <string.h>

bool coder_patches_take(const uint8_t **data, size_t *bytes, coder_patches *patches) {
  if (*bytes < CODER_PATCHES_HEAD) return false;
  const uint32_t n = load_u16(*data);
  const size_t taken = CODER_PATCHES_HEAD + (size_t)n * CODER_PATCH_BYTES;
  if (*bytes < taken) return false;
  *patches = (coder_patches){*data + CODER_PATCHES_HEAD, n};
  *data += taken;
  *bytes -= taken;
  return true;
}

bool coder_patches_valid(const coder_patches *patches, const coder_block *block, const coder_codebook *book, int zero) {
  const uint32_t n_codes = (uint32_t)coder_block_codes(block), panel_codes = n_codes / block->panels;
  const uint32_t span_codes = CODER_PATCH_COLUMNS * block->panel_rows; /* of 256 columns of a panel */
  const int32_t below = zero - coder_least_code(book), above = coder_most_code(book) - zero;
  const int32_t farthest = below > above ? below : above;
  const int32_t most = CODER_PATCH_SUM - CODER_PATCH_COLUMNS * farthest;
  int32_t sums[CODER_PANEL_ROWS] = {0}; /* of the rows of a panel, in one span */
  uint32_t span = UINT32_MAX;
  coder_patch before = {0, 0};
  for (uint32_t i = 0; i < patches->n; i++) {
    const coder_patch patch = coder_patch_at(patches, i);
    uint32_t row, column;
    if (patch.difference == 0 || patch.place >= n_codes) return false;
    coder_patch_where(block, patch.place, &row, &column);
    if (row >= block->rows || column >= block->columns) return false;
    if (i > 0 && patch.place <= before.place) { /* the same place again: a part of one difference */
      const bool full = before.difference == CODER_PATCH_LEAST || before.difference == CODER_PATCH_MOST;
      if (patch.place < before.place || !full || (patch.difference < 0) != (before.difference < 0)) return false;
    }
    const uint32_t here = patch.place / panel_codes * panel_codes + patch.place % panel_codes / span_codes * span_codes;
    if (here != span) memset(sums, 0, sizeof sums);
    span = here;
    int32_t *sum = &sums[row % block->panel_rows];
    *sum += patch.difference < 0 ? -patch.difference : patch.difference;
    if (*sum > most) return false;
    before = patch;
  }
  return true;
}

size_t coder_clip(const coder_codebook *book, uint8_t *codes, size_t n_codes, coder_patch *patches) {
  const int32_t least = coder_least_code(book), most = coder_most_code(book);
  size_t n = 0;
  for (size_t i = 0; i < n_codes; i++) {
    const int32_t code = codes[i], clipped = code < least ? least : code > most ? most : code;
    if (code == clipped) continue;
    patches[n++] = (coder_patch){(uint32_t)i, code - clipped};
    codes[i] = (uint8_t)clipped;
  }
  return n;
}

uint64_t coder_clip_counts(const coder_codebook *book, uint64_t counts[256]) {
  const int least = coder_least_code(book), most = coder_most_code(book);
  uint64_t clipped = 0;
  for (int q = 0; q < 256; q++) {
    if (q >= least && q <= most) continue;
    clipped += counts[q];
    counts[q < least ? least : most] += counts[q];
    counts[q] = 0;
  }
  return clipped;
}

bool coder_patch_codes(const coder_patches *patches, int bits, uint8_t *codes) {
  const int32_t top = (1 << bits) - 1;
  bool fit = true;
  int32_t difference = 0;
  for (uint32_t i = 0; i < patches->n; i++) {
    const coder_patch patch = coder_patch_at(patches, i);
    difference += patch.difference;
    if (i + 1 < patches->n && coder_patch_at(patches, i + 1).place == patch.place) continue; /* a part of it */
    const int32_t code = codes[patch.place] + difference;
    codes[patch.place] = (uint8_t)(code < 0 ? 0 : code > top ? top : code);
    fit = fit && code >= 0 && code <= top;
    difference = 0;
  }
  return fit;
}

uint32_t coder_patches_places(const coder_patches *patches) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < patches->n; i++)
    n += i == 0 || coder_patch_at(patches, i).place != coder_patch_at(patches, i - 1).place;
  return n;
}

/* Patches of a whole difference: as many full ones as leave something for the last. */
static size_t parts(int32_t difference) {
  return difference < 0 ? ((size_t)-(int64_t)difference + 511) / 512 : ((size_t)difference + 510) / 511;
}

size_t coder_patches_bytes(const coder_patch *whole, size_t n) {
  size_t entries = 0;
  for (size_t i = 0; i < n && entries <= UINT16_MAX; i++) entries += parts(whole[i].difference);
  return entries <= UINT16_MAX ? CODER_PATCHES_HEAD + entries * CODER_PATCH_BYTES : SIZE_MAX;
}

void coder_patches_store(const coder_patch *whole, size_t n, uint8_t *out) {
  uint8_t *p = out + CODER_PATCHES_HEAD;
  for (size_t i = 0; i < n; i++) {
    int32_t left = whole[i].difference;
    const int32_t full = left < 0 ? CODER_PATCH_LEAST : CODER_PATCH_MOST;
    for (size_t k = parts(left); k > 0; k--, p += CODER_PATCH_BYTES) {
      const int32_t part = k > 1 ? full : left;
      const uint32_t word = whole[i].place | ((uint32_t)part & 1023u) << 14;
      p[0] = (uint8_t)word;
      p[1] = (uint8_t)(word >> 8);
      p[2] = (uint8_t)(word >> 16);
      left -= part;
    }
  }
  store_u16(out, (uint16_t)((size_t)(p - out - CODER_PATCHES_HEAD) / CODER_PATCH_BYTES));
}
