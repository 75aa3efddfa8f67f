/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiplies symbols and raw bits of a block directly, without writing codes to memory, for instruction sets whose
 * vectors hold a part of a tile. A set's fused_*.c defines what follows and includes this file, which defines
 * dot_fused_<KERNEL_NAME>.
 *
 * A step is 8 tiles, which are whole groups of raw bits. So a panel must have a multiple of 8 tiles; other blocks are
 * decoded to codes first. Packed nibbles are pairs of codes.
 *
 * There are three ways to multiply, because sums of products are kept in 16 bits as long as possible: twice as many fit
 * into a vector as with 32 bits. A product instruction adds two products of a code and a digit, a digit is at most 128
 * in size, and 16 bits hold at most 32,767. So a tile adds at most 2 * code * 128.
 *
 * - Narrow: uppers and raw bits have at most 4 bits each and are multiplied in separate passes, one digit at a time.
 *   The eight tiles of a step fit: 8 * 2 * 15 * 128 = 30,720.
 * - Medium: codes of 5 to 7 bits are put together in registers. Then 16 bits hold fewer tiles: four with codes up to 31
 *   (31,744), two up to 63 (32,256), one up to 127 (32,512), and not one more.
 * - Wide: codes of 8 bits, with both digits at once, in 32 bits.
 *
 * Fields of 4 bits and more (CODER_FIELDS) have the layout of pairs with raw bits. Narrower ones are only raw bits:
 * `tuple` is 0. A code is its field plus `first`; so the sums begin with `first` times the sum of the activations.
 *
 * A set supplies `part`, PART_ROWS rows of a tile, and
 *   KERNEL_NAME, KERNEL_SYMBOLS
 *   part_load, part_set, part_and, part_or
 *   part_shift(v, k)                     bytes by k in -7..7, left positive; bits may cross
 *   narrow_sums, narrow_add(sums, values, digits, first)   products with four digits; first: sums hold nothing yet
 *   row_sums, row_sums_zero()            32 bits
 *   row_sums_set(value)                  each row
 *   row_sums_add(rows, sums, up)         narrow sums, shifted `up`
 *   row_sums_wide(rows, codes, wide)     codes times columns 0 and 2, 1 and 3
 *   row_sums_store(p, low, high)         PART_ROWS sums, low + 256 * high
 *
 * A set whose narrow sums have 32 bits defines FUSED_NARROW_HOLDS_ALL and needs no row_sums_wide: all codes use the
 * medium way.
 *
 * A set that defines FUSED_TOKENS also gets multiply_fused_<KERNEL_NAME>: codes are put together in registers and
 * multiplied by up to FUSED_TOKENS tokens at once. If there are more tokens, the first pass also writes the codes to
 * memory, and the other tokens use these. With one digit and at least FUSED_LEAST_ONE_DIGIT tokens, all tokens use the
 * codes. For that the set supplies
 *   part_store(p, v)
 *   wide_codes, wide_split(part)         codes of columns 0 and 2, 1 and 3
 *   wide_digits, wide_load(p)            columns 0 and 2, 1 and 3 of kernel_activations.wide
 *   row_sums_add_wide(rows, codes, digits)
 */
#include <string.h>

#include "coder/raw_bits.h"
#include "kernels/columns.h"
#include "kernels/fetch.h"
#include "kernels/patches.h"

enum { STEP_TILES = 8, MAX_FUSED_RAW = 4, PARTS = CODER_PANEL_ROWS / PART_ROWS, PART_BYTES = CODER_TILE / PARTS };
enum { NARROW = 0, WIDE = 8 }; /* or the tiles whose products 16 bits hold */

typedef struct fused {
  const uint8_t *symbols, *four, *two, *one; /* of the current step */
  size_t ahead;     /* from the symbols to those that are to be fetched; 0 where they are in a cache */
  size_t raw_ahead; /* from raw bits to those that are to be fetched */
  size_t n_panels, tiles;
  columns x;
  int32_t first;      /* of fields, else 0 */
  const int32_t *sum; /* of the activations of each group */
} fused;

typedef struct fused_sums { row_sums low[PARTS], high[PARTS]; } fused_sums;

/* Fields of `width` bits for part `at` of tile i of a step. One group of 64 bytes holds 8 / width tiles, each at a bit
 * position of its own (put_lanes of coder/encode.c): a shift and a mask take one tile out. */
