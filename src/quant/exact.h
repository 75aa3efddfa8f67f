/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floats of 16 or 32 bits in two parts, from which they come back bit for bit, NaN, infinities, -0 and subnormals
 * included: a code of 8 bits, which an entropy code makes small, and the rest, which none does.
 *
 *   element   sign | 8 bits, the code | low bits        rest   sign | low bits
 *
 * The code of a BF16 or F32 element is its exponent; that of an F16 element its exponent of 5 bits and the highest 3 of
 * its fraction, which the coder may store raw. The rest has 8 bits of 16, 24 of 32; sign first, so that the low bits of
 * numbers that were widened from a shorter type are whole bytes of 0. Such bytes, where all elements of a matrix have
 * them, are left out.
 */
#ifndef ELLM_QUANT_EXACT_H
#define ELLM_QUANT_EXACT_H

#include "base/bytes.h"
#include "base/status.h"

/* How the rests of a matrix are stored. */
typedef struct exact_form {
  bool used;        /* false: the matrix is quantized, the rest is 0 */
  unsigned omitted; /* low bytes of each rest that are 0 and not stored */
  unsigned planes;  /* bytes of each rest that are stored: element size - 1 - omitted */
} exact_form;

enum { EXACT_MAX_PLANES = 3 };

/* `size` is that of an element in bytes, 2 or 4. */
static inline uint32_t exact_load(size_t size, const uint8_t *element) {
  return size == 2 ? load_u16(element) : load_u32(element);
}
static inline void exact_store(size_t size, uint32_t bits, uint8_t *element) {
  if (size == 2) store_u16(element, (uint16_t)bits);
  else store_u32(element, bits);
}
static inline uint8_t exact_code(size_t size, uint32_t bits) { return (uint8_t)(bits >> (8 * size - 9)); }
static inline uint32_t exact_rest(size_t size, uint32_t bits) {
  const unsigned low = (unsigned)(8 * size - 9);
  return bits >> (8 * size - 1) << low | (bits & ((UINT32_C(1) << low) - 1));
}
static inline uint32_t exact_bits(size_t size, uint8_t code, uint32_t rest) {
  const unsigned low = (unsigned)(8 * size - 9);
  return rest >> low << (8 * size - 1) | (uint32_t)code << low | (rest & ((UINT32_C(1) << low) - 1));
}

/* Codes from here on are those of NaN and infinity. */
static inline unsigned exact_not_finite(ellm_dtype dtype) { return dtype == ELLM_F16 ? 0xf8 : 0xff; }

#endif
