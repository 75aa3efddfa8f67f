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

#include "cases.h"
#include "kernels/kernels.h"

typedef struct fixture {
  guarded data, codes, scratch;
  uint8_t expected[CODER_MAX_CODES + CODER_SLACK];
  coder_scratch oracle_scratch;
} fixture;

static fixture fix;

static int setup(void **state) {
  (void)state;
  fix.data = guarded_create(CODER_MAX_BLOCK_BYTES + CODER_SLACK + 4096);
  fix.codes = guarded_create(CODER_MAX_CODES + CODER_SLACK);
  fix.scratch = guarded_create(sizeof(coder_scratch) + 64);
  return case_setup();
}

static int teardown(void **state) {
  (void)state;
  case_teardown();
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
      fail_msg(
          "%s: code %zu of %zu is %d, not %d (bits %d raw %d tuple %d leaves %d depth %d panels %u tiles %u rows %u)",
          table->isa, at, n, codes[at], fix.expected[at], book->bits, book->raw_bits, book->tuple, book->n_leaves,
          book->depth, block->panels, block->tiles, block->panel_rows);
    }
  }
  return good;
}

static void check_round_trip(const coder_codebook *book, const coder_block *block) {
  size_t bytes;
  assert_true(encode(book, block, &bytes));
  assert_true(decode_everywhere(book, block, case_encoded, bytes));
  assert_true(memcmp(fix.expected, case_source, block_codes(block)) == 0);
}

static void test_random(void **state) {
  (void)state;
  random_state = 11;
  int seen[16] = {0}; /* of each depth */
  for (int round = 0; round < 600; round++) {
    coder_codebook book;
    coder_block block;
    const size_t bytes = random_case(&book, &block);
    assert_true(decode_everywhere(&book, &block, case_encoded, bytes));
    assert_true(memcmp(fix.expected, case_source, block_codes(&block)) == 0);
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
      {8, 0, 1, 256, true, false, 0, {0}}, /* 257 leaves */
      {8, 0, 1, 256, true, true, 0, {0}},  /* 257 leaves, as deep as they go */
      {8, 0, 1, 0, true, false, 0, {0}},   /* the escape alone: bytes */
      {8, 0, 1, 1, true, false, 0, {0}},   /* one symbol and the escape */
      {4, 0, 2, 0, true, false, 0, {0}},   {4, 0, 2, 15, true, true, 0, {0}},  {4, 0, 2, 256, true, true, 0, {0}},
      {8, 4, 2, 15, false, true, 0, {0}},  {2, 0, 2, 16, false, true, 0, {0}}, {8, 7, 1, 2, false, false, 0, {0}},
  };
  for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
    for (unsigned spread = 0; spread < 3; spread++) {
      fill_codes(&block, recipes[i].bits, spread == 0 ? 0 : spread == 1 ? 120 : 255);
      if (spread == 2) /* so that all symbols occur */
        for (unsigned s = 0; s < 256; s++) case_source[s] = (uint8_t)(s & ((1u << recipes[i].bits) - 1));
      assert_true(make_book(&recipes[i], &block, &book));
      check_round_trip(&book, &block);
    }
  /* All codes pass the deepest leaf, or all but the last one the first. */
  for (int bits = 4; bits <= 8; bits += 4) {
    const book_recipe deep = {bits, 0, 1, 16, false, true, 0, {0}};
    fill_codes(&block, 4, 255);
    assert_true(make_book(&deep, &block, &book));
    assert_int_equal(book.depth, 15);
    memset(case_source, book.symbol[15], sizeof case_source);
    check_round_trip(&book, &block);
    memset(case_source, book.symbol[0], sizeof case_source);
    case_source[CODER_MAX_CODES - 1] = (uint8_t)book.symbol[14];
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
          coder_block block = {
              .panels = 1, .rows = panel_rows, .columns = 4 * tiles, .tiles = tiles, .panel_rows = panel_rows};
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

static void test_fields(void **state) {
  (void)state;
  random_state = 17;
  for (int width = 2; width <= 6; width++)
    for (int bits = width; bits <= 8; bits++)
      for (uint32_t tiles = 1; tiles <= 256; tiles += tiles < 9 ? 1 : 41)
        for (int end = 0; end < 2; end++) {
          coder_codebook book;
          const uint32_t panel_rows = random_below(3) ? 16 : 1 + random_below(15);
          coder_block block = {
              .panels = 1, .rows = panel_rows, .columns = 4 * tiles, .tiles = tiles, .panel_rows = panel_rows};
          const unsigned first = end ? (1u << bits) - (1u << width) : random_below((1u << bits) - (1u << width) + 1);
          assert_true(make_fields(&block, bits, width, first, 255, &book));
          check_round_trip(&book, &block);
          size_t bytes;
          assert_true(encode(&book, &block, &bytes));
          assert_true(!decode_everywhere(&book, &block, case_encoded, bytes - 1));
          assert_true(!decode_everywhere(&book, &block, case_encoded, bytes + 1));
          assert_true(!decode_everywhere(&book, &block, case_encoded, 0));
          case_source[block_codes(&block) - 1] = (uint8_t)(first + (1u << width)); /* behind the fields */
          assert_false(encode(&book, &block, &bytes));
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
        const uint8_t old = case_encoded[at];
        case_encoded[at] = 0xff;
        decode_everywhere(&book, &block, case_encoded, bytes);
        case_encoded[at] = old;
        case_encoded[0] = 0xff; /* the first code: never padding */
        assert_true(decode_everywhere(&book, &block, case_encoded, bytes) == (bits == 4));
      }
      assert_true(!decode_everywhere(&book, &block, case_encoded, bytes - 1));
      assert_true(!decode_everywhere(&book, &block, case_encoded, bytes + 1));
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
    uint8_t *data = case_encoded;
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
    cmocka_unit_test(test_levels),        cmocka_unit_test(test_fields), cmocka_unit_test(test_plain),       cmocka_unit_test(test_damaged),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
