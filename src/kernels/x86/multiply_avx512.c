/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of a small batch with AVX-512. First the symbols of a block are decoded to a list, which stays in the near
 * caches. Then, tile by tile, codes are made from symbols and raw bits in registers and multiplied by up to 8 tokens
 * before the next tile. More tokens take several passes over the list. While a pass multiplies, it fetches the bytes of
 * a later block at an even rate, so memory is never idle and decoding does not wait for it.
 *
 * How fast a batch of n tokens can be: memory takes the time of the coded bytes, for any n. The two units that multiply
 * (32 bytes each on Zen 4, so one vpdpbusd of 64 bytes per cycle) take n * digits cycles per tile. Decoding takes 7
 * cycles for 64 symbols, which are one tile or, as pairs, two. Its vpexpandb and look-ups use the same units as the
 * products, so these cycles add up (joining both in one loop was tried and gained nothing). Making codes from symbols
 * uses other units and costs nothing. Measured from the second-level cache with two digits: 4.4 + 2 n cycles per tile
 * for pairs, 7.5 + 2 n for single symbols. A batch takes this time or that of memory, whichever is longer.
 */
#include "coder/fields.h"
#include "coder/raw_bits.h"
#include "kernels/patches.h"
#include "kernels/x86/fused_avx512.h"

enum {
  PASS_TOKENS = 8,
  KEEP = PASS_TOKENS + 1, /* in place of their number: 8 tokens, and the codes are kept */
  LISTED_TOKENS = 24      /* more tokens are cheaper from codes, 12 at a time, after a pass that makes them */
};

/* A pass: all column groups of one panel, for some tokens. */
typedef struct pass {
  const uint8_t *symbols;
  raw_groups raw;
  const uint8_t *ahead;  /* bytes to fetch meanwhile, and of them a step */
  size_t ahead_step;
  size_t n_tiles, tiles_per_group;
  const int8_t *low, *high; /* of the first token; high: NULL with one digit */
  size_t stride;            /* from token to token */
  const int32_t (*start)[KERNEL_MAX_GROUPS / CODER_PANEL_ROWS]; /* [token][group]: -zero * sum of the activations */
  const int32_t *added;     /* [token][group][16] or NULL */
  size_t added_stride;
  const float *scale;       /* [token][n_groups] */
  size_t n_groups;
  __mmask16 rows;
  float *y;
  size_t y_stride;
  uint8_t *codes;           /* where a pass that keeps codes puts them */
} pass;

/* The digits of a tile's columns for up to 8 tokens, in two pointers 5 strides apart. x86 addresses are a base plus 0,
 * 1, 2 or 4 times a register, so with `stride` and `stride_3` in registers one pointer reaches 5 tokens. More pointers
 * than two would not fit the registers and would be reloaded for every product. */
typedef struct token_digits { const int8_t *at[2]; } token_digits;

KERNEL_INLINE __m512i add_token(__m512i sums, __m512i codes, const token_digits *x, size_t t, size_t stride,
                                size_t stride_3) {
  static const unsigned scales[5] = {0, 1, 2, 1, 4};
  return add_products_at(sums, codes, x->at[t / 5], t % 5 == 3 ? stride_3 : stride, scales[t % 5]);
}

typedef struct pass_sums { __m512i low[PASS_TOKENS][2], high[PASS_TOKENS][2]; token_digits x_low, x_high; } pass_sums;

/* Products of one tile; then the next tile's columns. */
KERNEL_INLINE void add_tile(pass_sums *s, __m512i codes, size_t chain, size_t tokens, unsigned digits, size_t stride,
                            size_t stride_3) {
  KERNEL_UNROLL(8)
  for (size_t t = 0; t < tokens; t++) {
    s->low[t][chain] = add_token(s->low[t][chain], codes, &s->x_low, t, stride, stride_3);
    if (digits == 2) s->high[t][chain] = add_token(s->high[t][chain], codes, &s->x_high, t, stride, stride_3);
  }
  KERNEL_UNROLL(2)
  for (int i = 0; i < 2; i++) {
    s->x_low.at[i] += CODER_TILE_COLUMNS;
    if (digits == 2) s->x_high.at[i] += CODER_TILE_COLUMNS;
  }
}

