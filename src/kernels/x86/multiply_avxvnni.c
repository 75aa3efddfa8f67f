/* SPDX-License-Identifier: Apache-2.0 */
/* Products of many tokens with AVX-VNNI. */
#include "kernels/x86/finish_avx2.h"
#include "kernels/x86/vnni256.h"

bool multiply_finish_avxvnni(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                             size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                             size_t n_rows, float *y, size_t y_stride) {
  if (block->panel_rows != CODER_PANEL_ROWS) return false;
  const size_t n_groups = kernel_block_groups(block, a), added_stride = n_groups * CODER_PANEL_ROWS;
  for (size_t now; n_tokens > 0; token += now, n_tokens -= now, y += now * y_stride) {
    now = vnni_tokens(n_tokens, a->digits == 2);
    const size_t group = token * a->n_groups + block->first_column / a->group;
    columns x = columns_at(a, token, block->first_column);
    finish_sums sums;
    finish_out out;
    finish_begin(&out, y, y_stride, now, n_rows);
    for (size_t first = 0; first < n_groups; first += FINISH_GROUPS) {
      const size_t left = n_groups - first, groups = left < FINISH_GROUPS ? left : FINISH_GROUPS;
      for (size_t i = 0; i < groups; i++) {
        const size_t g = first + i, tile = g * x.tiles_per_group, rest = block->tiles - tile;
        int32_t start[VNNI_TOKENS];
        for (size_t t = 0; t < now; t++) start[t] = -scales->zero * a->sum[group + g + t * a->n_groups];
        group_sums_of(panel_codes + CODER_TILE * tile, rest < x.tiles_per_group ? rest : x.tiles_per_group, x, a->stride,
                      start, now, sums[i][0], CODER_PANEL_ROWS);
        x.low += a->group;
        if (x.high) x.high += a->group;
        if (added != NULL) finish_add(added + g * CODER_PANEL_ROWS, added_stride, now, sums[i]);
      }
      finish_groups((const finish_token(*)[FINISH_TOKENS])sums, groups, a->scale + group + first, a->n_groups, now, &out);
    }
    finish_end(&out, y, y_stride, now, n_rows);
    if (added != NULL) added += now * added_stride;
  }
  return true;
}

/* Few tokens take codes as they come out of registers, with vpmaddwd; more are faster from memory with vpdpbusd. */
kernel_fused_result multiply_fused_avxvnni(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                           size_t bytes, const coder_patches *patches, kernel_scratch *scratch,
                                           const kernel_activations *a, size_t token, size_t n_tokens,
                                           const quant_scales *scales, float *y, size_t y_stride) {
  enum { FEW = 4 };
  if (n_tokens > FEW) return KERNEL_NOT_FUSED;
  return multiply_fused_avx2(book, block, data, bytes, patches, scratch, a, token, n_tokens, scales, y, y_stride);
}
