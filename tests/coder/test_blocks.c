/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks come back as they went in, for every kind of book, shape and distribution;
 * every element lies in one block; damage is refused or harmless; the chosen books
 * stay near the entropy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coder/coder.h"
#include "coder/gaussian.h"
#include "coder/levels.h"

typedef struct fixture {
  coder_encoder *encoder;
  coder_scratch *scratch;
  uint8_t *codes, *tiled, *decoded, *back, *block;
} fixture;

enum { MATRIX_BYTES = 1 << 22 };

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_int_equal(coder_encoder_create(&f->encoder, NULL), ELLM_OK);
  f->scratch = calloc(1, sizeof *f->scratch);
  f->codes = malloc(MATRIX_BYTES);
  f->back = malloc(MATRIX_BYTES);
  f->tiled = malloc(CODER_MAX_CODES + CODER_SLACK);
  f->decoded = malloc(CODER_MAX_CODES + CODER_SLACK);
  f->block = malloc(CODER_MAX_BLOCK_BYTES + CODER_SLACK);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  coder_encoder_free(f->encoder);
  free(f->scratch);
  free(f->codes);
  free(f->back);
  free(f->tiled);
  free(f->decoded);
  free(f->block);
  free(f);
  return 0;
}

static void gather(const fixture *f, const coder_geometry *g, int bits, uint8_t pad, coder_statistics *stats) {
  memset(stats, 0, sizeof *stats);
  coder_count_codes(f->codes, (size_t)(g->rows * g->columns), stats->codes);
  for (uint64_t i = 0; i < g->n_blocks; i++) {
    const coder_block block = coder_geometry_block(g, i);
    coder_tile_block(&block, f->codes + block.first_row * g->columns + block.first_column, g->columns, pad, f->tiled);
    coder_statistics_add_pairs(stats, &block, bits, f->tiled);
  }
}

static uint8_t most_frequent(const fixture *f, size_t n) {
  uint64_t counts[256] = {0};
  coder_count_codes(f->codes, n, counts);
  return coder_pad(counts);
}

/* Encodes and decodes the matrix f->codes; returns the bytes of all blocks. */
static size_t round_trip(fixture *f, const coder_geometry *g, const coder_codebook *book) {
  size_t total = 0;
  memset(f->back, 0xee, g->rows * g->columns);
  for (uint64_t i = 0; i < g->n_blocks; i++) {
    const coder_block block = coder_geometry_block(g, i);
    const size_t n = (size_t)block.panels * block.tiles * 4 * block.panel_rows;
    coder_tile_block(&block, f->codes + block.first_row * g->columns + block.first_column, g->columns, book->pad,
                     f->tiled);
    const size_t bytes = coder_encode_block(f->encoder, book, &block, f->tiled, f->block);
    assert_true(bytes <= CODER_MAX_BLOCK_BYTES);
    memset(f->block + bytes, 0xff, CODER_SLACK);
    memset(f->decoded, 0xdd, CODER_MAX_CODES + CODER_SLACK);
    assert_true(coder_decode_block_scalar(book, &block, f->block, bytes, f->scratch, f->decoded));
    assert_memory_equal(f->decoded, f->tiled, n);
    if (bytes > 0) assert_false(coder_decode_block_scalar(book, &block, f->block, bytes - 1, f->scratch, f->decoded));
    assert_false(coder_decode_block_scalar(book, &block, f->block, bytes + 1, f->scratch, f->decoded));
    coder_untile_block(&block, f->tiled, f->back + block.first_row * g->columns + block.first_column, g->columns);
    total += bytes;
  }
  assert_memory_equal(f->back, f->codes, g->rows * g->columns);
  return total;
}

static coder_choice choose(const coder_statistics *stats, const coder_geometry *g, int bits, uint8_t pad,
                           ellm_prefer prefer) {
  const coder_codes codes = {stats, g, bits, pad, pad};
  coder_choice choice;
  assert_int_equal(coder_choose(&codes, (coder_aim){.prefer = prefer}, &choice, NULL), ELLM_OK);
  return choice;
}