KERNEL_INLINE void multiply_panel(const pass *p, unsigned tuple, unsigned raw_bits, unsigned digits, size_t tokens,
                                  bool keep) {
  const size_t stride = p->stride, stride_3 = 3 * stride;
  const size_t chains = tokens * digits < 5 ? 2 : 1; /* vpdpbusd takes 4 to 5 cycles */
  const uint8_t *symbols = p->symbols, *ahead = p->ahead;
  raw_groups raw = p->raw;
  uint8_t *kept = p->codes;
  pass_sums s;
  s.x_low = (token_digits){{p->low, p->low + 5 * stride}};
  s.x_high = digits == 2 ? (token_digits){{p->high, p->high + 5 * stride}} : s.x_low;
  __m512 out[PASS_TOKENS];
  KERNEL_UNROLL(8)
  for (size_t t = 0; t < tokens; t++) out[t] = _mm512_maskz_loadu_ps(p->rows, p->y + t * p->y_stride);
  for (size_t left = p->n_tiles, group = 0; left > 0; group++) {
    size_t now = left < p->tiles_per_group ? left : p->tiles_per_group;
    left -= now;
    KERNEL_UNROLL(8)
    for (size_t t = 0; t < tokens; t++) {
      s.low[t][0] = _mm512_set1_epi32(p->start[t][group]);
      if (p->added)
        s.low[t][0] = _mm512_add_epi32(
            s.low[t][0], _mm512_loadu_si512(p->added + t * p->added_stride + group * CODER_PANEL_ROWS));
      s.high[t][0] = s.low[t][1] = s.high[t][1] = _mm512_setzero_si512();
    }
    for (; now > 0; now -= STEP_TILES) {
      KERNEL_UNROLL(8)
      for (int i = 0; i < STEP_TILES; i += (int)tuple) {
        const __m512i list = group_load(symbols);
        symbols += 64;
        const __m512i first = step_codes(&raw, list, 0, i, tuple, raw_bits, 0);
        if (keep) _mm512_storeu_si512(kept + CODER_TILE * i, first);
        add_tile(&s, first, (size_t)i % chains, tokens, digits, stride, stride_3);
        if (tuple == 1) continue;
        const __m512i second = step_codes(&raw, list, 4, i + 1, 2, raw_bits, 0);
        if (keep) _mm512_storeu_si512(kept + CODER_TILE * (i + 1), second);
        add_tile(&s, second, chains - 1, tokens, digits, stride, stride_3);
      }
      raw_step(&raw, raw_bits);
      for (size_t line = 0; line < p->ahead_step; line += 64) __builtin_prefetch(ahead + line, 0, 2);
      ahead += p->ahead_step;
      if (keep) kept += CODER_TILE * STEP_TILES;
    }
    KERNEL_UNROLL(8)
    for (size_t t = 0; t < tokens; t++) {
      __m512i low = s.low[t][0], high = s.high[t][0];
      if (chains == 2) low = _mm512_add_epi32(low, s.low[t][1]);
      if (chains == 2 && digits == 2) high = _mm512_add_epi32(high, s.high[t][1]);
      if (digits == 2) low = join_digits(low, high);
      out[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), _mm512_set1_ps(p->scale[t * p->n_groups + group]), out[t]);
    }
  }
  KERNEL_UNROLL(8)
  for (size_t t = 0; t < tokens; t++) _mm512_mask_storeu_ps(p->y + t * p->y_stride, p->rows, out[t]);
}

typedef void (*pass_fn)(const pass *p);
/* A function for each case, named by its constants: pass_1326 is multiply_panel of tuple 1, 3 raw bits, 2 digits and 6
 * tokens; 9, KEEP, stands for a first pass that keeps the codes. */
#define PASS(tuple, raw, digits, tokens)                                                                             \
  static void pass_##tuple##raw##digits##tokens(const pass *p) {                                                      \
    multiply_panel(p, tuple, raw, digits, tokens == KEEP ? PASS_TOKENS : tokens, tokens == KEEP);                      \
  }
#define PASS_DIGITS(tuple, raw, digits)                                                                              \
  PASS(tuple, raw, digits, 1) PASS(tuple, raw, digits, 2) PASS(tuple, raw, digits, 3) PASS(tuple, raw, digits, 4)     \
  PASS(tuple, raw, digits, 6) PASS(tuple, raw, digits, 8) PASS(tuple, raw, digits, 9)
