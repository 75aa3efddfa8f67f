/* SPDX-License-Identifier: Apache-2.0 */
/* What the fused kernels of AVX-512 share: codes made of symbols and raw bits in registers, in steps of 8 tiles. */
#ifndef ELLM_KERNELS_FUSED_AVX512_H
#define ELLM_KERNELS_FUSED_AVX512_H

#include "kernels/x86/vnni.h"

enum { STEP_TILES = 8, MAX_FUSED_RAW = 4 };

/* Raw bits of the current step: lists of 4, 2 and 1 bits. */
typedef struct raw_groups { const uint8_t *four, *two, *one; } raw_groups;

KERNEL_INLINE raw_groups raw_groups_at(const uint8_t *data, const uint32_t raw_offset[3]) {
  return (raw_groups){data + raw_offset[0], data + raw_offset[1], data + raw_offset[2]};
}

KERNEL_INLINE void raw_step(raw_groups *raw, unsigned raw_bits) {
  if (raw_bits & 4) raw->four += 256;
  if (raw_bits & 2) raw->two += 128;
  if (raw_bits & 1) raw->one += 64;
}

KERNEL_INLINE __m512i group_load(const uint8_t *p) { return vector_keep(_mm512_loadu_si512(p)); }

KERNEL_INLINE uint64_t mask_load(const uint8_t *bitmap) {
  uint64_t mask;
  memcpy(&mask, bitmap, sizeof mask);
  return mask;
}

/* Shift of bytes by k in -7..7, left positive; bits cross between bytes. */
KERNEL_INLINE __m512i shifted(__m512i v, int k) {
  if (k > 0) return _mm512_slli_epi16(v, (unsigned)k);
  if (k < 0) return _mm512_srli_epi16(v, (unsigned)-k);
  return v;
}

/* mask ? a : b, bit by bit. */
KERNEL_INLINE __m512i choose_bits(__m512i mask, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi64(mask, a, b, 0xca);
}

KERNEL_INLINE __m512i byte_set(int value) { return _mm512_set1_epi8((char)value); }

/*
 * How far the codes of a pair's second tile are above their place. A symbol of a pair is a byte: the first tile's
 * upper in bits 0 to 3, the second's in bits 4 to 7. A code is upper * 2^raw + raw bits. For the first tile the upper is
 * shifted up by `raw`, which must be done for all 64 lanes, masked and joined with the raw bits. The second tile's upper
 * already stands 4 bits up: shifting it down by 4 - raw would cost a shift more, so it stays, the code comes out times
 * 2^(4 - raw), the raw bits are put that much higher, and the sums of second tiles are shifted down once, after all
 * tiles: exactly, as every term is a multiple of 2^(4 - raw). With raw = 4 nothing is left to shift. The code times
 * 2^(4 - raw) is below 2^8, as upper * 2^raw is below 2^(4 + raw).
 */
KERNEL_INLINE int second_scale(unsigned raw_bits) { return 4 - (int)raw_bits; }

/* Codes of tile i of a step times 2^scale: the bits of `symbols` from `from` on as uppers, raw bits below. */
KERNEL_INLINE __m512i step_codes(const raw_groups *raw, __m512i symbols, int from, int i, unsigned tuple,
                                 unsigned raw_bits, int scale) {
  const int up = (int)raw_bits + scale - from;
  __m512i codes = shifted(symbols, up);
  if (tuple == 2 && raw_bits < 4) codes = _mm512_and_si512(codes, byte_set(15 << (raw_bits + (unsigned)scale)));
  int place = scale;
  if (raw_bits & 4) { /* all other bits are uppers */
    const __m512i four = shifted(group_load(raw->four + 64 * (i / 2)), -4 * (i % 2));
    codes = choose_bits(byte_set(15), four, codes);
    place = 4;
  }
  if (raw_bits & 2) {
    const __m512i two = shifted(group_load(raw->two + 64 * (i / 4)), place - 2 * (i % 4));
    codes = choose_bits(byte_set(3 << place), two, codes);
    place += 2;
  }
  if (raw_bits & 1)
    codes = choose_bits(byte_set(1 << place), shifted(group_load(raw->one), place - i % 8), codes);
  return codes;
}

#endif
