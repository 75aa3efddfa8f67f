/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches (coder/patches.h) in products: what a block's coded form lacks is
 * added to the integer sums before these are scaled, exactly, or to the codes
 * before these become float weights. The same for all instruction sets. All
 * patches are checked ones; a place beyond the block (memory changed under a
 * mapping) is passed over, never followed.
 */
#ifndef ELLM_KERNELS_PATCHES_H
#define ELLM_KERNELS_PATCHES_H

#include "coder/patches.h"
#include "kernels/kernels.h"

/* The patches of panel `panel`; *from is where the panel's begin among them, 0 for the first panel, and becomes where
 * the next panel's begin. */
coder_patches kernel_panel_patches(const coder_patches *patches, const coder_block *block, uint32_t panel,
                                   uint32_t *from);

/* sums of dot_block += difference * q, wrapping. */
void kernel_patch_sums(const coder_patches *patches, const coder_block *block, const kernel_activations *a,
                       size_t token, int32_t *sums);

/* `added` of multiply_finish for n_tokens tokens from `token` on, from the patches of one panel:
 * [n_tokens][kernel_block_groups][16], overwritten. */
void kernel_patch_added(const coder_patches *panel_patches, const coder_block *block, const kernel_activations *a,
                        size_t token, size_t n_tokens, int32_t *added);

/* Weights of a chunk of full tiles as tiles_from_codes made them from `codes`, the chunk beginning at place `first`
 * of the block and with the same scales; panels of 16 rows or fewer. */
void kernel_patch_tiles(const coder_patches *patches, const coder_block *block, uint32_t first, size_t n_tiles,
                        const uint8_t *codes, const quant_scales *scales, float *w);

#endif
