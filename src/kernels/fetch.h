/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching of blocks that are multiplied later, while the present one is. Needs nothing else. */
#ifndef ELLM_KERNELS_FETCH_H
#define ELLM_KERNELS_FETCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * Memory answers after 100 to 150 ns, in which a thread takes 1 to 3 kB. More is better where the second-level cache
 * has megabytes and much lies between it and memory (Emerald Rapids: fields of 4 bits with AVX2 15.0 G weights a second
 * at 1 kB, 20.0 at 4 kB, 21.4 at 8 kB, no more beyond), and blocks have at most 64 kB.
 */
enum { FETCH_LEAST = 12288 };

/* How far ahead of what a block's kernel reads it fetches. Whole blocks: those of a matrix are of one size, nearly, and
 * lie one behind the other; so each place is fetched once, when the same place of an earlier block is read. */
static inline size_t fetch_distance(size_t block_bytes) {
  return block_bytes == 0 ? 0 : (FETCH_LEAST + block_bytes - 1) / block_bytes * block_bytes;
}

/* The lines of n bytes, into the second-level cache: the few miss buffers of the first one are a limit of their own. */
static inline void fetch_lines(const uint8_t *p, size_t n) {
  for (size_t line = 0; line < n; line += 64) __builtin_prefetch(p + line, 0, 2);
}

#endif