static void chosen_books(void **state) {
  fixture *f = *state;
  static const uint32_t shapes[][2] = {{1, 1},    {1, 300},  {3, 5},     {15, 64},   {16, 4},    {17, 5},    {40, 72},
                                       {391, 72}, {64, 288}, {33, 1023}, {31, 1029}, {16, 2048}, {20, 3072}, {5, 9000}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    coder_geometry g;
    assert_true(coder_geometry_init(&g, shapes[s][0], shapes[s][1]));
    const size_t n = (size_t)g.rows * g.columns;
    for (int bits = 2; bits <= 8; bits++) {
      for (int distribution = 0; distribution < 6; distribution++) {
        for (size_t i = 0; i < n; i++) {
          switch (distribution) {
            case 0: f->codes[i] = (uint8_t)(random_u64() & ((1u << bits) - 1)); break;
            case 1: f->codes[i] = gaussian_code(12.0 / (1 << bits), bits); break;
            case 2: f->codes[i] = (uint8_t)((1 << bits) - 1); break;
            case 3: f->codes[i] = (uint8_t)(random_u64() % 9 == 0); break;
            case 4: f->codes[i] = gaussian_code(1.77, bits); break;
            default: { /* halving counts: deep trees */
              unsigned depth = 0;
              for (uint64_t r = random_u64(); (r & 1) == 0 && depth < (1u << bits) - 1; r >>= 1) depth++;
              f->codes[i] = (uint8_t)depth;
            }
          }
        }
        for (int prefer = 0; prefer < 2; prefer++) {
          const uint8_t pad = most_frequent(f, n);
          coder_statistics stats;
          coder_codebook loaded;
          gather(f, &g, bits, pad, &stats);
          const coder_choice choice = choose(&stats, &g, bits, pad, (ellm_prefer)prefer);
          const coder_codebook book = choice.book;
          const size_t bytes = round_trip(f, &g, &book);
          uint8_t stored[CODER_BOOK_MAX_BYTES];
          size_t used, length = coder_codebook_store(&book, stored);
          assert_true(coder_codebook_load(stored, length, g.panel_rows, &loaded, &used));
          assert_int_equal(used, length);
          assert_memory_equal(&loaded, &book, sizeof book);
          for (size_t cut = 0; cut < length; cut++)
            assert_false(coder_codebook_load(stored, cut, g.panel_rows, &loaded, &used));
          const double real = (double)(bytes + 8 * g.n_blocks + length);
          if (n > 20000) assert_in_range((uint64_t)(1000 * choice.bytes / real), 985, 1015);
        }
      }
    }
  }
}

/* Every split, escape limit and width, not only the best. */
static void all_books(void **state) {
  fixture *f = *state;
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 37, 301));
  const size_t n = (size_t)g.rows * g.columns;
  for (int bits = 2; bits <= 8; bits++) {
    for (size_t i = 0; i < n; i++) f->codes[i] = gaussian_code(9.0 / (1 << bits), bits);
    for (unsigned raw = 0; raw <= (unsigned)bits && raw < 8; raw++) {
      for (unsigned tuple = 1; tuple <= ((unsigned)bits - raw <= 4 ? 2u : 1u); tuple++) {
        const unsigned upper = (unsigned)bits - raw, alphabet = 1u << upper;
        for (unsigned kept = 0; kept <= 20; kept++) {
          coder_codebook book = {.kind = CODER_HUFFMAN,
                                 .bits = (uint8_t)bits,
                                 .raw_bits = (uint8_t)raw,
                                 .tuple = (uint8_t)tuple,
                                 .pad = 1};
          /* a comb: words of 1, 2, ..., 14 and two of 15 bits at most */
          const unsigned leaves = kept < 15 ? kept : 15;
          unsigned symbols = 0;
          for (unsigned i = 0; i < leaves && i < alphabet; i++)
            book.symbol[symbols++] = (uint16_t)(tuple == 2 ? i | (alphabet - 1 - i) << 4 : i);
          if (raw == (unsigned)bits) {
            if (kept > 0) continue;
            symbols = 0;
          }
          book.symbol[symbols] = CODER_ESCAPE;
          for (unsigned i = 0; i <= symbols; i++)
            book.length[i] = (uint8_t)(symbols == 0 ? 0 : i + 1 <= symbols ? i + 1 : symbols);
          book.n_leaves = (uint16_t)(symbols + 1);
          assert_true(coder_codebook_finish(&book, g.panel_rows));
          round_trip(f, &g, &book);
          coder_codebook fields = {
              .kind = CODER_LEVELS, .bits = (uint8_t)bits, .raw_bits = (uint8_t)raw, .tuple = (uint8_t)tuple, .pad = 1};
          unsigned places = 0;
          fields.n_levels = (uint8_t)(1 + random_u64() % CODER_MAX_LEVELS);
          for (unsigned j = 0; j < fields.n_levels; j++) {
            fields.width[j] = (uint8_t)(1 + random_u64() % 4);
            places += (1u << fields.width[j]) - 1;
          }
          for (unsigned i = 0; i < 256 && fields.n_leaves < places; i++) {
            const bool exists = tuple == 2 ? (i & 15) < alphabet && i >> 4 < alphabet : i < alphabet;
            if (exists && random_u64() % 3 != 0) fields.symbol[fields.n_leaves++] = (uint16_t)i;
          }
          if (raw == (unsigned)bits) fields.n_leaves = 1;
          if (fields.n_leaves == 0) fields.symbol[fields.n_leaves++] = 0;
          assert_true(coder_codebook_finish(&fields, g.panel_rows));
          round_trip(f, &g, &fields);
        }
      }
    }
  }
}

