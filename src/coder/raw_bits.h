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

#endif