KERNEL_INLINE part field(const uint8_t *list, int i, int at, int width) {
  const int per_group = 8 / width;
  const part group = part_load(list + 64 * (i / per_group) + PART_BYTES * at);
  return width == 8 ? group : part_and(part_shift(group, -width * (i % per_group)), part_set((1 << width) - 1));
}

KERNEL_INLINE part raw_field(const fused *f, int i, int at, int raw_bits) {
  if (raw_bits == 4) return field(f->four, i, at, 4);
  if (raw_bits == 2) return field(f->two, i, at, 2);
  if (raw_bits == 1) return field(f->one, i, at, 1);
  return part_or(field(f->two, i, at, 2), part_shift(field(f->one, i, at, 1), 2)); /* 3 */
}

/* Adds one half of the codes of a step to the sums: the uppers (raw_bits == 0) or the raw bits, both at most 15. The
 * uppers count 2^up; since sums are linear, shifting their sum once is enough. */
KERNEL_INLINE void add_narrow(const fused *f, fused_sums *s, columns x, int tuple, int raw_bits, int up, int digits) {
  narrow_sums low[PARTS], high[PARTS];
  KERNEL_UNROLL(8)
  for (int i = 0; i < STEP_TILES; i++)
    KERNEL_UNROLL(4)
    for (int at = 0; at < PARTS; at++) {
      const part values = raw_bits == 0 ? field(f->symbols, i, at, tuple == 2 ? 4 : 8) : raw_field(f, i, at, raw_bits);
      narrow_add(&low[at], values, x.low + 4 * i, i == 0);
      if (digits == 2) narrow_add(&high[at], values, x.high + 4 * i, i == 0);
    }
  KERNEL_UNROLL(4)
  for (int at = 0; at < PARTS; at++) {
    row_sums_add(&s->low[at], low[at], up);
    if (digits == 2) row_sums_add(&s->high[at], high[at], up);
  }
}

/* Codes of part of tile i of a step. */
KERNEL_INLINE part codes_of(const fused *f, int i, int at, int tuple, int raw_bits) {
  part codes;
  if (tuple == 1)
    codes = part_shift(field(f->symbols, i, at, 8), raw_bits);
  else
    codes = part_and(part_shift(part_load(f->symbols + 64 * (i / 2) + PART_BYTES * at), raw_bits - 4 * (i % 2)),
                     part_set(15 << raw_bits));
  return raw_bits == 0 ? codes : part_or(codes, raw_field(f, i, at, raw_bits));
}

KERNEL_INLINE void add_medium(const fused *f, fused_sums *s, columns x, int tuple, int raw_bits, int way, int digits) {
  narrow_sums low[PARTS], high[PARTS];
  KERNEL_UNROLL(8)
  for (int i = 0; i < STEP_TILES; i++)
    KERNEL_UNROLL(4)
    for (int at = 0; at < PARTS; at++) {
      const part codes = codes_of(f, i, at, tuple, raw_bits);
      narrow_add(&low[at], codes, x.low + 4 * i, i % way == 0);
      if (digits == 2) narrow_add(&high[at], codes, x.high + 4 * i, i % way == 0);
      if ((i + 1) % way != 0) continue;
      row_sums_add(&s->low[at], low[at], 0);
      if (digits == 2) row_sums_add(&s->high[at], high[at], 0);
    }
}

#if defined(FUSED_NARROW_HOLDS_ALL)
KERNEL_INLINE void add_wide(const fused *f, fused_sums *s, columns x, int tuple, int raw_bits) {
  add_medium(f, s, x, tuple, raw_bits, STEP_TILES, 2);
}
#else
KERNEL_INLINE void add_wide(const fused *f, fused_sums *s, columns x, int tuple, int raw_bits) {
  KERNEL_UNROLL(8)
  for (int i = 0; i < STEP_TILES; i++)
    KERNEL_UNROLL(4)
    for (int at = 0; at < PARTS; at++) row_sums_wide(&s->low[at], codes_of(f, i, at, tuple, raw_bits), x.wide + 4 * i);
}
#endif