static void damage_is_harmless(void **state) {
  fixture *f = *state;
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 16, 256));
  for (int prefer = 0; prefer < 2; prefer++) {
    for (int bits = 3; bits <= 8; bits++) {
      for (size_t i = 0; i < 16 * 256; i++) f->codes[i] = gaussian_code(12.0 / (1 << bits), bits);
      coder_statistics stats;
      gather(f, &g, bits, 0, &stats);
      const coder_codebook book = choose(&stats, &g, bits, 0, (ellm_prefer)prefer).book;
      const coder_block block = coder_geometry_block(&g, 0);
      coder_tile_block(&block, f->codes, 256, 0, f->tiled);
      const size_t bytes = coder_encode_block(f->encoder, &book, &block, f->tiled, f->block);
      uint8_t *exact = malloc(bytes + CODER_SLACK); /* so that a sanitizer sees what lies behind */
      for (size_t at = 0; at < bytes; at++) {
        memcpy(exact, f->block, bytes);
        memset(exact + bytes, 0, CODER_SLACK);
        exact[at] ^= (uint8_t)(1 + random_u64() % 255);
        if (coder_decode_block_scalar(&book, &block, exact, bytes, f->scratch, f->decoded)) {
          for (size_t i = 0; i < 4096; i++) assert_true(f->decoded[i] < 1 << bits);
        }
      }
      free(exact);
    }
  }
}

static void geometry_covers(void **state) {
  (void)state;
  static const uint32_t columns[] = {1,    3,    4,    5,    64,   72,   255,  256,  288,  1000,  1024,  1025,
                                     1100, 1280, 1536, 2047, 2048, 3072, 4096, 5632, 8192, 14336, 100000};
  static const uint32_t rows[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 391};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
      coder_geometry g;
      assert_true(coder_geometry_init(&g, rows[r], columns[c]));
      uint64_t elements = 0, next_row = 0, next_column = 0;
      for (uint64_t i = 0; i < g.n_blocks; i++) {
        const coder_block b = coder_geometry_block(&g, i);
        assert_int_equal(b.first_row, next_row);
        assert_int_equal(b.first_column, next_column);
        assert_true(b.first_column % 256 == 0);
        assert_true((uint64_t)b.panels * b.tiles * 4 * b.panel_rows <= CODER_MAX_CODES);
        assert_true(b.rows <= b.panels * b.panel_rows && b.rows > (b.panels - 1) * b.panel_rows);
        elements += (uint64_t)b.rows * b.columns;
        next_column += b.columns;
        if (next_column == columns[c]) {
          next_column = 0;
          next_row += b.rows;
        }
      }
      assert_int_equal(elements, (uint64_t)rows[r] * columns[c]);
    }
  }
  coder_geometry g;
  assert_false(coder_geometry_init(&g, 0, 5));
  assert_false(coder_geometry_init(&g, 5, 0));
  assert_false(coder_geometry_init(&g, UINT64_MAX, 5));
  assert_true(coder_geometry_init(&g, UINT32_MAX, UINT32_MAX));
  assert_false(coder_geometry_from(&g, 32, 2048, 2, 1024)); /* ranges and several panels */
  assert_false(coder_geometry_from(&g, 32, 2048, 1, 1000)); /* not a multiple of 256 */
  assert_false(coder_geometry_from(&g, 32, 2048, 1, 2048)); /* too many codes */
  assert_false(coder_geometry_from(&g, 32, 2048, 0, 1024));
  assert_false(coder_geometry_from(&g, 1u << 20, 4, UINT32_MAX, 4));
}

