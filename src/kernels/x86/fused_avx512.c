/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels of fields (coder/levels.h) decoded and multiplied in one pass: the deeper
 * levels, few symbols, go to a list in the first-level cache; those of level 0 are
 * looked up, filled from that list and multiplied without leaving registers. One
 * function for each tuple, width of level 0, number of raw bits and digits. The
 * symbols of a Huffman tree are taken from memory, the rest is the same.
 *
 * The step is 8 tiles, 512 codes: whole groups of fields and of raw bits for every
 * width. So a panel must have a multiple of 8 tiles; other blocks are not fused.
 */
#include "coder/fields.h"
#include "coder/raw_bits.h"
#include "kernels/x86/fused_avx512.h"

enum { LISTED = 0 }; /* in place of the width of fields: symbols are in memory as they are */

typedef struct fused {
  const uint8_t *fields, *high;          /* level 0; high: third bits of 3-bit fields */
  const uint8_t *next;                   /* symbols of level 1 */
  raw_groups raw;
  const uint8_t *ahead;                  /* the bytes to fetch while this block is worked on */
  size_t ahead_step;                     /* of them, a step */
  __m512i table;                         /* symbols of level 0 */
  size_t n_panels, tiles;
  columns x;
  int32_t first;                         /* of fields, else 0: what the sums begin with, */
  const int32_t *sum;                    /* times these, of the activations of each group */
} fused;

/* The i-th 64 symbols of a step. */
KERNEL_INLINE __m512i step_symbols(fused *f, int i, unsigned width) {
  __m512i symbols;
  uint64_t mask;
  if (width == LISTED) return _mm512_loadu_si512(f->fields + 64 * i);
  if (width == 1) {
    mask = mask_load(f->fields + 8 * i);
    symbols = f->table;
  } else if (width == 4) {
    const __m512i group = group_load(f->fields + 64 * (i / 2));
    const __m512i field = _mm512_and_si512(shifted(group, -4 * (i % 2)), byte_set(15));
    mask = _mm512_cmpeq_epi8_mask(field, byte_set(15));
    symbols = _mm512_shuffle_epi8(f->table, field);
  } else {
    const __m512i group = group_load(f->fields + 64 * (i / 4));
    __m512i field = _mm512_and_si512(shifted(group, -2 * (i % 4)), byte_set(3));
    if (width == 3) field = _mm512_mask_add_epi8(field, mask_load(f->high + 8 * i), field, byte_set(4));
    mask = _mm512_cmpeq_epi8_mask(field, byte_set((1 << width) - 1));
    symbols = _mm512_shuffle_epi8(f->table, field);
  }
  symbols = _mm512_mask_expand_epi8(symbols, mask, group_load(f->next));
  f->next += _mm_popcnt_u64(mask);
  return symbols;
}

typedef struct fused_sums { __m512i low[2], high[2]; } fused_sums;

KERNEL_INLINE void add_tile(fused_sums *s, __m512i codes, columns x, int i, unsigned digits) {
  s->low[i % 2] = add_products(s->low[i % 2], codes, x.low + 4 * i);
  if (digits == 2) s->high[i % 2] = add_products(s->high[i % 2], codes, x.high + 4 * i);
}

KERNEL_INLINE void step(fused *f, fused_sums *s, columns x, unsigned tuple, unsigned width, unsigned raw_bits,
                        unsigned digits) {
  const unsigned packed = width == LISTED ? 8 : width == 3 ? 2 : width;
  const int vectors = tuple == 2 ? STEP_TILES / 2 : STEP_TILES;
  KERNEL_UNROLL(8)
  for (int i = 0; i < vectors; i++) {
    const __m512i symbols = step_symbols(f, i, width);
    if (tuple == 1) {
      add_tile(s, step_codes(&f->raw, symbols, 0, i, 1, raw_bits, 0), x, i, digits);
    } else {
      add_tile(s, step_codes(&f->raw, symbols, 0, 2 * i, 2, raw_bits, 0), x, 2 * i, digits);
      add_tile(s, step_codes(&f->raw, symbols, 4, 2 * i + 1, 2, raw_bits, second_scale(raw_bits)), x, 2 * i + 1,
               digits);
    }
  }
  f->fields += 64 * packed / tuple;
  if (width == 3) f->high += 64 / tuple;
  raw_step(&f->raw, raw_bits);
  for (size_t line = 0; line < f->ahead_step; line += 64) __builtin_prefetch(f->ahead + line, 0, 2);
  f->ahead += f->ahead_step;
}

