/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every instruction set's block decoder against the scalar one: same codes on
 * whole blocks of every kind, same verdict on damaged ones. All buffers end,
 * with exactly the slack that is promised, at a page without access.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "random.h"

typedef struct fixture {
  guarded data, codes, scratch;
  coder_encoder *encoder;
  uint8_t source[CODER_MAX_CODES + CODER_SLACK];   /* codes of the block at hand, tile order */
  uint8_t expected[CODER_MAX_CODES + CODER_SLACK];
  uint8_t encoded[CODER_MAX_BLOCK_BYTES];
  coder_scratch oracle_scratch;
} fixture;

static fixture fix;

static size_t block_codes(const coder_block *block) {
  return (size_t)block->panels * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}

static int setup(void **state) {
  (void)state;
  fix.data = guarded_create(CODER_MAX_BLOCK_BYTES + CODER_SLACK + 4096);
  fix.codes = guarded_create(CODER_MAX_CODES + CODER_SLACK);
  fix.scratch = guarded_create(sizeof(coder_scratch) + 64);
  return coder_encoder_create(&fix.encoder, NULL) == ELLM_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  coder_encoder_free(fix.encoder);
  guarded_free(&fix.data);
  guarded_free(&fix.codes);
  guarded_free(&fix.scratch);
  return 0;
}

/* Decode data[bytes] with all tables; returns the verdict, which all must share. */
static bool decode_everywhere(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes) {
  const size_t n = block_codes(block);
  uint8_t *guarded_data = guarded_tail(&fix.data, bytes + CODER_SLACK);
  memcpy(guarded_data, data, bytes);
  for (size_t i = 0; i < CODER_SLACK; i++) guarded_data[bytes + i] = (uint8_t)random_u64();
  const bool good = coder_decode_block_scalar(book, block, guarded_data, bytes, &fix.oracle_scratch, fix.expected);

  uint8_t *codes = guarded_tail(&fix.codes, n + CODER_SLACK);
  coder_scratch *scratch = (coder_scratch *)(void *)(fix.scratch.end - (sizeof(coder_scratch) + 63) / 64 * 64);
  for (size_t i = 0; kernels_at(i); i++) {
    const kernel_table *table = kernels_at(i);
    memset(codes, 0xa5, n + CODER_SLACK);
    memset(scratch, (int)(i + 1) * 37, sizeof *scratch);
    const bool result = table->decode_block(book, block, guarded_data, bytes, scratch, codes);
    if (result != good) fail_msg("%s: verdict %d, scalar %d", table->isa, result, good);
    if (good && memcmp(codes, fix.expected, n) != 0) {
      size_t at = 0;
      while (codes[at] == fix.expected[at]) at++;
      fail_msg("%s: code %zu of %zu is %d, not %d (bits %d raw %d tuple %d leaves %d depth %d panels %u tiles %u rows %u)",
               table->isa, at, n, codes[at], fix.expected[at], book->bits, book->raw_bits, book->tuple, book->n_leaves,
               book->depth, block->panels, block->tiles, block->panel_rows);
    }
  }
  return good;
}

/* ------------------------------------------------------------ random blocks */