#define PASS_RAW(tuple, raw) PASS_DIGITS(tuple, raw, 1) PASS_DIGITS(tuple, raw, 2)
#define PASS_TUPLE(tuple) PASS_RAW(tuple, 0) PASS_RAW(tuple, 1) PASS_RAW(tuple, 2) PASS_RAW(tuple, 3) PASS_RAW(tuple, 4)
PASS_TUPLE(1)
PASS_TUPLE(2)
#define NAME_DIGITS(tuple, raw, digits)                                                                              \
  {[1] = pass_##tuple##raw##digits##1, [2] = pass_##tuple##raw##digits##2, [3] = pass_##tuple##raw##digits##3,        \
   [4] = pass_##tuple##raw##digits##4, [6] = pass_##tuple##raw##digits##6, [8] = pass_##tuple##raw##digits##8, \
   [KEEP] = pass_##tuple##raw##digits##9}
#define NAME_RAW(tuple, raw) {NAME_DIGITS(tuple, raw, 1), NAME_DIGITS(tuple, raw, 2)}
#define NAME_TUPLE(tuple)                                                                                            \
  {NAME_RAW(tuple, 0), NAME_RAW(tuple, 1), NAME_RAW(tuple, 2), NAME_RAW(tuple, 3), NAME_RAW(tuple, 4)}
static const pass_fn passes[2][MAX_FUSED_RAW + 1][2][KEEP + 1] = {NAME_TUPLE(1), NAME_TUPLE(2)};

/* Tokens of the next pass, n being left: one of the numbers above, and none alone if that can be helped. */
static size_t pass_tokens(size_t n) {
  if (n >= 10 || n == 8) return 8;
  return n == 9 ? 6 : n == 7 ? 4 : n == 5 ? 3 : n;
}
static size_t passes_for(size_t n) {
  size_t count = 0;
  for (; n > 0; count++) n -= pass_tokens(n);
  return count;
}

/* Symbols and raw bits of a block. */
typedef struct listed {
  const uint8_t *symbols;
  raw_groups raw;
  unsigned tuple, raw_bits;
  unsigned first; /* what codes are above these */
} listed;

static kernel_fused_result list_symbols(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                        size_t bytes, kernel_scratch *scratch, listed *out) {
  const size_t n_codes = coder_block_codes(block);
  uint32_t raw_offset[3] = {0};
  *out = (listed){.symbols = scratch->codes, .tuple = book->tuple, .raw_bits = book->raw_bits};
  if (book->kind == CODER_PLAIN) { /* nibbles lie like pairs */
    if (book->bits != 4 && book->bits != 8) return KERNEL_NOT_FUSED;
    *out = (listed){.symbols = data, .tuple = book->bits == 4 ? 2 : 1};
    if (bytes != n_codes / out->tuple) return KERNEL_FUSED_DAMAGED;
  } else if (book->kind == CODER_FIELDS && book->raw_bits < 4) {
    out->raw_bits = 0;
    if (!decode_block_avx512(book, block, data, bytes, &scratch->coder, scratch->codes)) return KERNEL_FUSED_DAMAGED;
  } else if (book->kind == CODER_FIELDS) { /* pairs with raw bits as they lie */
    if (bytes != coder_raw_bytes(book->raw_bits, n_codes)) return KERNEL_FUSED_DAMAGED;
    *out = (listed){.symbols = data, .tuple = 2, .first = book->first};
    out->raw_bits = coder_field_raw_bits(book->raw_bits);
    coder_raw_offsets(out->raw_bits, n_codes, (uint32_t)coder_field_upper_bytes(book->raw_bits, n_codes), raw_offset);
  } else if (book->kind == CODER_LEVELS) {
    levels_parts parts;
    if (!levels_locate(book, block, data, bytes, &parts)) return KERNEL_FUSED_DAMAGED;
    if (!decode_levels_avx512(book, data, &parts, &scratch->coder, 0, 0, scratch->codes)) return KERNEL_FUSED_DAMAGED;
    coder_raw_offsets(book->raw_bits, n_codes, parts.raw_offset, raw_offset);
  } else if (!decode_symbols_avx512(book, block, data, bytes, &scratch->coder, scratch->codes, raw_offset)) {
    return KERNEL_FUSED_DAMAGED;
  }
  out->raw = raw_groups_at(data, raw_offset);
  return KERNEL_FUSED_GOOD;
}

/* All that a block's passes share. */
typedef struct batch {
  const coder_block *block;
  const kernel_activations *a;
  const quant_scales *scales;
  kernel_scratch *scratch;
  unsigned tuple, raw_bits;
  columns x; /* of token 0 */
} batch;

/* A pass for `now` tokens from token t0 on, whose floats begin at y. */
static void one_pass(const batch *b, pass *p, const coder_patches *of_panel, size_t t0, size_t now, bool keep,
                     float *y) {
  const kernel_activations *a = b->a;
  const size_t n_groups = kernel_block_groups(b->block, a);
  const size_t at = t0 * a->n_groups + b->block->first_column / a->group;
  int32_t start[PASS_TOKENS][KERNEL_MAX_GROUPS / CODER_PANEL_ROWS];
  for (size_t t = 0; t < now; t++)
    for (size_t g = 0; g < n_groups; g++) start[t][g] = -b->scales->zero * a->sum[at + t * a->n_groups + g];
  if (of_panel->n > 0) kernel_patch_added(of_panel, b->block, a, t0, now, b->scratch->sums);
  p->added = of_panel->n > 0 ? b->scratch->sums : NULL;
  p->start = (const int32_t(*)[KERNEL_MAX_GROUPS / CODER_PANEL_ROWS])start;
  p->low = b->x.low + t0 * a->stride;
  p->high = b->x.high ? b->x.high + t0 * a->stride : NULL;
  p->scale = a->scale + at;
  p->y = y;
  passes[b->tuple - 1][b->raw_bits][a->digits - 1][keep ? KEEP : now](p);
}

/* The tokens that a pass left, from the codes. */
static void rest_from_codes(const batch *b, const pass *p, const uint8_t *codes, const coder_patches *of_panel,
                            size_t t0, size_t n, size_t n_rows, float *y) {
  const size_t at_once = of_panel->n > 0 ? KERNEL_MAX_SUMS / p->added_stride : n;
  for (size_t first = 0; first < n; first += at_once) {
    const size_t left = n - first, now = left < at_once ? left : at_once;
    if (of_panel->n > 0) kernel_patch_added(of_panel, b->block, b->a, t0 + first, now, b->scratch->sums);
    multiply_finish_avx512(codes, b->block, b->a, t0 + first, now, b->scales,
                           of_panel->n > 0 ? b->scratch->sums : NULL, n_rows, y + first * p->y_stride, p->y_stride);
  }
}

kernel_fused_result multiply_fused_avx512(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                          size_t bytes, const coder_patches *patches, kernel_scratch *scratch,
                                          const kernel_activations *a, size_t token, size_t n_tokens,
                                          const quant_scales *scales, float *y, size_t y_stride) {
  if (block->panel_rows != CODER_PANEL_ROWS || block->tiles % STEP_TILES != 0 ||
      (book->raw_bits > MAX_FUSED_RAW && book->kind != CODER_FIELDS))
    return KERNEL_NOT_FUSED;
  listed list;
  const kernel_fused_result found = list_symbols(book, block, data, bytes, scratch, &list);
  if (found != KERNEL_FUSED_GOOD) return found;

  const bool by_codes = n_tokens > LISTED_TOKENS, listed_codes = list.tuple == 1 && list.raw_bits == 0;
  const size_t steps = block->tiles / STEP_TILES, n_passes = block->panels * (by_codes ? 1 : passes_for(n_tokens));
  quant_scales shifted_scales = *scales;
  shifted_scales.zero -= (int)list.first;
  const batch b = {.block = block, .a = a, .scales = &shifted_scales, .scratch = scratch, .tuple = list.tuple,
                   .raw_bits = list.raw_bits, .x = columns_at(a, 0, block->first_column)};
  pass p = {.ahead = data + 2 * bytes, .ahead_step = bytes / (steps * n_passes) + 1, .n_tiles = block->tiles,
            .tiles_per_group = b.x.tiles_per_group, .stride = a->stride, .n_groups = a->n_groups,
            .added_stride = kernel_block_groups(block, a) * CODER_PANEL_ROWS, .y_stride = y_stride,
            .codes = scratch->coder.list[0]};
  uint32_t from = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++, y += CODER_PANEL_ROWS) {
    const coder_patches of_panel = kernel_panel_patches(patches, block, panel, &from);
    const size_t tiles = (size_t)panel * block->tiles, left = block->rows - panel * CODER_PANEL_ROWS;
    const size_t n_rows = left < CODER_PANEL_ROWS ? left : CODER_PANEL_ROWS;
    p.symbols = list.symbols + tiles * CODER_TILE / list.tuple;
    p.raw = (raw_groups){list.raw.four + tiles * 32, list.raw.two + tiles * 16, list.raw.one + tiles * 8};
    p.rows = (__mmask16)((1u << n_rows) - 1);
    for (size_t first = 0, now; first < n_tokens; first += now) {
      now = by_codes ? PASS_TOKENS : pass_tokens(n_tokens - first);
      one_pass(&b, &p, &of_panel, token + first, now, by_codes && !listed_codes, y + first * y_stride);
      p.ahead += p.ahead_step * steps;
      if (by_codes) {
        rest_from_codes(&b, &p, listed_codes ? p.symbols : p.codes, &of_panel, token + now, n_tokens - now, n_rows,
                        y + now * y_stride);
        break;
      }
    }
  }
  return KERNEL_FUSED_GOOD;
}
