/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of codes and of pairs of uppers over the blocks of a tensor. */
#ifndef ELLM_CODER_STATISTICS_H
#define ELLM_CODER_STATISTICS_H

#include "coder/geometry.h"

/* What the choice of a code book is made from: counts over one tensor; zero-initialize. */
typedef struct coder_statistics {
  uint64_t codes[256];        /* single codes, without padding rows and columns */
  uint64_t pairs[256];        /* symbols of tuple 2 at the fewest raw bits that allow it, max(0, bits - 4) */
  uint64_t singles[256];      /* uppers of tiles without a partner, at the same raw bits */
} coder_statistics;

/* counts[q] += occurrences of q. */
void coder_count_codes(const uint8_t *codes, size_t n, uint64_t counts[256]);
/* The lowest of the most frequent codes, which pads rows and columns. */
uint8_t coder_pad(const uint64_t counts[256]);
/* Add the pairs of one block's codes (tile order, padded): pairs and singles. Only with CODER_PANEL_ROWS rows a panel;
 * lower panels have no pairs, and nothing is added. */
void coder_statistics_add_pairs(coder_statistics *stats, const coder_block *block, int bits, const uint8_t *codes);
void coder_statistics_merge(coder_statistics *into, const coder_statistics *from);

/* Entropy of counts[n], and the length of an optimal Huffman code for them, a code word a symbol and as long as it need
 * be (n <= 256), in bits in total. A single symbol takes a bit each with the second. */
double coder_entropy_bits(const uint64_t *counts, size_t n);
uint64_t coder_huffman_bits(const uint64_t *counts, size_t n);

#endif
