/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of many tokens as the table has them, once, for all instruction sets. float_template.inc.h includes this for the
 * set that it is for; a set that differs from that one by its products alone includes it once more, with a KERNEL_NAME of
 * its own, and makes its table by KERNEL_TABLE.
 *
 *   KERNEL_NAME, KERNEL_DECODE
 *   KERNEL_MULTIPLY_FINISH, KERNEL_MULTIPLY_FUSED   (tables.h), where the set has them
 */
#define kernel_multiply_finish KERNEL_PASTE(kernel_multiply_finish_, KERNEL_NAME)
#define kernel_multiply_block KERNEL_PASTE(kernel_multiply_block_, KERNEL_NAME)
#define multiply_patched KERNEL_PASTE(multiply_patched_, KERNEL_NAME)

static void kernel_multiply_finish(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                                   size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                                   size_t n_rows, float *y, size_t y_stride) {
#if defined(KERNEL_MULTIPLY_FINISH)
  if (KERNEL_MULTIPLY_FINISH(panel_codes, block, a, token, n_tokens, scales, added, n_rows, y, y_stride)) return;
#endif
  int32_t sums[KERNEL_MAX_SUMS];
  const size_t token_sums = kernel_block_groups(block, a) * CODER_PANEL_ROWS, at_once = KERNEL_MAX_SUMS / token_sums;
  for (size_t first = 0; first < n_tokens; first += at_once) {
    const size_t left = n_tokens - first, n = left < at_once ? left : at_once;
    KERNEL_PASTE(multiply_codes_, KERNEL_NAME)(panel_codes, block, a, token + first, n, sums);
    for (size_t i = 0; added != NULL && i < n * token_sums; i++)
      sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)added[first * token_sums + i]);
    for (size_t t = 0; t < n; t++)
      kernel_dot_finish(sums + t * token_sums, block, a, token + first + t, scales, n_rows, y + (first + t) * y_stride);
  }
}

/* A panel with patches: as many tokens at a time as there is room for what patches add. */
static void multiply_patched(const uint8_t *codes, const coder_block *block, const coder_patches *of_panel,
                             const kernel_activations *a, size_t token, size_t n_tokens, const quant_scales *scales,
                             size_t n_rows, int32_t *added, float *y, size_t y_stride) {
  const size_t at_once = KERNEL_MAX_SUMS / (kernel_block_groups(block, a) * CODER_PANEL_ROWS);
  for (size_t first = 0; first < n_tokens; first += at_once) {
    const size_t left = n_tokens - first, n = left < at_once ? left : at_once;
    kernel_patch_added(of_panel, block, a, token + first, n, added);
    kernel_multiply_finish(codes, block, a, token + first, n, scales, added, n_rows, y + first * y_stride, y_stride);
  }
}

static bool kernel_multiply_block(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                  size_t bytes, const coder_patches *patches, kernel_scratch *scratch,
                                  const kernel_activations *a, size_t token, size_t n_tokens,
                                  const quant_scales *scales, float *y, size_t y_stride) {
#if defined(KERNEL_MULTIPLY_FUSED)
  const kernel_fused_result result =
      kernel_knows(book)
          ? KERNEL_MULTIPLY_FUSED(book, block, data, bytes, patches, scratch, a, token, n_tokens, scales, y, y_stride)
          : KERNEL_NOT_FUSED;
  if (result != KERNEL_NOT_FUSED) return result == KERNEL_FUSED_GOOD;
#endif
  if (!KERNEL_DECODE(book, block, data, bytes, &scratch->coder, scratch->codes)) return false;
  const uint8_t *codes = scratch->codes;
  uint32_t from = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++, y += block->panel_rows) {
    const coder_patches of_panel = kernel_panel_patches(patches, block, panel, &from);
    const size_t left = block->rows - panel * block->panel_rows;
    const size_t n_rows = left < block->panel_rows ? left : block->panel_rows;
    if (of_panel.n > 0)
      multiply_patched(codes, block, &of_panel, a, token, n_tokens, scales, n_rows, scratch->sums, y, y_stride);
    else
      kernel_multiply_finish(codes, block, a, token, n_tokens, scales, NULL, n_rows, y, y_stride);
    codes += (size_t)block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
  }
  return true;
}

#undef kernel_multiply_finish
#undef kernel_multiply_block
#undef multiply_patched
