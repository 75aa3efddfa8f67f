/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols and raw bits of a block multiplied as they are, with AVX2: no codes are
 * put together in memory. The step is 8 tiles, so a panel must have a multiple of
 * them; other blocks go by way of codes.
 *
 * Uppers of at most 4 bits: vpmaddubsw adds two products in 16 bits, and those of
 * the step's 8 tiles still fit: 8 * 2 * 15 * 128 = 30720. One digit at a time, the
 * raw bits in a pass of their own; vpmaddwd with a power of two adds a step to the
 * 32-bit sums. Packed nibbles are such symbols too.
 * Wider uppers: codes are put together in registers and widened to 16 bits, even
 * and odd columns apart, for vpmaddwd with both digits at once.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/columns.h"

enum { STEP_TILES = 8, MAX_FUSED_RAW = 4, HALVES = 2, AHEAD = 1024 };

typedef struct fused {
  const uint8_t *symbols, *four, *two, *one; /* of the step at hand */
  size_t ahead; /* bytes from the symbols to those that are to be fetched; 0 where they are in a cache */
  size_t n_panels, tiles;
  columns x;
} fused;

typedef struct fused_sums { __m256i low[HALVES], high[HALVES]; } fused_sums; /* 8 rows each */

KERNEL_INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
KERNEL_INLINE __m256i byte_set(int value) { return _mm256_set1_epi8((char)value); }
KERNEL_INLINE __m256i four_bytes(const void *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm256_set1_epi32(four);
}

/* v, hidden from the compiler, which else makes the sums of a step at its end, from products that it has to store. */
KERNEL_INLINE __m256i keep(__m256i v) {
  __asm__("" : "+x"(v));
  return v;
}

/* Shift of bytes by k in -7..7, left positive; bits cross between bytes. */
KERNEL_INLINE __m256i shifted(__m256i v, int k) {
  if (k > 0) return _mm256_slli_epi16(v, k);
  if (k < 0) return _mm256_srli_epi16(v, -k);
  return v;
}

/* Fields of `width` bits of tile i of a step, 8 rows. */
KERNEL_INLINE __m256i field(const uint8_t *list, int i, int half, int width) {
  const int per_group = 8 / width;
  const __m256i group = load_32(list + 64 * (i / per_group) + 32 * half);
  return width == 8 ? group : _mm256_and_si256(shifted(group, -width * (i % per_group)), byte_set((1 << width) - 1));
}

/* Raw bits of tile i of a step. */
KERNEL_INLINE __m256i raw_field(const fused *f, int i, int half, unsigned raw_bits) {
  if (raw_bits == 4) return field(f->four, i, half, 4);
  if (raw_bits == 2) return field(f->two, i, half, 2);
  if (raw_bits == 1) return field(f->one, i, half, 1);
  return _mm256_or_si256(field(f->two, i, half, 2), shifted(field(f->one, i, half, 1), 2)); /* 3 */
}

enum { UPPERS = 0 }; /* else raw bits */

/* Uppers or raw bits of a step, at most 15, times `scale` and the digits. */
KERNEL_INLINE void add_narrow(const fused *f, fused_sums *s, columns x, unsigned tuple, unsigned raw_bits, int scale,
                              unsigned digits) {
  __m256i low[HALVES], high[HALVES];
#pragma GCC unroll 8
  for (int i = 0; i < STEP_TILES; i++) {
    const __m256i x_low = four_bytes(x.low + 4 * i);
    const __m256i x_high = digits == 2 ? four_bytes(x.high + 4 * i) : x_low;
#pragma GCC unroll 2
    for (int half = 0; half < HALVES; half++) {
      const __m256i value = raw_bits == UPPERS ? field(f->symbols, i, half, tuple == 2 ? 4 : 8)
                                               : raw_field(f, i, half, raw_bits);
      const __m256i product = _mm256_maddubs_epi16(value, x_low);
      low[half] = i == 0 ? product : keep(_mm256_add_epi16(low[half], product));
      if (digits == 2) {
        const __m256i product2 = _mm256_maddubs_epi16(value, x_high);
        high[half] = i == 0 ? product2 : keep(_mm256_add_epi16(high[half], product2));
      }
    }
  }
  const __m256i scales = _mm256_set1_epi16((short)scale);
  for (int half = 0; half < HALVES; half++) {
    s->low[half] = _mm256_add_epi32(s->low[half], _mm256_madd_epi16(low[half], scales));
    if (digits == 2) s->high[half] = _mm256_add_epi32(s->high[half], _mm256_madd_epi16(high[half], scales));
  }
}

/* Uppers of one tile of a pair, `up` bits up. */
KERNEL_INLINE __m256i second_or_first(__m256i pair, int second, int up) {
  return _mm256_and_si256(shifted(pair, up - 4 * second), byte_set(15 << up));
}

