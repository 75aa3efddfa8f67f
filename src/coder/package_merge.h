/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths of code words. */
#ifndef ELLM_CODER_PACKAGE_MERGE_H
#define ELLM_CODER_PACKAGE_MERGE_H

#include <stddef.h>
#include <stdint.h>

/* Length-limited Huffman lengths by package-merge (Larmore and Hirschberg 1990):
 * counts[n] all > 0, n <= 257, 2^limit >= n. lengths[i] in 1..limit; n == 1 gives 0. */
void coder_package_merge(const uint64_t *counts, size_t n, unsigned limit, uint8_t *lengths);

#endif