/* The place and width of fields: codes beyond are few, the rest comes back with its patches, and the estimate is right. */
static void chosen_fields(void **state) {
  fixture *f = *state;
  static coder_patch patches[CODER_MAX_CODES];
  static const struct { double step; int bits, width; } rows[] = {{1.9, 4, 2}, {0.8, 5, 3}, {0.38, 8, 4}, {0.33, 6, 5},
                                                                  {0.18, 7, 5}, {0.092, 8, 6}};
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 160, 1500));
  const size_t n = (size_t)g.rows * g.columns;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    const int bits = rows[r].bits, zero = 1 << (bits - 1);
    for (size_t i = 0; i < n; i++) f->codes[i] = gaussian_code(rows[r].step, bits);
    coder_statistics stats;
    const uint8_t pad = most_frequent(f, n);
    gather(f, &g, bits, pad, &stats);
    coder_choice choice;
    const coder_codes codes = {&stats, &g, bits, zero, pad};
    const coder_aim aim = {.prefer = ELLM_PREFER_SPEED, .code = ELLM_CODE_FIELDS};
    assert_int_equal(coder_choose(&codes, aim, &choice, NULL), ELLM_OK);
    const coder_codebook *book = &choice.book;
    assert_int_equal(book->kind, CODER_FIELDS);
    assert_int_equal(book->raw_bits, rows[r].width);
    assert_true(book->first <= zero && coder_most_code(book) >= zero);
    assert_true(200 * choice.outliers <= n);
    uint64_t counts[256], patched = 0;
    memcpy(counts, stats.codes, sizeof counts);
    assert_int_equal(coder_clip_counts(book, counts), choice.outliers);
    double bytes = 6;
    for (uint64_t b = 0; b < g.n_blocks; b++) {
      const coder_block block = coder_geometry_block(&g, b);
      uint8_t whole[CODER_MAX_CODES], stored[CODER_MAX_BLOCK_BYTES];
      coder_tile_block(&block, f->codes + block.first_row * g.columns + block.first_column, (size_t)g.columns, pad,
                       f->tiled);
      const size_t codes_here = coder_block_codes(&block);
      memcpy(whole, f->tiled, codes_here);
      const size_t found = coder_clip(book, f->tiled, codes_here, patches), size = coder_patches_bytes(patches, found);
      patched += found;
      coder_patches_store(patches, found, stored);
      const coder_patches list = {stored + CODER_PATCHES_HEAD, (uint32_t)found};
      assert_true(coder_patches_valid(&list, &block, book, zero));
      assert_int_equal(coder_patches_places(&list), found);
      const size_t coded = coder_encode_block(f->encoder, book, &block, f->tiled, f->block);
      assert_true(coded != CODER_NOT_CODABLE);
      assert_true(coder_decode_block_scalar(book, &block, f->block, coded, f->scratch, f->decoded));
      assert_memory_equal(f->decoded, f->tiled, codes_here);
      assert_true(coder_patch_codes(&list, bits, f->decoded));
      assert_memory_equal(f->decoded, whole, codes_here);
      bytes += (double)(size + coded + 8);
    }
    assert_int_equal(patched, choice.outliers);
    assert_true(fabs(choice.bytes - bytes) <= 2.0 * (double)g.n_blocks + 1);
  }
}

/* Two bulks, none of which fields can hold alone, and a zero far from the codes: plain codes, not many patches. */
static void no_fields(void **state) {
  fixture *f = *state;
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 64, 256));
  for (int kind = 0; kind < 2; kind++) {
    for (size_t i = 0; i < 64 * 256; i++)
      f->codes[i] = (uint8_t)(kind == 0 ? (i % 2 ? 10 : 240) : 200 + random_u64() % 9);
    coder_statistics stats;
    coder_choice choice;
    const uint8_t pad = most_frequent(f, 64 * 256);
    gather(f, &g, 8, pad, &stats);
    const coder_codes codes = {&stats, &g, 8, kind == 0 ? 10 : 0, pad};
    const coder_aim aim = {.prefer = ELLM_PREFER_SPEED, .code = ELLM_CODE_FIELDS};
    assert_int_equal(coder_choose(&codes, aim, &choice, NULL), ELLM_OK);
    assert_int_equal(choice.book.kind, CODER_PLAIN);
    assert_int_equal(choice.outliers, 0);
  }
}