/* Codes of a step with both digits, to s->low. */
KERNEL_INLINE void add_wide(const fused *f, fused_sums *s, columns x, unsigned tuple, unsigned raw_bits) {
#pragma GCC unroll 8
  for (int i = 0; i < STEP_TILES; i++) {
    const __m256i x_even = four_bytes(x.wide + 4 * i), x_odd = four_bytes(x.wide + 4 * i + 2);
#pragma GCC unroll 2
    for (int half = 0; half < HALVES; half++) {
      __m256i code = tuple == 1 ? shifted(field(f->symbols, i, half, 8), (int)raw_bits)
                                : second_or_first(load_32(f->symbols + 64 * (i / 2) + 32 * half), i % 2, (int)raw_bits);
      if (raw_bits > 0) code = _mm256_or_si256(code, raw_field(f, i, half, raw_bits));
      const __m256i even = _mm256_and_si256(code, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(code, 8);
      const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(even, x_even), _mm256_madd_epi16(odd, x_odd));
      s->low[half] = keep(_mm256_add_epi32(s->low[half], sum));
    }
  }
}

KERNEL_INLINE void store_sums(int32_t *sums, const fused_sums *s, unsigned digits) {
  for (int half = 0; half < HALVES; half++) {
    __m256i sum = s->low[half];
    if (digits == 2) sum = _mm256_add_epi32(sum, _mm256_slli_epi32(s->high[half], 8));
    _mm256_storeu_si256((__m256i *)(void *)(sums + 8 * half), sum);
  }
}

/* digits == 0: wide. */
KERNEL_INLINE void dot_all(const fused *from, int32_t *sums, unsigned tuple, unsigned raw_bits, unsigned digits) {
  fused f = *from;
  for (size_t panel = 0; panel < f.n_panels; panel++) {
    columns x = f.x;
    for (size_t left = f.tiles; left > 0; sums += CODER_PANEL_ROWS) {
      size_t now = left < x.tiles_per_group ? left : x.tiles_per_group;
      left -= now;
      const __m256i zero = _mm256_setzero_si256();
      fused_sums s = {{zero, zero}, {zero, zero}};
      for (; now > 0; now -= STEP_TILES) {
        if (digits == 0) {
          add_wide(&f, &s, x, tuple, raw_bits);
        } else {
          add_narrow(&f, &s, x, tuple, UPPERS, 1 << raw_bits, digits);
          if (raw_bits > 0) add_narrow(&f, &s, x, tuple, raw_bits, 1, digits);
        }
        if (f.ahead > 0)
          for (size_t line = 0; line < 512 / tuple; line += 64) __builtin_prefetch(f.symbols + f.ahead + line);
        f.symbols += 512 / tuple;
        f.four += 256;
        f.two += 128;
        f.one += 64;
        x.low += 4 * STEP_TILES;
        x.wide += 4 * STEP_TILES;
        if (digits == 2) x.high += 4 * STEP_TILES;
      }
      store_sums(sums, &s, digits);
    }
  }
}

typedef void (*fused_fn)(const fused *f, int32_t *sums);
#define FUSED(tuple, raw, digits)                                                                                    \
  static void dot_##tuple##raw##digits(const fused *f, int32_t *sums) { dot_all(f, sums, tuple, raw, digits); }
#define FUSED_DIGITS(tuple, raw) FUSED(tuple, raw, 0) FUSED(tuple, raw, 1) FUSED(tuple, raw, 2)
#define FUSED_RAW(tuple)                                                                                             \
  FUSED_DIGITS(tuple, 0) FUSED_DIGITS(tuple, 1) FUSED_DIGITS(tuple, 2) FUSED_DIGITS(tuple, 3) FUSED_DIGITS(tuple, 4)
#define NAMES(tuple, raw) {dot_##tuple##raw##0, dot_##tuple##raw##1, dot_##tuple##raw##2}
#define NAMES_RAW(tuple) {NAMES(tuple, 0), NAMES(tuple, 1), NAMES(tuple, 2), NAMES(tuple, 3), NAMES(tuple, 4)}
FUSED_RAW(1)
FUSED_RAW(2)
static const fused_fn fused_functions[2][MAX_FUSED_RAW + 1][3] = {NAMES_RAW(1), NAMES_RAW(2)};

kernel_fused_result dot_fused_avx2(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                                   kernel_scratch *scratch, const kernel_activations *a, size_t token, int32_t *sums) {
  if (block->panel_rows != CODER_PANEL_ROWS || block->tiles % STEP_TILES != 0 || book->raw_bits > MAX_FUSED_RAW)
    return KERNEL_NOT_FUSED;
  fused f = {.n_panels = block->panels, .tiles = block->tiles, .x = columns_at(a, token, block->first_column)};
  unsigned tuple = book->tuple;
  if (book->kind == CODER_PLAIN) {
    if (book->bits != 4) return KERNEL_NOT_FUSED;
    if (bytes != coder_raw_list_bytes(4, (size_t)block->panels * block->tiles * CODER_TILE)) return KERNEL_FUSED_DAMAGED;
    f.symbols = f.four = f.two = f.one = data;
    f.ahead = AHEAD;
    tuple = 2;
  } else {
    uint32_t raw_offset[3];
    if (!decode_symbols_avx2(book, block, data, bytes, &scratch->coder, scratch->codes, raw_offset))
      return KERNEL_FUSED_DAMAGED;
    f.symbols = scratch->codes;
    f.four = data + raw_offset[0];
    f.two = data + raw_offset[1];
    f.one = data + raw_offset[2];
  }
  const bool wide = book->bits - book->raw_bits > 4 || (a->digits == 2 && book->raw_bits > 0);
  fused_functions[tuple - 1][book->raw_bits][wide ? 0 : a->digits](&f, sums);
  return KERNEL_FUSED_GOOD;
}
