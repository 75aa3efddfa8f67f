/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of codes and of pairs of uppers over the blocks of a tensor, and what they tell. */
#include "coder/statistics.h"

#include <string.h>

#include "base/exact_math.h"

void coder_count_codes(const uint8_t *codes, size_t n, uint64_t counts[256]) {
  uint64_t table[4][256]; /* four, so that runs of one value do not wait for each other */
  memset(table, 0, sizeof table);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    table[0][codes[i]]++;
    table[1][codes[i + 1]]++;
    table[2][codes[i + 2]]++;
    table[3][codes[i + 3]]++;
  }
  for (; i < n; i++) table[0][codes[i]]++;
  for (unsigned q = 0; q < 256; q++) counts[q] += table[0][q] + table[1][q] + table[2][q] + table[3][q];
}

uint8_t coder_pad(const uint64_t counts[256]) {
  unsigned most = 0;
  for (unsigned q = 1; q < 256; q++) {
    if (counts[q] > counts[most]) most = q;
  }
  return (uint8_t)most;
}

static unsigned min_pair_raw(int bits) { return bits > 4 ? (unsigned)bits - 4 : 0; }

void coder_statistics_add_pairs(coder_statistics *stats, const coder_block *block, int bits, const uint8_t *codes) {
  uint8_t pairs[CODER_MAX_CODES / 2 + CODER_TILE];
  const unsigned raw = min_pair_raw(bits);
  size_t n = 0;
  if (block->panel_rows != CODER_PANEL_ROWS) return;
  for (uint32_t panel = 0; panel < block->panels; panel++) {
    const uint8_t *tile = codes + (size_t)panel * block->tiles * CODER_TILE;
    for (uint32_t t = 0; t + 1 < block->tiles; t += 2, tile += 2 * CODER_TILE, n += CODER_TILE) {
      for (unsigned i = 0; i < CODER_TILE; i++)
        pairs[n + i] = (uint8_t)(tile[i] >> raw | tile[i + CODER_TILE] >> raw << 4);
    }
    if (block->tiles & 1) { /* a single tile: counted apart, its partner is the pad */
      for (unsigned i = 0; i < CODER_TILE; i++) stats->singles[tile[i] >> raw]++;
    }
  }
  coder_count_codes(pairs, n, stats->pairs);
}

void coder_statistics_merge(coder_statistics *into, const coder_statistics *from) {
  for (unsigned s = 0; s < 256; s++) {
    into->codes[s] += from->codes[s];
    into->pairs[s] += from->pairs[s];
    into->singles[s] += from->singles[s];
  }
}

double coder_entropy_bits(const uint64_t *counts, size_t n) {
  double total = 0, nats = 0;
  for (size_t i = 0; i < n; i++) total += (double)counts[i];
  for (size_t i = 0; i < n; i++) {
    if (counts[i] != 0) nats += (double)counts[i] * exact_log(total / (double)counts[i]);
  }
  return nats / 0.69314718055994530942;
}

uint64_t coder_huffman_bits(const uint64_t *counts, size_t n) {
  /* two queues: the leaves by rising count, and the sums, which come out rising */
  uint64_t leaves[256], sums[256], total = 0;
  size_t n_leaves = 0, n_sums = 0, leaf = 0, sum = 0;
  for (size_t i = 0; i < n && i < 256; i++) {
    if (counts[i] == 0) continue;
    size_t at = n_leaves++;
    for (; at > 0 && leaves[at - 1] > counts[i]; at--) leaves[at] = leaves[at - 1];
    leaves[at] = counts[i];
  }
  if (n_leaves == 1) return leaves[0];
  while (n_leaves - leaf + n_sums - sum > 1) {
    uint64_t pair = 0;
    for (int k = 0; k < 2; k++) {
      pair += sum == n_sums || (leaf < n_leaves && leaves[leaf] <= sums[sum]) ? leaves[leaf++] : sums[sum++];
    }
    sums[n_sums++] = pair;
    total += pair;
  }
  return total;
}