/* All of a block; returns where the list of level 1 was left. */
KERNEL_INLINE const uint8_t *dot_all(const fused *from, int32_t *sums, unsigned tuple, unsigned width,
                                     unsigned raw_bits, unsigned digits) {
  fused f = *from;
  for (size_t panel = 0; panel < f.n_panels; panel++) {
    columns x = f.x;
    const int32_t *x_sum = f.sum;
    for (size_t left = f.tiles; left > 0;) {
      size_t now = left < x.tiles_per_group ? left : x.tiles_per_group;
      left -= now;
      const __m512i zero = _mm512_setzero_si512();
      fused_sums s = {{zero, zero}, {zero, zero}};
      if (f.first != 0) s.low[0] = _mm512_set1_epi32(f.first * *x_sum++);
      for (; now > 0; now -= STEP_TILES) {
        step(&f, &s, x, tuple, width, raw_bits, digits);
        x.low += 4 * STEP_TILES;
        if (digits == 2) x.high += 4 * STEP_TILES;
      }
      const unsigned scale = tuple == 2 ? (unsigned)second_scale(raw_bits) : 0;
      __m512i sum = _mm512_add_epi32(s.low[0], _mm512_srai_epi32(s.low[1], scale));
      if (digits == 2)
        sum = join_digits(sum, _mm512_add_epi32(s.high[0], _mm512_srai_epi32(s.high[1], scale)));
      _mm512_storeu_si512(sums, sum);
      sums += CODER_PANEL_ROWS;
    }
  }
  return f.next;
}

/* A function for each case, named by its constants: dot_1432 is tuple 1, width 4, 3 raw bits and 2 digits. */
#define FUSED(tuple, width, raw, digits)                                                                             \
  static const uint8_t *dot_##tuple##width##raw##digits(const fused *f, int32_t *sums) {                             \
    return dot_all(f, sums, tuple, width, raw, digits);                                                              \
  }
#define FUSED_DIGITS(tuple, width, raw) FUSED(tuple, width, raw, 1) FUSED(tuple, width, raw, 2)
#define FUSED_RAW(tuple, width)                                                                                      \
  FUSED_DIGITS(tuple, width, 0)                                                                                      \
  FUSED_DIGITS(tuple, width, 1)                                                                                      \
  FUSED_DIGITS(tuple, width, 2)                                                                                      \
  FUSED_DIGITS(tuple, width, 3)                                                                                      \
  FUSED_DIGITS(tuple, width, 4)
#define FUSED_WIDTHS(tuple) \
  FUSED_RAW(tuple, 0) FUSED_RAW(tuple, 1) FUSED_RAW(tuple, 2) FUSED_RAW(tuple, 3) FUSED_RAW(tuple, 4)
FUSED_WIDTHS(1)
FUSED_WIDTHS(2)

typedef const uint8_t *(*fused_fn)(const fused *f, int32_t *sums);
#define NAME_DIGITS(tuple, width, raw) {dot_##tuple##width##raw##1, dot_##tuple##width##raw##2}
#define NAME_RAW(tuple, width)                                                                                       \
  {NAME_DIGITS(tuple, width, 0), NAME_DIGITS(tuple, width, 1), NAME_DIGITS(tuple, width, 2),                         \
   NAME_DIGITS(tuple, width, 3), NAME_DIGITS(tuple, width, 4)}
#define NAME_WIDTHS(tuple)                                                                                           \
  {NAME_RAW(tuple, 0), NAME_RAW(tuple, 1), NAME_RAW(tuple, 2), NAME_RAW(tuple, 3), NAME_RAW(tuple, 4)}
static const fused_fn fused_functions[2][5][MAX_FUSED_RAW + 1][2] = {NAME_WIDTHS(1), NAME_WIDTHS(2)};

/* ------------------------------------------------------------ packed nibbles */

/* Bytes. What is asked for comes after about 100 ns; in that time a thread reads about so many (17 to 24 GB/s). */
enum { NIBBLES_AHEAD = 2048 };

/* Two tiles in 64 bytes; of the second one the codes are taken where they stand, 16 times as large. */
KERNEL_INLINE void add_nibbles(fused_sums *s, const uint8_t *data, columns x, size_t tile, unsigned digits) {
  const __m512i pair = group_load(data);
  const __m512i first = _mm512_and_si512(pair, byte_set(15)), second = _mm512_and_si512(pair, byte_set(0xf0));
  x.low += 4 * tile;
  if (digits == 2) x.high += 4 * tile;
  __builtin_prefetch(data + NIBBLES_AHEAD);
  add_tile(s, first, x, 0, digits);
  add_tile(s, second, x, 1, digits);
}

