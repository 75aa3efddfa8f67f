/* SPDX-License-Identifier: Apache-2.0 */
/* See exact.h. */
#include "kernels/exact.h"

#include <string.h>

/* The place in tile order of a row's first column of a tile. */
static size_t place_of(const coder_block *block, uint32_t row, uint32_t tile) {
  return (((size_t)(row / block->panel_rows) * block->tiles + tile) * block->panel_rows + row % block->panel_rows) *
         CODER_TILE_COLUMNS;
}

static uint32_t columns_of(const coder_block *block, uint32_t tile) {
  const uint32_t left = block->columns - tile * CODER_TILE_COLUMNS;
  return left < CODER_TILE_COLUMNS ? left : CODER_TILE_COLUMNS;
}

static uint32_t rest_at(const exact_form *form, const uint8_t *planes, size_t n_codes, size_t place) {
  uint32_t rest = 0;
  for (unsigned p = 0; p < form->planes; p++) rest |= (uint32_t)planes[p * n_codes + place] << 8 * p;
  return rest << 8 * form->omitted;
}

static float float_of(ellm_dtype dtype, uint32_t bits) {
  if (dtype == ELLM_F32) return float_from_bits(bits);
  return dtype == ELLM_F16 ? float_from_f16((uint16_t)bits) : float_from_bf16((uint16_t)bits);
}

void exact_split_block(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *source,
                       size_t stride, uint8_t pad, uint8_t *codes, uint8_t *planes) {
  const size_t size = ellm_dtype_size(dtype), n_codes = coder_block_codes(block);
  memset(codes, pad, n_codes);
  memset(planes, 0, form->planes * n_codes);
  for (uint32_t row = 0; row < block->rows; row++) {
    const uint8_t *element = source + row * stride;
    for (uint32_t tile = 0; tile < block->tiles; tile++) {
      const size_t place = place_of(block, row, tile);
      for (uint32_t c = 0, n = columns_of(block, tile); c < n; c++, element += size) {
        const uint32_t bits = exact_load(size, element), rest = exact_rest(size, bits) >> 8 * form->omitted;
        codes[place + c] = exact_code(size, bits);
        for (unsigned p = 0; p < form->planes; p++) planes[p * n_codes + place + c] = (uint8_t)(rest >> 8 * p);
      }
    }
  }
}

void exact_join_block(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
                      const uint8_t *planes, uint8_t *out, size_t stride) {
  const size_t size = ellm_dtype_size(dtype), n_codes = coder_block_codes(block);
  for (uint32_t row = 0; row < block->rows; row++) {
    uint8_t *element = out + row * stride;
    for (uint32_t tile = 0; tile < block->tiles; tile++) {
      const size_t place = place_of(block, row, tile);
      for (uint32_t c = 0, n = columns_of(block, tile); c < n; c++, element += size)
        exact_store(size, exact_bits(size, codes[place + c], rest_at(form, planes, n_codes, place + c)), element);
    }
  }
}

/* The tiles of the commonest kind: BF16, one plane. A lane is a float, so that compilers make vectors of it. */
static void bf16_tile(const uint8_t *codes, const uint8_t *plane, float *w) {
  uint32_t bits[CODER_TILE];
  for (size_t i = 0; i < CODER_TILE; i++)
    bits[i] = (uint32_t)(plane[i] & 0x80) << 24 | (uint32_t)codes[i] << 23 | (uint32_t)(plane[i] & 0x7f) << 16;
  for (size_t column = 0; column < CODER_TILE_COLUMNS; column++)
    for (size_t row = 0; row < CODER_PANEL_ROWS; row++)
      w[column * CODER_PANEL_ROWS + row] = float_from_bits(bits[row * CODER_TILE_COLUMNS + column]);
}

void exact_tiles(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
                 const uint8_t *planes, size_t first, size_t n_tiles, float *w) {
  const size_t size = ellm_dtype_size(dtype), n_codes = coder_block_codes(block);
  const size_t tile_codes = (size_t)CODER_TILE_COLUMNS * block->panel_rows;
  const bool simple = dtype == ELLM_BF16 && form->planes == 1 && block->panel_rows == CODER_PANEL_ROWS;
  for (size_t tile = 0; tile < n_tiles; tile++, w += CODER_TILE) {
    const size_t place = first + tile * tile_codes;
    if (simple) {
      bf16_tile(codes + place, planes + place, w);
      continue;
    }
    memset(w, 0, CODER_TILE * sizeof *w);
    for (size_t i = 0; i < tile_codes; i++)
      w[i % CODER_TILE_COLUMNS * CODER_PANEL_ROWS + i / CODER_TILE_COLUMNS] =
          float_of(dtype, exact_bits(size, codes[place + i], rest_at(form, planes, n_codes, place + i)));
  }
}

void exact_row(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
               const uint8_t *planes, uint32_t row, float *out) {
  const size_t size = ellm_dtype_size(dtype), n_codes = coder_block_codes(block);
  for (uint32_t tile = 0; tile < block->tiles; tile++) {
    const size_t place = place_of(block, row, tile);
    for (uint32_t c = 0, n = columns_of(block, tile); c < n; c++)
      *out++ = float_of(dtype, exact_bits(size, codes[place + c], rest_at(form, planes, n_codes, place + c)));
  }
}

bool exact_find_not_finite(const coder_block *block, ellm_dtype dtype, const uint8_t *codes, uint32_t *row,
                           uint32_t *column) {
  const unsigned limit = exact_not_finite(dtype);
  const size_t n_codes = coder_block_codes(block);
  unsigned found = 0;
  for (size_t i = 0; i < n_codes; i++) found |= codes[i] >= limit;
  if (found == 0) return false;
  for (*row = 0; *row < block->rows; ++*row)
    for (*column = 0; *column < block->columns; ++*column)
      if (codes[place_of(block, *row, *column / CODER_TILE_COLUMNS) + *column % CODER_TILE_COLUMNS] >= limit)
        return true;
  return false;
}
