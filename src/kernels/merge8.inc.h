/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging of lists where the set has a shuffle of 16 bytes (pshufb, tbl) and no
 * expand: 8 symbols a step, the control from a table by mask byte. A set
 * supplies `bytes16` and
 *   pair_load(list0, list1)     8 bytes of each
 *   pair_constant(leaf0)        a constant in place of the first 8
 *   pair_with(constant, list1)  and 8 of a list beside it
 *   pair_shuffle(pair, out, control)  8 shuffled bytes to out
 *   ones_to(mask)               byte j: ones among the mask's bytes 0..j
 */
#include <string.h>

#include "kernels/merge_table.h"

KERNEL_INLINE uint64_t mask_load(const uint8_t *bitmap, size_t symbol) {
  uint64_t mask;
  memcpy(&mask, bitmap + symbol / 8, sizeof mask);
  return mask;
}

/* 64 symbols, or the `steps` * 8 of a node's end. list0 == NULL: the constant instead. */
KERNEL_INLINE unsigned merge_64(uint8_t *out, uint64_t mask, int steps, bytes16 constant, const uint8_t *list0,
                                const uint8_t *list1) {
  const uint64_t ones = ones_to(mask);
  unsigned before = 0;
#pragma GCC unroll 8
  for (int step = 0; step < steps; step++) {
    const bytes16 pair =
        list0 ? pair_load(list0 + 8 * step - before, list1 + before) : pair_with(constant, list1 + before);
    pair_shuffle(pair, out + 8 * step, merge_controls[mask >> 8 * step & 255]);
    before = (unsigned)(ones >> 8 * step & 255);
  }
  return before;
}

static void merge_lists(uint8_t *out, const uint8_t *bitmap, size_t n, const uint8_t *list0, const uint8_t *list1) {
  const bytes16 unused = pair_constant(0);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const unsigned ones = merge_64(out + i, mask_load(bitmap, i), 8, unused, list0, list1);
    list0 += 64 - ones;
    list1 += ones;
  }
  if (i < n) merge_64(out + i, mask_load(bitmap, i), (int)((n - i + 7) / 8), unused, list0, list1);
}

static void expand_list(uint8_t *out, const uint8_t *bitmap, size_t n, uint8_t leaf0, const uint8_t *list) {
  const bytes16 constant = pair_constant(leaf0);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) list += merge_64(out + i, mask_load(bitmap, i), 8, constant, NULL, list);
  if (i < n) merge_64(out + i, mask_load(bitmap, i), (int)((n - i + 7) / 8), constant, NULL, list);
}