/* Each class of machine has a book of its own; balance knows none of them. */
static void classes_of_machines(void **state) {
  fixture *f = *state;
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 512, 1024));
  const size_t n = 512 * 1024;
  for (size_t i = 0; i < n; i++) f->codes[i] = gaussian_code(0.38, 6);
  coder_statistics stats;
  const uint8_t pad = most_frequent(f, n);
  gather(f, &g, 6, pad, &stats);
  const coder_codes codes = {&stats, &g, 6, 32, pad};
  coder_choice choice, other;
  assert_int_equal(coder_choose(&codes, (coder_aim){ELLM_PREFER_SPEED, ELLM_MACHINE_AVX2, 0, 0}, &choice, NULL), ELLM_OK);
  assert_int_equal(choice.book.kind, CODER_FIELDS);
  assert_int_equal(coder_choose(&codes, (coder_aim){ELLM_PREFER_BALANCED, ELLM_MACHINE_AVX2, 0, 0}, &choice, NULL),
                   ELLM_OK);
  assert_int_equal(choice.book.kind, CODER_LEVELS);
  assert_int_equal(coder_choose(&codes, (coder_aim){ELLM_PREFER_BALANCED, ELLM_MACHINE_NEON, 0, 0}, &other, NULL), ELLM_OK);
  assert_memory_equal(&choice.book, &other.book, sizeof choice.book);
  assert_int_equal(coder_choose(&codes, (coder_aim){ELLM_PREFER_SPEED, (ellm_machine)3, 0, 0}, &other, NULL),
                   ELLM_ERR_USAGE);
}

