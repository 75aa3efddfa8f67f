/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and places of the lists that hold low bits of codes as they are (docs/format/blocks.md, "Raw bits"). */
#include "coder/raw_bits.h"

size_t coder_raw_list_bytes(unsigned width, size_t n_codes) {
  const size_t per_group = 512 / width;
  return (n_codes + per_group - 1) / per_group * 64;
}

size_t coder_raw_bytes(unsigned raw_bits, size_t n_codes) {
  size_t bytes = 0;
  for (unsigned width = 4; width > 0; width /= 2) {
    if ((raw_bits & width) != 0) bytes += coder_raw_list_bytes(width, n_codes);
  }
  return bytes;
}

void coder_raw_offsets(unsigned raw_bits, size_t n_codes, uint32_t first, uint32_t offsets[3]) {
  for (unsigned i = 0; i < 3; i++) {
    offsets[i] = first;
    if ((raw_bits & (4u >> i)) != 0) first += (uint32_t)coder_raw_list_bytes(4u >> i, n_codes);
  }
}

size_t coder_plain_bytes(unsigned bits, size_t n_codes) {
  return bits <= 4 ? coder_raw_list_bytes(4, n_codes) : n_codes;
}