static coder_block random_block(int tuple) {
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

/* A book for the symbols of fix.source. n_levels == 0: a tree in which the most frequent `max_leaves` symbols get
 * leaves (0: an escape alone), the rest an escape; `escape` forces one even if unused; `deep`: doubling counts, so
 * that it is as deep as allowed, else true ones. Otherwise so many levels of fields, in all up to max_leaves symbols. */
typedef struct book_recipe {
  int bits, raw_bits, tuple, max_leaves;
  bool escape, deep;
  int n_levels;
  uint8_t width[CODER_MAX_LEVELS];
} book_recipe;

static void symbols_of(const book_recipe *recipe, const coder_block *block, uint64_t counts[256]) {
  memset(counts, 0, 256 * sizeof counts[0]);
  const size_t n = block_codes(block);
  if (recipe->tuple == 1) {
    for (size_t i = 0; i < n; i++) counts[fix.source[i] >> recipe->raw_bits]++;
    return;
  }
  for (uint32_t panel = 0; panel < block->panels; panel++)
    for (uint32_t tile = 0; tile < block->tiles; tile += 2)
      for (uint32_t lane = 0; lane < CODER_TILE; lane++) {
        const uint8_t *code = fix.source + ((size_t)panel * block->tiles + tile) * CODER_TILE + lane;
        const unsigned high = tile + 1 < block->tiles ? code[CODER_TILE] : fix.source[0]; /* pad is source[0] */
        counts[(unsigned)(code[0] >> recipe->raw_bits) | (high >> recipe->raw_bits) << 4]++;
      }
}

static bool make_book(const book_recipe *recipe, const coder_block *block, coder_codebook *book) {
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
  book->pad = fix.source[0];
  if (recipe->n_levels > 0) {
    size_t places = 0;
    book->kind = CODER_TUPLES;
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
static void fill_codes(const coder_block *block, int bits, unsigned spread) {
  const unsigned mask = (1u << bits) - 1;
  const unsigned offset = (unsigned)random_u64() & mask;
  for (size_t i = 0; i < block_codes(block); i++) {
    unsigned v = 0;
    while (v < mask && random_below(256) < spread) v++;
    fix.source[i] = (uint8_t)((spread == 255 ? (unsigned)random_u64() : v + offset) & mask);
  }
}

/* False if fix.source cannot be coded. */
static bool encode(const coder_codebook *book, const coder_block *block, size_t *bytes) {
  *bytes = coder_encode_block(fix.encoder, book, block, fix.source, fix.encoded);
  return *bytes != CODER_NOT_CODABLE;
}

static void check_round_trip(const coder_codebook *book, const coder_block *block) {
  size_t bytes;
  assert_true(encode(book, block, &bytes));
  assert_true(decode_everywhere(book, block, fix.encoded, bytes));
  assert_true(memcmp(fix.expected, fix.source, block_codes(block)) == 0);
}

/* A random book and block in fix.source and fix.encoded. */
static size_t random_case(coder_codebook *book, coder_block *block) {
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
    fill_codes(block, recipe.bits, spreads[random_below(sizeof spreads / sizeof spreads[0])]);
    if (!make_book(&recipe, block, book)) continue;
    size_t bytes;
    if (encode(book, block, &bytes)) return bytes;
  }
}

static void test_random(void **state) {
  (void)state;
  random_state = 11;
  int seen[16] = {0}; /* of each depth */
  for (int round = 0; round < 600; round++) {
    coder_codebook book;
    coder_block block;
    const size_t bytes = random_case(&book, &block);
    assert_true(decode_everywhere(&book, &block, fix.encoded, bytes));
    assert_true(memcmp(fix.expected, fix.source, block_codes(&block)) == 0);
    seen[book.depth]++;
  }
  assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[8] > 0 && seen[15] > 0);
}

/* Every split of every width, both tuples, odd and even tiles. */
static void test_every_split(void **state) {
  (void)state;
  random_state = 12;
  for (int bits = 2; bits <= 8; bits++)
    for (int raw_bits = 0; raw_bits < bits; raw_bits++)
      for (int tuple = 1; tuple <= (bits - raw_bits <= 4 ? 2 : 1); tuple++)
        for (uint32_t tiles = 1; tiles <= 17; tiles += 2 + (tiles == 9)) {
          coder_codebook book;
          coder_block block = {.panels = 3, .rows = 48, .columns = 4 * tiles, .tiles = tiles, .panel_rows = 16};
          const book_recipe recipe = {.bits = bits, .raw_bits = raw_bits, .tuple = tuple, .max_leaves = 256};
          fill_codes(&block, bits, 150);
          assert_true(make_book(&recipe, &block, &book));
          check_round_trip(&book, &block);
        }
}

static void test_extreme_trees(void **state) {
  (void)state;
  random_state = 13;
  coder_codebook book;
  coder_block block = {.panels = 1, .rows = 16, .columns = 1024, .tiles = 256, .panel_rows = 16};
  const book_recipe recipes[] = {
    {8, 0, 1, 256, true, false, 0, {0}},  /* 257 leaves */
    {8, 0, 1, 256, true, true, 0, {0}},   /* 257 leaves, as deep as they go */
    {8, 0, 1, 0, true, false, 0, {0}},    /* the escape alone: bytes */
    {8, 0, 1, 1, true, false, 0, {0}},    /* one symbol and the escape */
    {4, 0, 2, 0, true, false, 0, {0}}, {4, 0, 2, 15, true, true, 0, {0}}, {4, 0, 2, 256, true, true, 0, {0}}, {8, 4, 2, 15, false, true, 0, {0}},
    {2, 0, 2, 16, false, true, 0, {0}},   {8, 7, 1, 2, false, false, 0, {0}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
    for (unsigned spread = 0; spread < 3; spread++) {
      fill_codes(&block, recipes[i].bits, spread == 0 ? 0 : spread == 1 ? 120 : 255);
      if (spread == 2) /* so that all symbols occur */
        for (unsigned s = 0; s < 256; s++) fix.source[s] = (uint8_t)(s & ((1u << recipes[i].bits) - 1));
      assert_true(make_book(&recipes[i], &block, &book));
      check_round_trip(&book, &block);
    }
  /* All codes pass the deepest leaf, or all but the last one the first. */
  for (int bits = 4; bits <= 8; bits += 4) {
    const book_recipe deep = {bits, 0, 1, 16, false, true, 0, {0}};
    fill_codes(&block, 4, 255);
    assert_true(make_book(&deep, &block, &book));
    assert_int_equal(book.depth, 15);
    memset(fix.source, book.symbol[15], sizeof fix.source);
    check_round_trip(&book, &block);
    memset(fix.source, book.symbol[0], sizeof fix.source);
    fix.source[CODER_MAX_CODES - 1] = (uint8_t)book.symbol[14];
    check_round_trip(&book, &block);
  }
}

/* Every list length in groups and remainders, for fields of every width, with few and with only escapes. */
static void test_levels(void **state) {
  (void)state;
  random_state = 16;
  for (uint8_t width = 1; width <= 4; width++)
    for (uint32_t tiles = 1; tiles <= 256; tiles += tiles < 12 ? 1 : 61)
      for (uint32_t panel_rows = 1; panel_rows <= 16; panel_rows += 3)
        for (int kind = 0; kind < 4; kind++) {
          coder_codebook book;
          coder_block block = {.panels = 1, .rows = panel_rows, .columns = 4 * tiles, .tiles = tiles, .panel_rows = panel_rows};
          book_recipe recipe = {.bits = 5, .tuple = 1, .max_leaves = 256, .n_levels = 2, .width = {width, width}};
          if (kind == 2) recipe.max_leaves = 1;
          fill_codes(&block, 5, kind == 0 ? 60 : kind == 1 ? 200 : 255);
          assert_true(make_book(&recipe, &block, &book));
          if (kind == 3) /* symbols that are in no table: only escapes */
            for (size_t i = 0; i < book.n_leaves; i++) book.symbol[i] ^= 16;
          if (kind == 3 && !coder_codebook_finish(&book, panel_rows)) continue;
          check_round_trip(&book, &block);
        }
}

static void test_plain(void **state) {
  (void)state;
  random_state = 14;
  for (int bits = 2; bits <= 8; bits++)
    for (int round = 0; round < 20; round++) {
      coder_block block = random_block(1);
      coder_codebook book;
      memset(&book, 0, sizeof book);
      book.kind = CODER_PLAIN;
      book.bits = (uint8_t)bits;
      book.tuple = 1;
      assert_true(coder_codebook_finish(&book, block.panel_rows));
      fill_codes(&block, bits, 255);
      check_round_trip(&book, &block);
      size_t bytes;
      assert_true(encode(&book, &block, &bytes));
      if (bits < 8) { /* a value beyond the width, anywhere */
        const size_t at = random_below((uint32_t)bytes);
        const uint8_t old = fix.encoded[at];
        fix.encoded[at] = 0xff;
        decode_everywhere(&book, &block, fix.encoded, bytes);
        fix.encoded[at] = old;
        fix.encoded[0] = 0xff; /* the first code: never padding */
        assert_true(decode_everywhere(&book, &block, fix.encoded, bytes) == (bits == 4));
      }
      assert_true(!decode_everywhere(&book, &block, fix.encoded, bytes - 1));
      assert_true(!decode_everywhere(&book, &block, fix.encoded, bytes + 1));
    }
}

/* Flipped bits, cut and lengthened blocks, noise, a wrong book: verdicts and, where accepted, codes agree. */
static void test_damaged(void **state) {
  (void)state;
  random_state = 15;
  int accepted = 0, refused = 0;
  for (int round = 0; round < 2500; round++) {
    coder_codebook book, other;
    coder_block block, other_block;
    size_t bytes = random_case(&book, &block);
    uint8_t *data = fix.encoded;
    switch (round % 5) {
      case 0:
        for (uint32_t flips = 1 + random_below(8); flips > 0; flips--)
          data[random_below((uint32_t)bytes + 1)] ^= (uint8_t)(1u << random_below(8));
        break;
      case 1: bytes = random_below((uint32_t)bytes + 1); break;
      case 2: bytes += 1 + random_below(100); break;
      case 3: {
        const uint8_t fill = random_below(2) ? 0xff : 0;
        const uint32_t from = random_below((uint32_t)bytes + 1);
        memset(data + from, fill, bytes - from);
        break;
      }
      default: /* another block's bytes, cut or filled up to the length */
        random_case(&other, &other_block);
        bytes = random_below(4) ? bytes : 1 + random_below(20000);
        break;
    }
    if (decode_everywhere(&book, &block, data, bytes))
      accepted++;
    else
      refused++;
  }
  printf("# damaged blocks: %d accepted alike, %d refused alike\n", accepted, refused);
  assert_true(accepted > 20 && refused > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random),        cmocka_unit_test(test_every_split), cmocka_unit_test(test_extreme_trees),
    cmocka_unit_test(test_levels),        cmocka_unit_test(test_plain),       cmocka_unit_test(test_damaged),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
