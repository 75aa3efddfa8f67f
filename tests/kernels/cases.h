/* SPDX-License-Identifier: Apache-2.0 */
/* Random and adversarial blocks for the tests of the kernels: codes, a book for them, the coded bytes. */
#ifndef ELLM_TESTS_KERNELS_CASES_H
#define ELLM_TESTS_KERNELS_CASES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "coder/coder.h"
#include "random.h"

static uint8_t case_source[CODER_MAX_CODES + CODER_SLACK]; /* codes of the block at hand, tile order */
static uint8_t case_encoded[CODER_MAX_BLOCK_BYTES];
static coder_encoder *case_encoder;

static inline int case_setup(void) { return coder_encoder_create(&case_encoder, NULL) == ELLM_OK ? 0 : -1; }
static inline void case_teardown(void) { coder_encoder_free(case_encoder); }

static inline size_t block_codes(const coder_block *block) {
  return (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}

static inline coder_block random_block(int tuple) {
  coder_block block;
  memset(&block, 0, sizeof block);
  block.panel_rows = tuple == 1 && random_below(3) == 0 ? 1 + random_below(15) : CODER_PANEL_ROWS;
  const uint32_t most = CODER_MAX_CODES / (CODER_TILE_COLUMNS * block.panel_rows);
  uint32_t tiles = 0;
  switch (random_below(4)) { /* small, odd, largest, any */
    case 0: tiles = 1 + random_below(4); break;
    case 1: tiles = 1 + random_below(40); break;
    case 2: tiles = most; break;
    default: tiles = 1 + random_below(most); break;
  }
  if (block.panel_rows < CODER_PANEL_ROWS && tiles > CODER_MAX_TILES) tiles = CODER_MAX_TILES;
  const uint32_t most_panels = block.panel_rows < CODER_PANEL_ROWS ? 1 : most / tiles;
  block.tiles = tiles;
  block.panels = random_below(2) ? 1 : 1 + random_below(most_panels);
  block.columns = CODER_TILE_COLUMNS * tiles;
  block.rows = block.panels * block.panel_rows;
  return block;
}

/* A book for the symbols of case_source. n_levels == 0: a tree in which the most frequent `max_leaves` symbols get
 * leaves (0: an escape alone), the rest an escape; `escape` forces one even if unused; `deep`: doubling counts, so
 * that it is as deep as allowed, else true ones. Otherwise so many levels, in all up to max_leaves symbols. */
typedef struct book_recipe {
  int bits, raw_bits, tuple, max_leaves;
  bool escape, deep;
  int n_levels;
  uint8_t width[CODER_MAX_LEVELS];
} book_recipe;

static inline void symbols_of(const book_recipe *recipe, const coder_block *block, uint64_t counts[256]) {
  memset(counts, 0, 256 * sizeof counts[0]);
  const size_t n = block_codes(block);
  if (recipe->tuple == 1) {
    for (size_t i = 0; i < n; i++) counts[case_source[i] >> recipe->raw_bits]++;
    return;
  }
  for (uint32_t panel = 0; panel < block->panels; panel++)
    for (uint32_t tile = 0; tile < block->tiles; tile += 2)
      for (uint32_t lane = 0; lane < CODER_TILE; lane++) {
        const uint8_t *code = case_source + ((size_t)panel * block->tiles + tile) * CODER_TILE + lane;
        const unsigned high = tile + 1 < block->tiles ? code[CODER_TILE] : case_source[0]; /* pad is source[0] */
        counts[(unsigned)(code[0] >> recipe->raw_bits) | (high >> recipe->raw_bits) << 4]++;
      }
}

static inline bool make_book(const book_recipe *recipe, const coder_block *block, coder_codebook *book) {
  uint64_t counts[256], leaf_counts[CODER_MAX_LEAVES];
  uint16_t leaf_symbols[CODER_MAX_LEAVES];
  uint8_t lengths[CODER_MAX_LEAVES];
  symbols_of(recipe, block, counts);
  size_t n = 0;
  uint64_t escaped = 0;
  for (;;) { /* by count, most frequent first */
    int best = -1;
    for (int s = 0; s < 256; s++)
      if (counts[s] > 0 && (best < 0 || counts[s] > counts[best])) best = s;
    if (best < 0) break;
    if (n < (size_t)recipe->max_leaves) {
      leaf_symbols[n] = (uint16_t)best;
      leaf_counts[n++] = counts[best];
    } else {
      escaped += counts[best];
    }
    counts[best] = 0;
  }
  memset(book, 0, sizeof *book);
  book->bits = (uint8_t)recipe->bits;
  book->raw_bits = (uint8_t)recipe->raw_bits;
  book->tuple = (uint8_t)recipe->tuple;
  book->pad = case_source[0];
  if (recipe->n_levels > 0) {
    size_t places = 0;
    book->kind = CODER_LEVELS;
    book->n_levels = (uint8_t)recipe->n_levels;
    for (int j = 0; j < recipe->n_levels; j++) {
      book->width[j] = recipe->width[j];
      places += (1u << recipe->width[j]) - 1;
    }
    book->n_leaves = (uint16_t)(n < places ? n : places);
    memcpy(book->symbol, leaf_symbols, book->n_leaves * sizeof book->symbol[0]);
    return coder_codebook_finish(book, block->panel_rows);
  }
  if (recipe->escape || escaped > 0) {
    leaf_symbols[n] = CODER_ESCAPE;
    leaf_counts[n++] = escaped + 1;
  }
  if (recipe->deep)
    for (size_t i = 0; i < n; i++) leaf_counts[i] = (uint64_t)1 << (n - i < 40 ? n - i : 40);
  coder_package_merge(leaf_counts, n, CODER_MAX_LENGTH, lengths);

  book->kind = CODER_HUFFMAN;
  book->n_leaves = (uint16_t)n;
  size_t placed = 0;
  for (int length = 0; length <= CODER_MAX_LENGTH; length++)
    for (unsigned s = 0; s <= CODER_ESCAPE; s++)
      for (size_t i = 0; i < n; i++)
        if (lengths[i] == length && leaf_symbols[i] == s) {
          book->symbol[placed] = (uint16_t)s;
          book->length[placed++] = (uint8_t)length;
        }
  return placed == n && coder_codebook_finish(book, block->panel_rows);
}

/* Codes whose uppers have a geometric distribution: `spread` 0 gives one value, 255 nearly uniform ones. */
static inline void fill_codes(const coder_block *block, int bits, unsigned spread) {
  const unsigned mask = (1u << bits) - 1;
  const unsigned offset = (unsigned)random_u64() & mask;
  for (size_t i = 0; i < block_codes(block); i++) {
    unsigned v = 0;
    while (v < mask && random_below(256) < spread) v++;
    case_source[i] = (uint8_t)((spread == 255 ? (unsigned)random_u64() : v + offset) & mask);
  }
}

/* False if case_source cannot be coded. */
static inline bool encode(const coder_codebook *book, const coder_block *block, size_t *bytes) {
  *bytes = coder_encode_block(case_encoder, book, block, case_source, case_encoded);
  return *bytes != CODER_NOT_CODABLE;
}

/* Codes of a field book, and the book: fields of `width` bits from `first` on. */
static inline bool make_fields(const coder_block *block, int bits, int width, unsigned first, unsigned spread,
                               coder_codebook *book) {
  fill_codes(block, width, spread);
  for (size_t i = 0; i < block_codes(block); i++) case_source[i] = (uint8_t)(case_source[i] + first);
  return coder_codebook_fields(bits, width, (uint8_t)first, case_source[0], block->panel_rows, book);
}

/* A random book and block in case_source and case_encoded. */
static inline size_t random_case(coder_codebook *book, coder_block *block) {
  static const unsigned spreads[] = {0, 4, 40, 100, 160, 220, 250, 255};
  for (;;) {
    book_recipe recipe;
    recipe.bits = 2 + (int)random_below(7);
    recipe.raw_bits = (int)random_below((uint32_t)recipe.bits);
    recipe.tuple = recipe.bits - recipe.raw_bits <= 4 && random_below(2) ? 2 : 1;
    recipe.max_leaves = random_below(2) ? 256 : (int)random_below(24);
    recipe.escape = random_below(4) == 0;
    recipe.deep = random_below(4) == 0;
    recipe.n_levels = random_below(3) ? 0 : 1 + (int)random_below(random_below(3) ? 3 : CODER_MAX_LEVELS);
    for (int j = 0; j < CODER_MAX_LEVELS; j++) recipe.width[j] = (uint8_t)(1 + random_below(4));
    *block = random_block(recipe.tuple);
    if (random_below(6) == 0) {
      const int width = 2 + (int)random_below((uint32_t)(recipe.bits < 6 ? recipe.bits - 1 : 5));
      const unsigned first = random_below((1u << recipe.bits) - (1u << width) + 1);
      size_t bytes;
      if (make_fields(block, recipe.bits, width, first, spreads[random_below(8)], book) && encode(book, block, &bytes))
        return bytes;
    }
    fill_codes(block, recipe.bits, spreads[random_below(sizeof spreads / sizeof spreads[0])]);
    if (!make_book(&recipe, block, book)) continue;
    size_t bytes;
    if (encode(book, block, &bytes)) return bytes;
  }
}

#endif
