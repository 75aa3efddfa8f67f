/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of a block that hold low bits of codes as they are. */
#ifndef ELLM_CODER_RAW_BITS_H
#define ELLM_CODER_RAW_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a list of raw bits, and of all lists of a block; where the 4-, 2- and
 * 1-bit lists begin when the first begins at `first`. */
size_t coder_raw_list_bytes(unsigned width, size_t n_codes);
size_t coder_raw_bytes(unsigned raw_bits, size_t n_codes);
size_t coder_plain_bytes(unsigned bits, size_t n_codes); /* of a CODER_PLAIN block */
void coder_raw_offsets(unsigned raw_bits, size_t n_codes, uint32_t first, uint32_t offsets[3]);

/* Fields of CODER_FIELDS: from 4 bits on the upper 4 of all fields are a list, which lies like pairs of symbols, and the
 * rest raw bits behind it; narrower fields are raw bits alone. All lists together take coder_raw_bytes. */
static inline unsigned coder_field_raw_bits(unsigned width) { return width < 4 ? width : width - 4; }
static inline size_t coder_field_upper_bytes(unsigned width, size_t n_codes) {
  return width < 4 ? 0 : coder_raw_list_bytes(4, n_codes);
}

#endif