/* To the next step, fetching what lies as far ahead. */
KERNEL_INLINE void next_step(fused *f, int tuple, int raw_bits) {
  const int bytes = tuple == 0 ? 0 : 512 / tuple;
  if (f->ahead > 0)
    fetch_lines(f->symbols + f->ahead, (size_t)bytes);
  f->symbols += bytes;
  if (raw_bits & 4) fetch_lines(f->four + f->raw_ahead, 256);
  if (raw_bits & 2) fetch_lines(f->two + f->raw_ahead, 128);
  if (raw_bits & 1) fetch_lines(f->one + f->raw_ahead, 64);
  f->four += 256;
  f->two += 128;
  f->one += 64;
}

KERNEL_INLINE void step(fused *f, fused_sums *s, columns x, int tuple, int raw_bits, int way, int digits) {
  if (way == WIDE) {
    add_wide(f, s, x, tuple, raw_bits);
  } else if (way == NARROW) {
    if (tuple > 0) add_narrow(f, s, x, tuple, 0, raw_bits, digits);
    if (raw_bits > 0) add_narrow(f, s, x, tuple, raw_bits, 0, digits);
  } else {
    add_medium(f, s, x, tuple, raw_bits, way, digits);
  }
  next_step(f, tuple, raw_bits);
}

KERNEL_INLINE void dot_all(const fused *from, int32_t *sums, int tuple, int raw_bits, int way,
                           int digits) {
  fused f = *from;
  for (size_t panel = 0; panel < f.n_panels; panel++) {
    columns x = f.x;
    const int32_t *sum = f.sum;
    for (size_t left = f.tiles; left > 0; sums += CODER_PANEL_ROWS) {
      size_t now = left < x.tiles_per_group ? left : x.tiles_per_group;
      left -= now;
      fused_sums s;
      for (int at = 0; at < PARTS; at++) s.low[at] = s.high[at] = row_sums_zero();
      if (f.first != 0) {
        const row_sums start = row_sums_set(f.first * *sum++);
        for (int at = 0; at < PARTS; at++) s.low[at] = start;
      }
      for (; now > 0; now -= STEP_TILES) {
        step(&f, &s, x, tuple, raw_bits, way, digits);
        x.low += 4 * STEP_TILES;
        x.wide += 4 * STEP_TILES;
        if (digits == 2 && x.high != NULL) x.high += 4 * STEP_TILES; /* the wide way does one digit as two */
      }
      for (int at = 0; at < PARTS; at++) row_sums_store(sums + PART_ROWS * at, s.low[at], s.high[at]);
    }
  }
}

typedef void (*fused_fn)(const fused *f, int32_t *sums);
/* A function for each case, named by its constants: dot_1042 is dot_all of tuple 1, 0 raw bits, way 4 and 2 digits. */
#define FUSED(tuple, raw, way, digits)                                                                               \
  static void dot_##tuple##raw##way##digits(const fused *f, int32_t *sums) {                                         \
    dot_all(f, sums, tuple, raw, way, digits);                                                                       \
  }
#define FUSED_DIGITS(tuple, raw, way) FUSED(tuple, raw, way, 1) FUSED(tuple, raw, way, 2)
#define FUSED_WAYS(tuple, raw)                                                                                       \
  FUSED_DIGITS(tuple, raw, 0) FUSED(tuple, raw, 1, 1) FUSED_DIGITS(tuple, raw, 2) FUSED_DIGITS(tuple, raw, 4)         \
  FUSED(tuple, raw, 8, 2)
#define FUSED_RAW(tuple) \
  FUSED_WAYS(tuple, 0) FUSED_WAYS(tuple, 1) FUSED_WAYS(tuple, 2) FUSED_WAYS(tuple, 3) FUSED_WAYS(tuple, 4)
