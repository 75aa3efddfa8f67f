/* SPDX-License-Identifier: Apache-2.0 */
/* The set of pairs of symbols that some merge may bring together: one bit for each hash of a pair. Two pairs may share
 * a bit; then a part is longer than it needs to be, and the result is the same. 2^19 bits are 64 KiB: they fit L2. */
#ifndef ELLM_TEXT_BPE_JOINS_H
#define ELLM_TEXT_BPE_JOINS_H

#include <stdbool.h>
#include <stdint.h>

enum { JOINS_BITS = 19 };

static inline uint32_t joins_hash(uint32_t left, uint32_t right) {
  uint64_t key = (uint64_t)left << 32 | right;
  return (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - JOINS_BITS));
}
static inline bool joins_test(const uint64_t *joins, uint32_t left, uint32_t right) {
  uint32_t bit = joins_hash(left, right);
  return joins[bit >> 6] >> (bit & 63) & 1;
}
static inline void joins_set(uint64_t *joins, uint32_t left, uint32_t right) {
  uint32_t bit = joins_hash(left, right);
  joins[bit >> 6] |= UINT64_C(1) << (bit & 63);
}

#endif