KERNEL_INLINE void dot_nibbles(const coder_block *block, const uint8_t *data, columns x, int32_t first,
                               const int32_t *group_sums, unsigned digits, int32_t *sums) {
  for (size_t panel = 0; panel < block->panels; panel++) {
    const int32_t *sum_of_x = group_sums;
    for (size_t tile = 0; tile < block->tiles;) {
      const size_t left = block->tiles - tile, end = left < x.tiles_per_group ? block->tiles : tile + x.tiles_per_group;
      const __m512i zero = _mm512_setzero_si512();
      fused_sums s[2] = {{{zero, zero}, {zero, zero}}, {{zero, zero}, {zero, zero}}};
      if (first != 0) s[0].low[0] = _mm512_set1_epi32(first * *sum_of_x++);
      for (; tile + 4 <= end; tile += 4, data += 128) {
        add_nibbles(&s[0], data, x, tile, digits);
        add_nibbles(&s[1], data + 64, x, tile + 2, digits);
      }
      if (tile < end) {
        add_nibbles(&s[0], data, x, tile, digits);
        tile += 2;
        data += 64;
      }
      __m512i sum = _mm512_add_epi32(_mm512_add_epi32(s[0].low[0], s[1].low[0]),
                                     _mm512_srai_epi32(_mm512_add_epi32(s[0].low[1], s[1].low[1]), 4));
      if (digits == 2)
        sum = join_digits(sum, _mm512_add_epi32(_mm512_add_epi32(s[0].high[0], s[1].high[0]),
                                                _mm512_srai_epi32(_mm512_add_epi32(s[0].high[1], s[1].high[1]), 4)));
      _mm512_storeu_si512(sums, sum);
      sums += CODER_PANEL_ROWS;
    }
  }
}

static kernel_fused_result dot_plain(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                     size_t bytes, const kernel_activations *a, size_t token, int32_t *sums) {
  if (book->bits != 4 || block->tiles % 2 != 0) return KERNEL_NOT_FUSED;
  if (bytes != coder_raw_list_bytes(4, (size_t)block->panels * block->tiles * CODER_TILE)) return KERNEL_FUSED_DAMAGED;
  const columns x = columns_at(a, token, block->first_column);
  if (x.high)
    dot_nibbles(block, data, x, 0, NULL, 2, sums);
  else
    dot_nibbles(block, data, x, 0, NULL, 1, sums);
  return KERNEL_FUSED_GOOD;
}

/* --------------------------------------------------------------------- fields */

/* Fields of 2 or 3 bits of a step's tile i. */
KERNEL_INLINE __m512i narrow_codes(const raw_groups *raw, int i, unsigned width) {
  const __m512i two = shifted(group_load(raw->two + 64 * (i / 4)), -2 * (i % 4));
  if (width == 2) return _mm512_and_si512(two, byte_set(3));
  const __m512i one = shifted(group_load(raw->one), 2 - i % 8);
  return _mm512_and_si512(choose_bits(byte_set(3), two, one), byte_set(7));
}

KERNEL_INLINE void dot_narrow(const fused *from, int32_t *sums, unsigned width, unsigned digits) {
  fused f = *from;
  for (size_t panel = 0; panel < f.n_panels; panel++) {
    columns x = f.x;
    const int32_t *x_sum = f.sum;
    for (size_t left = f.tiles; left > 0; sums += CODER_PANEL_ROWS) {
      size_t now = left < x.tiles_per_group ? left : x.tiles_per_group;
      left -= now;
      const __m512i zero = _mm512_setzero_si512();
      fused_sums s = {{zero, zero}, {zero, zero}};
      if (f.first != 0) s.low[0] = _mm512_set1_epi32(f.first * *x_sum++);
      for (; now > 0; now -= STEP_TILES) {
        KERNEL_UNROLL(8)
        for (int i = 0; i < STEP_TILES; i++) add_tile(&s, narrow_codes(&f.raw, i, width), x, i, digits);
        x.low += 4 * STEP_TILES;
        if (digits == 2) x.high += 4 * STEP_TILES;
        raw_step(&f.raw, width);
        for (size_t line = 0; line < f.ahead_step; line += 64) __builtin_prefetch(f.ahead + line, 0, 2);
        f.ahead += f.ahead_step;
      }
      __m512i sum = _mm512_add_epi32(s.low[0], s.low[1]);
      if (digits == 2) sum = join_digits(sum, _mm512_add_epi32(s.high[0], s.high[1]));
      _mm512_storeu_si512(sums, sum);
    }
  }
}

static void dot_narrow_21(const fused *f, int32_t *sums) { dot_narrow(f, sums, 2, 1); }
static void dot_narrow_22(const fused *f, int32_t *sums) { dot_narrow(f, sums, 2, 2); }
static void dot_narrow_31(const fused *f, int32_t *sums) { dot_narrow(f, sums, 3, 1); }
static void dot_narrow_32(const fused *f, int32_t *sums) { dot_narrow(f, sums, 3, 2); }

