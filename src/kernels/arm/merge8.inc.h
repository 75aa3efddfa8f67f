/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging of lists with NEON, which has a shuffle of 16 bytes (tbl) and no
 * expand: 8 symbols a step, the control from a table by mask byte.
 * decode_neon.c supplies `bytes16` and
 *   pair_load(list0, list1)           8 bytes of each
 *   pair_constant(leaf0)              a constant in place of the first 8
 *   pair_with(constant, list1)        and 8 of a list beside it
 *   pair_shuffle(pair, out, control)  8 shuffled bytes to out
 *   byte_ones(mask)                   ones of a mask byte
 *   both_ones(mask)                   ones of 16 bits
 *   mask_16(mask, i)                  16 bits of a mask64 from 16 * i on
 *   fill_16(list0, list1, control0, control1)  8 of each list under 8 controls each; 0 where a
 *                                     control has its highest bit
 *   bytes_join(part)                  four of them as bytes64
 * Steps are narrower than 64, so lists are overrun by less than decode_template.inc.h allows.
 */
#include "kernels/arm/merge_table.h"

/* One step; list0 == NULL: the constant instead. */
KERNEL_INLINE void merge_step(uint8_t *out, size_t mask, bytes16 constant, const uint8_t **list0,
                              const uint8_t **list1) {
  const bytes16 pair = *list0 ? pair_load(*list0, *list1) : pair_with(constant, *list1);
  pair_shuffle(pair, out, merge_controls[mask]);
  const size_t ones = byte_ones(mask);
  *list1 += ones;
  if (*list0) *list0 += 8 - ones;
}

/* Returns the ones among n bits. */
KERNEL_INLINE size_t merge_any(uint8_t *out, const uint8_t *bitmap, size_t n, bytes16 constant, const uint8_t *list0,
                               const uint8_t *list1) {
  const uint8_t *const start = list1;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    KERNEL_UNROLL(8)
    for (size_t j = 0; j < 64; j += 8) merge_step(out + i + j, bitmap[(i + j) / 8], constant, &list0, &list1);
  }
  for (; i + 8 <= n; i += 8) merge_step(out + i, bitmap[i / 8], constant, &list0, &list1);
  if (i < n) merge_step(out + i, bitmap[i / 8] & ((1u << (n - i)) - 1), constant, &list0, &list1);
  return (size_t)(list1 - start);
}

static void merge_lists(uint8_t *out, const uint8_t *bitmap, size_t n, const uint8_t *list0, const uint8_t *list1) {
  merge_any(out, bitmap, n, pair_constant(0), list0, list1);
}

static size_t expand_list(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, const uint8_t *list) {
  return merge_any(out, bitmap, n, pair_constant(leaf0), NULL, list);
}

KERNEL_INLINE size_t store_filled(uint8_t *out, bytes64 v, mask64 mask, const uint8_t *list) {
  bytes16 part[4];
  const uint8_t *const start = list;
  KERNEL_UNROLL(4)
  for (int i = 0; i < 4; i++) {
    const size_t both = mask_16(mask, i), low = both & 255, high = both >> 8;
    const uint8_t *middle = list + byte_ones(low);
    part[i] = fill_16(list, middle, fill_controls[0][low], fill_controls[1][high]);
    list += both_ones(both);
  }
  bytes_store(out, bytes_or(v, bytes_join(part)));
  return (size_t)(list - start);
}
