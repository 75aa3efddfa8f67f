/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices whose elements are stored exactly (quant/exact.h), block by block. The rests of a block are `planes` bytes
 * for each of its places in tile order, all lowest ones first: planes[p * coder_block_codes(block) + place]. There is
 * one function for all instruction sets: nothing here computes, bits change places.
 */
#ifndef ELLM_KERNELS_EXACT_H
#define ELLM_KERNELS_EXACT_H

#include "coder/coder.h"
#include "quant/exact.h"

/* Codes and rests of a block, in tile order, from its elements: `source` is the first one, rows `stride` bytes apart.
 * Places outside the matrix get `pad` and 0. codes[coder_block_codes], planes[form->planes * coder_block_codes]. */
void exact_split_block(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *source,
                       size_t stride, uint8_t pad, uint8_t *codes, uint8_t *planes);
/* The reverse; writes real rows and columns only. */
void exact_join_block(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
                      const uint8_t *planes, uint8_t *out, size_t stride);
/* n_tiles tiles from the place `first` on as floats, w[tile][column 0..3][row 0..15], as tiles_from_rows has them; rows
 * beyond panel_rows are +0. Places outside the matrix give any numbers. */
void exact_tiles(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
                 const uint8_t *planes, size_t first, size_t n_tiles, float *w);
/* Row `row` of the block as floats to out[block->columns]. */
void exact_row(const coder_block *block, ellm_dtype dtype, const exact_form *form, const uint8_t *codes,
               const uint8_t *planes, uint32_t row, float *out);
/* The first row and column of the block, row by row, whose element is NaN or infinite; false: there is none. */
bool exact_find_not_finite(const coder_block *block, ellm_dtype dtype, const uint8_t *codes, uint32_t *row,
                           uint32_t *column);

#endif