/* Every value of every byte of a book of fields: what is accepted keeps the rules. */
static void malformed_fields(void **state) {
  (void)state;
  uint8_t stored[CODER_BOOK_MAX_BYTES] = {0};
  coder_codebook book, loaded;
  size_t used;
  assert_true(coder_codebook_fields(6, 4, 24, 32, 16, &book));
  assert_int_equal(coder_codebook_store(&book, stored), 6);
  for (size_t cut = 0; cut < 6; cut++) assert_false(coder_codebook_load(stored, cut, 16, &loaded, &used));
  for (size_t at = 1; at < 6; at++)
    for (unsigned value = 0; value < 256; value++) {
      const uint8_t old = stored[at];
      stored[at] = (uint8_t)value;
      if (coder_codebook_load(stored, 6, 16, &loaded, &used)) {
        uint8_t again[CODER_BOOK_MAX_BYTES];
        assert_int_equal(used, 6);
        assert_int_equal(coder_codebook_store(&loaded, again), 6);
        assert_memory_equal(stored, again, 6);
        assert_true(loaded.raw_bits >= 2 && loaded.raw_bits <= 6 && loaded.tuple == 1);
        assert_true(coder_most_code(&loaded) < 1 << loaded.bits);
        assert_true(loaded.pad >= coder_least_code(&loaded) && loaded.pad <= coder_most_code(&loaded));
      }
      stored[at] = old;
    }
  static const struct { int bits, width; uint8_t first, pad; } bad[] = {
      {4, 5, 0, 0}, {8, 7, 0, 0}, {8, 1, 0, 0}, {4, 4, 1, 5}, {6, 4, 49, 60}, {6, 4, 8, 7}, {6, 4, 8, 24}, {9, 4, 0, 0}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(coder_codebook_fields(bad[i].bits, bad[i].width, bad[i].first, bad[i].pad, 16, &book));
}

static void malformed_books(void **state) {
  (void)state;
  uint8_t stored[CODER_BOOK_MAX_BYTES];
  coder_codebook book = {.kind = CODER_HUFFMAN,
                         .bits = 4,
                         .tuple = 1,
                         .n_leaves = 3,
                         .symbol = {3, 1, 2},
                         .length = {1, 2, 2}},
                 loaded;
  size_t used;
  assert_true(coder_codebook_finish(&book, 16));
  const size_t length = coder_codebook_store(&book, stored);
  unsigned accepted = 0;
  for (size_t at = 0; at < length; at++) {
    for (unsigned value = 0; value < 256; value++) {
      const uint8_t old = stored[at];
      stored[at] = (uint8_t)value;
      if (coder_codebook_load(stored, length, 16, &loaded, &used)) {
        uint8_t again[CODER_BOOK_MAX_BYTES];
        assert_int_equal(coder_codebook_store(&loaded, again), used); /* what is accepted is canonical */
        assert_memory_equal(again, stored, used);
        accepted++;
      }
      stored[at] = old;
    }
  }
  assert_true(accepted > length); /* the untouched form once a byte, and harmless changes */
  book.length[2] = 3; /* Kraft sum below 1 */
  assert_false(coder_codebook_finish(&book, 16));
  book.length[2] = 1;
  assert_false(coder_codebook_finish(&book, 16)); /* not sorted */
  book.length[2] = 2;
  book.symbol[2] = 1;
  assert_false(coder_codebook_finish(&book, 16)); /* twice the same */
  book.symbol[2] = 16;
  assert_false(coder_codebook_finish(&book, 16)); /* beyond the alphabet */
  book.symbol[2] = 2;
  book.tuple = 2;
  assert_true(coder_codebook_finish(&book, 16));
  assert_false(coder_codebook_finish(&book, 8)); /* pairs need panels of 16 rows */
}

static void package_merge_is_optimal(void **state) {
  (void)state;
  for (int round = 0; round < 300; round++) {
    const size_t n = 2 + random_u64() % 255;
    uint64_t counts[CODER_MAX_LEAVES];
    uint8_t lengths[CODER_MAX_LEAVES], limited[CODER_MAX_LEAVES];
    for (size_t i = 0; i < n; i++) counts[i] = 1 + random_u64() % (round % 3 == 0 ? 5 : 100000);
    coder_package_merge(counts, n, 15, lengths);
    coder_package_merge(counts, n, n <= 16 ? 4 : 8, limited);
    double kraft = 0, kraft_limited = 0;
    uint64_t cost = 0, cost_limited = 0, huffman = 0, heap[CODER_MAX_LEAVES];
    for (size_t i = 0; i < n; i++) {
      kraft += 1.0 / (double)(1u << lengths[i]);
      kraft_limited += 1.0 / (double)(1u << limited[i]);
      cost += counts[i] * lengths[i];
      cost_limited += counts[i] * limited[i];
      assert_true(limited[i] <= (n <= 16 ? 4 : 8));
    }
    assert_true(kraft == 1.0 && kraft_limited == 1.0 && cost <= cost_limited);
    size_t left = n;
    memcpy(heap, counts, n * sizeof *heap);
    while (left > 1) { /* Huffman's own way, quadratic */
      size_t a = 0, b = 1;
      if (heap[b] < heap[a]) a = 1, b = 0;
      for (size_t i = 2; i < left; i++) {
        if (heap[i] < heap[a]) {
          b = a;
          a = i;
        } else if (heap[i] < heap[b]) {
          b = i;
        }
      }
      const uint64_t sum = heap[a] + heap[b];
      huffman += sum;
      heap[a < b ? a : b] = sum;
      heap[a < b ? b : a] = heap[--left];
    }
    unsigned longest = 0;
    for (size_t i = 0; i < n; i++) longest = lengths[i] > longest ? lengths[i] : longest;
    if (longest < 15) assert_int_equal(cost, huffman);
  }
  uint64_t fibonacci[40] = {1, 1};
  uint8_t lengths[40];
  for (int i = 2; i < 40; i++) fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
  coder_package_merge(fibonacci, 40, 15, lengths);
  double kraft = 0;
  for (int i = 0; i < 40; i++) kraft += 1.0 / (double)(1u << lengths[i]);
  assert_true(kraft == 1.0 && lengths[0] == 15);
}

/* Everything counted but the directory: blocks, block table, book. */
static void loss_over_entropy(void **state) {
  fixture *f = *state;
  static const struct { double step; int bits; double size_limit, balanced_limit;
  } rows[] = {{1.77, 4, 1.04, 1.10},  {1.3, 4, 1.04, 1.10},   {0.95, 4, 1.04, 1.10},
              {0.9, 4, 1.025, 1.06},  {0.52, 5, 1.025, 1.06}, {0.26, 6, 1.025, 1.06},
              {0.13, 7, 1.025, 1.06}, {0.09, 8, 1.025, 1.06}, {0.07, 8, 1.025, 1.06}};
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 1024, 2048));
  const size_t n = (size_t)g.rows * g.columns;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    double counts[256] = {0}, entropy = 0;
    for (size_t i = 0; i < n; i++) counts[f->codes[i] = gaussian_code(rows[r].step, rows[r].bits)]++;
    for (int q = 0; q < 256; q++) entropy -= counts[q] > 0 ? counts[q] * log2(counts[q] / (double)n) : 0;
    coder_statistics stats;
    const uint8_t pad = most_frequent(f, n);
    gather(f, &g, rows[r].bits, pad, &stats);
    for (int prefer = 0; prefer < 2; prefer++) {
      uint8_t stored[CODER_BOOK_MAX_BYTES];
      const coder_codebook book = choose(&stats, &g, rows[r].bits, pad, (ellm_prefer)prefer).book;
      const double bits = 8.0 *
                          (double)(round_trip(f, &g, &book) + 8 * g.n_blocks + coder_codebook_store(&book, stored));
      print_message("%s: entropy %.3f coded %.3f (%+.1f %%) kind %d tuple %d raw %d leaves %d widths",
                    prefer == ELLM_PREFER_SIZE ? "size    " : "balanced", entropy / (double)n, bits / (double)n,
                    100 * (bits / entropy - 1), book.kind, book.tuple, book.raw_bits, book.n_leaves);
      for (int j = 0; j < book.n_levels; j++) print_message(" %d", book.width[j]);
      print_message("\n");
      assert_true(bits <= entropy * (prefer == ELLM_PREFER_SIZE ? rows[r].size_limit : rows[r].balanced_limit));
    }
  }
}

