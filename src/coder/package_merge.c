/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Length-limited Huffman lengths by package-merge (Larmore and Hirschberg, "A fast algorithm for optimal length-limited
 * Huffman codes", JACM 37, 1990).
 *
 * Think of a coin collector: each leaf offers one coin per bit of its length, of values 2^-1, 2^-2, ... 2^-limit, at
 * the price of its count. A complete code buys coins of the total value n - 1 for the least price. The smallest coins
 * are joined to pairs ("packages") of the next value, these are merged by price with the coins of that value, and so
 * on; of the last list the 2 n - 2 cheapest items are taken. A leaf's length is the number of its coins among them.
 * Which items are packages is all that must be remembered: the second loop follows them down.
 */
#include "coder/package_merge.h"

#include <stdlib.h>

#include "coder/codebook.h"

enum { MAX_ITEMS = 2 * CODER_MAX_LEAVES };

typedef struct counted { uint64_t count; uint16_t index; } counted;

static int by_count(const void *a, const void *b) {
  const counted *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

void coder_package_merge(const uint64_t *counts, size_t n, unsigned limit, uint8_t *lengths) {
  counted leaves[CODER_MAX_LEAVES];
  for (size_t i = 0; i < n; i++) {
    leaves[i] = (counted){counts[i], (uint16_t)i};
    lengths[i] = 0;
  }
  if (n < 2) return;
  qsort(leaves, n, sizeof *leaves, by_count);
  /* is_leaf[level][i]: whether item i of the level's list, by rising weight, is a leaf or a package of two items of the
   * level below */
  bool is_leaf[CODER_MAX_LENGTH][MAX_ITEMS];
  uint64_t weights[MAX_ITEMS], packages[MAX_ITEMS];
  size_t n_packages = 0;
  for (unsigned level = 0; level < limit; level++) {
    size_t leaf = 0, package = 0, items = 0;
    while (leaf < n || package < n_packages) {
      const bool take = package == n_packages || (leaf < n && leaves[leaf].count <= packages[package]);
      is_leaf[level][items] = take;
      weights[items++] = take ? leaves[leaf++].count : packages[package++];
    }
    n_packages = items / 2;
    for (size_t i = 0; i < n_packages; i++) packages[i] = weights[2 * i] + weights[2 * i + 1];
  }
  size_t taken = 2 * n - 2;
  for (unsigned level = limit; level-- > 0;) {
    size_t n_leaves = 0;
    for (size_t i = 0; i < taken; i++) n_leaves += is_leaf[level][i];
    for (size_t i = 0; i < n_leaves; i++) lengths[leaves[i].index]++;
    taken = 2 * (taken - n_leaves);
  }
}