FUSED_RAW(1)
FUSED_RAW(2)
#define NAMES(tuple, raw, way) {dot_##tuple##raw##way##1, dot_##tuple##raw##way##2}
#define NAMES_WAYS(tuple, raw)                                                                                       \
  {NAMES(tuple, raw, 0), NAMES(tuple, raw, 4), NAMES(tuple, raw, 2), {dot_##tuple##raw##11, dot_##tuple##raw##82},   \
   {dot_##tuple##raw##82, dot_##tuple##raw##82}}
#define NAMES_RAW(tuple) \
  {NAMES_WAYS(tuple, 0), NAMES_WAYS(tuple, 1), NAMES_WAYS(tuple, 2), NAMES_WAYS(tuple, 3), NAMES_WAYS(tuple, 4)}
/* [..][way]: narrow; codes of 5, 6 and 7 bits; wide, which is faster also for 7 bits and two digits */
static const fused_fn fused_functions[2][MAX_FUSED_RAW + 1][5][2] = {NAMES_RAW(1), NAMES_RAW(2)};

FUSED_DIGITS(0, 2, 0) FUSED_DIGITS(0, 3, 0)

static unsigned way_of(unsigned bits, unsigned raw_bits, unsigned digits) {
#if defined(FUSED_NARROW_HOLDS_ALL)
  return raw_bits == 0 && bits <= 4 ? 0 : digits == 2 ? 4 : 1;
#endif
  if (bits - raw_bits <= 4 && (digits == 1 || raw_bits == 0)) return 0;
  return bits <= 5 ? 1 : bits - 4;
}

static kernel_fused_result dot_fields(fused *f, const coder_codebook *book, const uint8_t *data, size_t bytes,
                                      const kernel_activations *a, const int32_t *sum, int32_t *sums) {
  static const fused_fn narrow[2][2] = {NAMES(0, 2, 0), NAMES(0, 3, 0)};
  const size_t n_codes = f->n_panels * f->tiles * CODER_TILE;
  const unsigned width = book->raw_bits, raw = coder_field_raw_bits(width), digits = a->digits;
  uint32_t offset[3];
  if (bytes != coder_raw_bytes(width, n_codes)) return KERNEL_FUSED_DAMAGED;
  coder_raw_offsets(raw, n_codes, (uint32_t)coder_field_upper_bytes(width, n_codes), offset);
  f->first = book->first;
  f->sum = sum;
  f->symbols = data;
  f->raw_ahead = fetch_distance(bytes);
  f->ahead = width < 4 ? 0 : f->raw_ahead;
  f->four = data + offset[0];
  f->two = data + offset[1];
  f->one = data + offset[2];
  const fused_fn dot = width < 4 ? narrow[width - CODER_FIELDS_LEAST][digits - 1]
                                 : fused_functions[1][raw][way_of(width, raw, digits)][digits - 1];
  dot(f, sums);
  return KERNEL_FUSED_GOOD;
}

kernel_fused_result KERNEL_PASTE(dot_fused_, KERNEL_NAME)(const coder_codebook *book, const coder_block *block,
                                                          const uint8_t *data, size_t bytes, kernel_scratch *scratch,
                                                          const kernel_activations *a, size_t token, int32_t *sums) {
  if (block->panel_rows != CODER_PANEL_ROWS || block->tiles % STEP_TILES != 0) return KERNEL_NOT_FUSED;
  fused f = {.n_panels = block->panels, .tiles = block->tiles, .x = columns_at(a, token, block->first_column)};
  if (book->kind == CODER_FIELDS) return dot_fields(&f, book, data, bytes, a, group_sums_at(a, token, block), sums);
  if (book->raw_bits > MAX_FUSED_RAW) return KERNEL_NOT_FUSED;
  unsigned tuple = book->tuple;
  if (book->kind == CODER_PLAIN) {
    const size_t n_codes = (size_t)block->panels * block->tiles * CODER_TILE;
    if (book->bits != 4) return KERNEL_NOT_FUSED;
    if (bytes != coder_raw_list_bytes(4, n_codes)) return KERNEL_FUSED_DAMAGED;
    f.symbols = f.four = f.two = f.one = data;
    f.ahead = fetch_distance(bytes);
    tuple = 2;
  } else {
    uint32_t raw_offset[3];
    if (!KERNEL_SYMBOLS(book, block, data, bytes, &scratch->coder, scratch->codes, raw_offset))
      return KERNEL_FUSED_DAMAGED;
    f.symbols = scratch->codes;
    f.raw_ahead = fetch_distance(bytes);
    f.four = data + raw_offset[0];
    f.two = data + raw_offset[1];
    f.one = data + raw_offset[2];
  }
  fused_functions[tuple - 1][book->raw_bits][way_of(book->bits, book->raw_bits, a->digits)][a->digits - 1](&f, sums);
  return KERNEL_FUSED_GOOD;
}

#if defined(FUSED_TOKENS)
/* ------------------------------------------------------------ several tokens */

/* Sums of a panel, all column groups, with some tokens to sums[token][group][16]; symbols and raw bits of `f` are moved
 * on by a panel. Its codes go to `keep`, where that is not NULL. */
KERNEL_INLINE void multiply_panel(fused *f, size_t stride, int32_t *sums, size_t sums_stride, uint8_t *keep, int tuple,
                                  int raw_bits, size_t tokens) {
  const int16_t *x = f->x.wide;
  fused now = *f;
  for (size_t left = now.tiles; left > 0; sums += CODER_PANEL_ROWS) {
    size_t tiles = left < now.x.tiles_per_group ? left : now.x.tiles_per_group;
    left -= tiles;
    row_sums s[FUSED_TOKENS][PARTS];
    KERNEL_UNROLL(4)
    for (size_t t = 0; t < tokens; t++)
      for (int at = 0; at < PARTS; at++) s[t][at] = row_sums_zero();
    for (; tiles > 0; tiles -= STEP_TILES, x += CODER_TILE_COLUMNS * STEP_TILES) {
      KERNEL_UNROLL(8)
      for (int i = 0; i < STEP_TILES; i++) {
        wide_codes codes[PARTS];
        KERNEL_UNROLL(4)
        for (int at = 0; at < PARTS; at++) {
          const part v = codes_of(&now, i, at, tuple, raw_bits);
          if (keep != NULL) part_store(keep + CODER_TILE * i + PART_BYTES * at, v);
          codes[at] = wide_split(v);
        }
        KERNEL_UNROLL(4)
        for (size_t t = 0; t < tokens; t++) {
          const wide_digits digits = wide_load(x + t * stride + CODER_TILE_COLUMNS * i);
          KERNEL_UNROLL(4)
          for (int at = 0; at < PARTS; at++) row_sums_add_wide(&s[t][at], codes[at], digits);
        }
      }
      next_step(&now, tuple, raw_bits);
      if (keep != NULL) keep += CODER_TILE * STEP_TILES;
    }
    KERNEL_UNROLL(4)
    for (size_t t = 0; t < tokens; t++)
      for (int at = 0; at < PARTS; at++)
        row_sums_store(sums + t * sums_stride + PART_ROWS * at, s[t][at], row_sums_zero());
  }
  *f = now;
}

typedef void (*panel_fn)(fused *f, size_t stride, int32_t *sums, size_t sums_stride, uint8_t *keep);
/* panel_123 is multiply_panel of tuple 1, 2 raw bits and 3 tokens. */
#define PANEL(tuple, raw, tokens)                                                                                    \
  static void panel_##tuple##raw##tokens(fused *f, size_t stride, int32_t *sums, size_t sums_stride, uint8_t *keep) { \
    multiply_panel(f, stride, sums, sums_stride, tokens == FUSED_TOKENS ? keep : NULL, tuple, raw, tokens);            \
  }
#define PANEL_TOKENS(tuple, raw) PANEL(tuple, raw, 2) PANEL(tuple, raw, 3) PANEL(tuple, raw, 4)
#define PANEL_RAW(tuple) \
  PANEL_TOKENS(tuple, 0) PANEL_TOKENS(tuple, 1) PANEL_TOKENS(tuple, 2) PANEL_TOKENS(tuple, 3) PANEL_TOKENS(tuple, 4)
PANEL_RAW(1)
PANEL_RAW(2)
#define PANEL_NAMES(tuple, raw) {panel_##tuple##raw##2, panel_##tuple##raw##3, panel_##tuple##raw##4}
#define PANEL_NAMES_RAW(tuple)                                                                                       \
  {PANEL_NAMES(tuple, 0), PANEL_NAMES(tuple, 1), PANEL_NAMES(tuple, 2), PANEL_NAMES(tuple, 3), PANEL_NAMES(tuple, 4)}
static const panel_fn panel_functions[2][MAX_FUSED_RAW + 1][FUSED_TOKENS - 1] = {PANEL_NAMES_RAW(1),
                                                                                 PANEL_NAMES_RAW(2)};

/* A block's symbols and raw bits, for all tokens. */
typedef struct found_symbols { unsigned tuple, raw_bits, first; } found_symbols; /* first: to be added to codes */

static kernel_fused_result find_symbols(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                        size_t bytes, kernel_scratch *scratch, fused *f, found_symbols *found) {
  const size_t n_codes = coder_block_codes(block);
  uint32_t offset[3] = {0};
  *f = (fused){.symbols = scratch->codes, .n_panels = block->panels, .tiles = block->tiles};
  f->raw_ahead = fetch_distance(bytes);
  *found = (found_symbols){.tuple = book->tuple, .raw_bits = book->raw_bits};
  if (book->kind == CODER_PLAIN || (book->kind == CODER_FIELDS && book->raw_bits >= 4)) {
    const unsigned width = book->kind == CODER_PLAIN ? book->bits : book->raw_bits;
    if (book->kind == CODER_PLAIN && width != 4) return KERNEL_NOT_FUSED;
    if (bytes != coder_raw_bytes(width, n_codes)) return KERNEL_FUSED_DAMAGED;
    *found = (found_symbols){.tuple = 2, .raw_bits = coder_field_raw_bits(width), .first = book->first};
    coder_raw_offsets(found->raw_bits, n_codes, (uint32_t)coder_field_upper_bytes(width, n_codes), offset);
    f->symbols = data;
    f->ahead = f->raw_ahead;
  } else if (book->kind == CODER_FIELDS || (book->tuple == 1 && book->raw_bits == 0)) {
    return KERNEL_NOT_FUSED; /* decoding gives codes at once */
  } else if (!KERNEL_SYMBOLS(book, block, data, bytes, &scratch->coder, scratch->codes, offset)) {
    return KERNEL_FUSED_DAMAGED;
  }
  f->four = data + offset[0];
  f->two = data + offset[1];
  f->one = data + offset[2];
  return KERNEL_FUSED_GOOD;
}

kernel_fused_result KERNEL_PASTE(multiply_fused_, KERNEL_NAME)(
    const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
    const coder_patches *patches, kernel_scratch *scratch, const kernel_activations *a, size_t token, size_t n_tokens,
    const quant_scales *scales, float *y, size_t y_stride) {
  const kernel_table *table = &KERNEL_PASTE(kernel_table_, KERNEL_NAME);
  if (n_tokens < 2 || block->panel_rows != CODER_PANEL_ROWS || block->tiles % STEP_TILES != 0 ||
      (book->raw_bits > MAX_FUSED_RAW && book->kind != CODER_FIELDS) ||
      (a->digits == 1 && n_tokens >= FUSED_LEAST_ONE_DIGIT))
    return KERNEL_NOT_FUSED;
  fused f;
  found_symbols symbols;
  const kernel_fused_result found = find_symbols(book, block, data, bytes, scratch, &f, &symbols);
  if (found != KERNEL_FUSED_GOOD) return found;
  quant_scales from_first = *scales;
  from_first.zero -= (int)symbols.first;
  const size_t panel_sums = kernel_block_groups(block, a) * CODER_PANEL_ROWS; /* at most 512 */
  const size_t now = n_tokens < FUSED_TOKENS ? n_tokens : FUSED_TOKENS;
  int32_t *sums = scratch->sums, *added = sums + FUSED_TOKENS * panel_sums;
  uint8_t *keep = n_tokens > now ? scratch->coder.list[0] : NULL;
  f.x = columns_at(a, token, block->first_column);
  uint32_t from = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++, y += CODER_PANEL_ROWS) {
    const coder_patches of_panel = kernel_panel_patches(patches, block, panel, &from);
    const size_t left = block->rows - panel * CODER_PANEL_ROWS;
    const size_t n_rows = left < CODER_PANEL_ROWS ? left : CODER_PANEL_ROWS;
    panel_functions[symbols.tuple - 1][symbols.raw_bits][now - 2](&f, a->stride, sums, panel_sums, keep);
    if (of_panel.n > 0) {
      kernel_patch_added(&of_panel, block, a, token, now, added);
      for (size_t i = 0; i < now * panel_sums; i++) sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)added[i]);
    }
    for (size_t t = 0; t < now; t++)
      table->dot_finish(sums + t * panel_sums, block, a, token + t, &from_first, n_rows, y + t * y_stride);
    if (keep == NULL) continue;
    const size_t at_once = of_panel.n > 0 ? KERNEL_MAX_SUMS / panel_sums : n_tokens;
    for (size_t first = now, n; first < n_tokens; first += n) {
      n = n_tokens - first < at_once ? n_tokens - first : at_once;
      if (of_panel.n > 0) kernel_patch_added(&of_panel, block, a, token + first, n, sums);
      table->multiply_finish(keep, block, a, token + first, n, &from_first, of_panel.n > 0 ? sums : NULL, n_rows,
                             y + first * y_stride, y_stride);
    }
  }
  return KERNEL_FUSED_GOOD;
}
#endif