/* In small matrices rounding decides: sometimes an alternative is smaller, and with all tried nothing of the choice is
 * larger than what another way of choosing would take. */
static void alternatives(void **state) {
  fixture *f = *state;
  coder_geometry g;
  unsigned doubtful = 0, smaller = 0;
  assert_true(coder_geometry_init(&g, 16, 64));
  for (int round = 0; round < 400; round++) {
    const int bits = 2 + round % 7;
    const size_t n = (size_t)(g.rows * g.columns);
    for (size_t i = 0; i < n; i++) f->codes[i] = gaussian_code(24.0 / (1 << bits) / (1 + round % 5), bits);
    const uint8_t pad = most_frequent(f, n);
    coder_statistics stats;
    gather(f, &g, bits, pad, &stats);
    const coder_choice balanced = choose(&stats, &g, bits, pad, ELLM_PREFER_BALANCED),
                       smallest = choose(&stats, &g, bits, pad, ELLM_PREFER_SIZE);
    const coder_codebook book = smallest.book, quick = balanced.book;
    const coder_alternatives others = smallest.alternatives;
    assert_int_equal(balanced.alternatives.n, 0);
    uint8_t stored[CODER_BOOK_MAX_BYTES];
    const size_t first = round_trip(f, &g, &book) + coder_codebook_store(&book, stored);
    size_t least = first;
    for (unsigned k = 0; k < others.n; k++) {
      const size_t bytes = round_trip(f, &g, &others.book[k]) + coder_codebook_store(&others.book[k], stored);
      if (bytes < least) least = bytes;
    }
    doubtful += others.n > 0;
    smaller += least < first;
    assert_true(least <= round_trip(f, &g, &quick) + coder_codebook_store(&quick, stored));
  }
  print_message("of 400 small matrices %u had alternatives, %u took one\n", doubtful, smaller);
  assert_true(smaller > 0 && doubtful < 400);
}

/* A block of nothing but escapes: refused where it would be too large, and never with widths that may be chosen. */
static void largest_blocks(void **state) {
  fixture *f = *state;
  coder_geometry g;
  assert_true(coder_geometry_init(&g, 16, 1024));
  const coder_block block = coder_geometry_block(&g, 0);
  unsigned refused = 0;
  uint8_t *exact = malloc(CODER_MAX_BLOCK_BYTES + CODER_SLACK); /* so that a sanitizer sees what is written behind */
  memset(f->tiled, 0xff, CODER_MAX_CODES);
  for (unsigned raw = 0; raw < 8; raw++) {
    for (unsigned tuple = 1; tuple <= (raw >= 4 ? 2u : 1u); tuple++) {
      for (unsigned levels = 1; levels <= CODER_MAX_LEVELS; levels++) {
        for (unsigned width = 1; width <= 4; width++) {
          coder_codebook book = {.kind = CODER_LEVELS,
                                 .bits = 8,
                                 .raw_bits = (uint8_t)raw,
                                 .tuple = (uint8_t)tuple,
                                 .n_leaves = 1,
                                 .n_levels = (uint8_t)levels};
          memset(book.width, (int)width, levels);
          assert_true(coder_codebook_finish(&book, g.panel_rows));
          const size_t bytes = coder_encode_block(f->encoder, &book, &block, f->tiled, exact);
          if (bytes == CODER_NOT_CODABLE) {
            assert_true(tuple == 1 && levels * width > levels_most_bits(raw));
            refused++;
            continue;
          }
          assert_true(bytes <= CODER_MAX_BLOCK_BYTES);
          memset(exact + bytes, 0, CODER_SLACK);
          assert_true(coder_decode_block_scalar(&book, &block, exact, bytes, f->scratch, f->decoded));
          assert_memory_equal(f->decoded, f->tiled, CODER_MAX_CODES);
        }
      }
    }
  }
  free(exact);
  assert_true(refused > 0);
  /* the longest words, all of them escapes */
  coder_codebook comb = {.kind = CODER_HUFFMAN, .bits = 8, .raw_bits = 4, .tuple = 1, .n_leaves = 16};
  for (unsigned i = 0; i < 16; i++) {
    comb.symbol[i] = i < 15 ? (uint16_t)i : CODER_ESCAPE;
    comb.length[i] = (uint8_t)(i < 15 ? i + 1 : 15);
  }
  assert_true(coder_codebook_finish(&comb, 16));
  round_trip(f, &g, &comb);
}