/* From 4 bits on they are pairs with raw bits as they lie. */
static kernel_fused_result dot_fields(fused *f, const coder_block *block, const coder_codebook *book,
                                      const uint8_t *data, size_t bytes, unsigned digits, int32_t *sums) {
  static void (*const narrow[2][2])(const fused *, int32_t *) = {{dot_narrow_21, dot_narrow_22},
                                                                 {dot_narrow_31, dot_narrow_32}};
  const size_t n_codes = f->n_panels * f->tiles * CODER_TILE;
  const unsigned width = book->raw_bits, raw = coder_field_raw_bits(width);
  uint32_t offset[3];
  if (bytes != coder_raw_bytes(width, n_codes)) return KERNEL_FUSED_DAMAGED;
  coder_raw_offsets(raw, n_codes, (uint32_t)coder_field_upper_bytes(width, n_codes), offset);
  f->first = book->first;
  f->fields = data;
  f->raw = raw_groups_at(data, offset);
  f->ahead = data + bytes;
  f->ahead_step = bytes / (n_codes / (STEP_TILES * CODER_TILE));
  if (width < 4)
    narrow[width - CODER_FIELDS_LEAST][digits - 1](f, sums);
  else if (width > 4)
    fused_functions[1][LISTED][raw][digits - 1](f, sums);
  else if (digits == 2)
    dot_nibbles(block, data, f->x, f->first, f->sum, 2, sums);
  else
    dot_nibbles(block, data, f->x, f->first, f->sum, 1, sums);
  return KERNEL_FUSED_GOOD;
}

/* ------------------------------------------------------------------ dispatch */

kernel_fused_result dot_fused_avx512(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                     size_t bytes, kernel_scratch *scratch, const kernel_activations *a, size_t token,
                                     int32_t *sums) {
  if (block->panel_rows != CODER_PANEL_ROWS) return KERNEL_NOT_FUSED;
  if (book->kind == CODER_PLAIN) return dot_plain(book, block, data, bytes, a, token, sums);
  if (block->tiles % STEP_TILES != 0) return KERNEL_NOT_FUSED;

  const size_t n_codes = (size_t)block->panels * block->tiles * CODER_TILE;
  fused f = {.n_panels = block->panels, .tiles = block->tiles, .x = columns_at(a, token, block->first_column),
             .ahead = data}; /* where nothing is fetched, 0 is added to it all the same */
  f.sum = group_sums_at(a, token, block);
  if (book->kind == CODER_FIELDS) return dot_fields(&f, block, book, data, bytes, a->digits, sums);
  if (book->raw_bits > MAX_FUSED_RAW) return KERNEL_NOT_FUSED;
  uint32_t raw_offset[3];
  if (book->kind == CODER_HUFFMAN) {
    if (!decode_symbols_avx512(book, block, data, bytes, &scratch->coder, scratch->codes, raw_offset))
      return KERNEL_FUSED_DAMAGED;
    f.fields = scratch->codes;
    f.raw = raw_groups_at(data, raw_offset);
    fused_functions[book->tuple - 1][LISTED][book->raw_bits][a->digits - 1](&f, sums);
    return KERNEL_FUSED_GOOD;
  }
  levels_parts parts;
  uint8_t *next = scratch->coder.list[1];
  if (!levels_locate(book, block, data, bytes, &parts)) return KERNEL_FUSED_DAMAGED;
  if (!decode_levels_avx512(book, data, &parts, &scratch->coder, 0, 1, next)) return KERNEL_FUSED_DAMAGED;

  const unsigned width = book->width[0];
  coder_raw_offsets(book->raw_bits, n_codes, parts.raw_offset, raw_offset);
  uint8_t symbols[16] = {0}; /* the escape's place stays 0 */
  memcpy(symbols, book->table, (1u << width) - 1);
  f.fields = data + parts.level_offset[0];
  f.high = f.fields + field_list_bytes(parts.n_symbols, 2);
  f.next = next;
  f.raw = raw_groups_at(data, raw_offset);
  f.ahead = data + 2 * bytes;
  f.ahead_step = bytes / (n_codes / (STEP_TILES * CODER_TILE)) + 1;
  f.table = width == 1 ? byte_set(symbols[0])
                       : _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)symbols));
  const uint8_t *end = fused_functions[book->tuple - 1][width][book->raw_bits][a->digits - 1](&f, sums);
  return (size_t)(end - next) == parts.level_count[1] ? KERNEL_FUSED_GOOD : KERNEL_FUSED_DAMAGED;
}