/* The example of docs/format/blocks.md, byte by byte. */
static void documented_example(void **state) {
  fixture *f = *state;
  static const uint8_t matrix[12] = {4, 3, 5, 4, 2, 7, 5, 4, 3, 4, 4, 0};
  static const uint8_t tiled[16] = {4, 3, 5, 4, 5, 4, 3, 4, 2, 7, 4, 4, 4, 0, 4, 4};
  static const uint8_t huffman_book[] = {1, 0x13, 1, 4, 3, 0, 2, 0, 2, 1, 0, 0x21, 2};
  static const uint8_t huffman_block[69] = {0, 1, 1, 0, 1, 0, 1, 0, 0, 1, [64] = 0x42, 0x23, 0x18, 3, 0};
  static const uint8_t levels_book[] = {2, 3, 0x21, 4, 4, 0, 0x12, 4, 3, 5, 2};
  static const uint8_t levels_block[] = {3, 0, 2, 0, 0x38, 0xf1, 6, 0, 6, 7, 0};
  static const uint8_t plain_book[] = {0, 3, 1, 4, 0, 0};
  static const uint8_t plain_block[64] = {4, 3, 5, 4, 5, 4, 3, 4, 2, 7, 4, 4, 4, 0, 4, 4};
  static const struct { const uint8_t *book; size_t book_bytes; const uint8_t *block; size_t bytes; } rows[] = {
      {huffman_book, sizeof huffman_book, huffman_block, sizeof huffman_block},
      {levels_book, sizeof levels_book, levels_block, sizeof levels_block},
      {plain_book, sizeof plain_book, plain_block, sizeof plain_block}};
  coder_geometry g;
  assert_true(coder_geometry_from(&g, 2, 6, 1, 6));
  const coder_block block = coder_geometry_block(&g, 0);
  coder_tile_block(&block, matrix, 6, 4, f->tiled);
  assert_memory_equal(f->tiled, tiled, sizeof tiled);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    coder_codebook book;
    size_t used;
    assert_true(coder_codebook_load(rows[i].book, rows[i].book_bytes, g.panel_rows, &book, &used));
    assert_int_equal(used, rows[i].book_bytes);
    assert_int_equal(coder_encode_block(f->encoder, &book, &block, f->tiled, f->block), rows[i].bytes);
    assert_memory_equal(f->block, rows[i].block, rows[i].bytes);
    assert_true(coder_decode_block_scalar(&book, &block, f->block, rows[i].bytes, f->scratch, f->decoded));
    assert_memory_equal(f->decoded, tiled, sizeof tiled);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(geometry_covers),   cmocka_unit_test(chosen_books),
                                     cmocka_unit_test(all_books),         cmocka_unit_test(damage_is_harmless),
                                     cmocka_unit_test(malformed_books), cmocka_unit_test(chosen_fields),
    cmocka_unit_test(no_fields), cmocka_unit_test(classes_of_machines), cmocka_unit_test(malformed_fields),   cmocka_unit_test(package_merge_is_optimal),
                                     cmocka_unit_test(loss_over_entropy), cmocka_unit_test(largest_blocks),
                                     cmocka_unit_test(alternatives),        cmocka_unit_test(documented_example)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
