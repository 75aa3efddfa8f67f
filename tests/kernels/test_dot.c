/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer matrix products of every instruction set against plain sums over the
 * codes that the scalar decoder gives: same sums for blocks of every kind, same
 * verdict on damaged ones; activations and the floats made of sums bit by bit.
 * All buffers end, with exactly the slack that is promised, at a page without access.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cases.h"
#include "kernels/kernels.h"

enum { MAX_COLUMNS = 16384 + 1024, MAX_TOKENS = 27 };

typedef struct fixture {
  guarded data, scratch, sums, memory, panel;
  uint8_t codes[CODER_MAX_CODES + CODER_SLACK];
  int32_t expected[KERNEL_MAX_SUMS];
  coder_scratch oracle_scratch;
} fixture;

static fixture fix;

static int setup(void **state) {
  (void)state;
  fix.data = guarded_create(CODER_MAX_BLOCK_BYTES + CODER_SLACK + 4096);
  fix.scratch = guarded_create(sizeof(kernel_scratch) + 64);
  fix.sums = guarded_create(KERNEL_MAX_SUMS * sizeof(int32_t) * MAX_TOKENS);
  fix.memory = guarded_create(kernel_activations_bytes(MAX_COLUMNS, MAX_TOKENS, 2) + 64);
  fix.panel = guarded_create(CODER_MAX_CODES);
  return case_setup();
}

static int teardown(void **state) {
  (void)state;
  case_teardown();
  guarded_free(&fix.data);
  guarded_free(&fix.scratch);
  guarded_free(&fix.sums);
  guarded_free(&fix.memory);
  guarded_free(&fix.panel);
  return 0;
}

/* -------------------------------------------------------------- activations */

static kernel_activations activations(size_t columns, size_t n_tokens, unsigned digits) {
  kernel_activations a;
  const size_t bytes = kernel_activations_bytes(columns, n_tokens, digits);
  assert_true(bytes > 0 && bytes % 64 == 0);
  uint8_t *memory = guarded_tail(&fix.memory, bytes);
  memset(memory, 0x5a, bytes);
  kernel_activations_init(&a, memory, columns, n_tokens, digits);
  return a;
}

static int digit_limit(unsigned digits) { return digits == 2 ? 32639 : 127; }

static const size_t wide_place[4] = {0, 2, 1, 3}; /* of four columns */

static void put_q(kernel_activations *a, size_t token, size_t i, int q) {
  const size_t at = token * a->stride + i;
  const int low = a->digits == 2 ? ((q + 128) & 255) - 128 : q;
  a->low[at] = (int8_t)low;
  if (a->digits == 2) a->high[at] = (int8_t)((q - low) / 256);
  if (a->raised) a->raised[at] = (uint8_t)(q + 128);
  a->wide[at - i % 4 + wide_place[i % 4]] = (int16_t)q;
}
static int get_q(const kernel_activations *a, size_t token, size_t i) {
  const size_t at = token * a->stride + i;
  return a->low[at] + (a->digits == 2 ? 256 * a->high[at] : 0);
}

/* Sums of the activations as they are, any scales. */
static void fill_groups(kernel_activations *a, size_t token) {
  for (size_t g = 0; g < a->n_groups; g++) {
    int32_t sum = 0;
    for (size_t i = g * a->group; i < (g + 1) * a->group; i++) sum += get_q(a, token, i);
    a->sum[token * a->n_groups + g] = sum;
    a->scale[token * a->n_groups + g] = (float)(1 + random_below(1000)) * 0x1p-20f;
  }
}

/* kind 0: any value; 1: extremes; 2: all the largest; 3: all the smallest; 4: lowest low digits. */
static void fill_q(kernel_activations *a, size_t token, int kind) {
  const int limit = digit_limit(a->digits);
  for (size_t i = 0; i < a->n_groups * a->group; i++) {
    int q = (int)random_below((uint32_t)(2 * limit + 1)) - limit;
    if (kind == 1) q = random_below(2) ? limit : -limit;
    if (kind == 2) q = limit;
    if (kind == 3) q = -limit;
    if (kind == 4) q = a->digits == 2 ? (random_below(2) ? 126 * 256 + 128 : -128) : -limit;
    put_q(a, token, i, i < a->columns ? q : 0);
  }
  fill_groups(a, token);
}

/* What kernels.h says, in plain C; x as it is after the factors of columns. */
static void expect_digits(const kernel_activations *a, size_t token, const float *x) {
  const float limit = (float)digit_limit(a->digits);
  for (size_t g = 0; g < a->n_groups; g++) {
    const size_t first = g * a->group, end = first + a->group;
    float most = 0.0f;
    bool finite = true;
    for (size_t i = first; i < end && i < a->columns; i++) {
      if (!isfinite(x[i])) finite = false;
      if (fabsf(x[i]) > most) most = fabsf(x[i]);
    }
    const bool normal = finite && most >= 0x1p-100f;
    const float scale = a->scale[token * a->n_groups + g];
    if (!finite)
      assert_true(isnan(scale));
    else
      assert_true(scale == (normal ? most / limit : 0.0f));
    int64_t sum = 0;
    for (size_t i = first; i < end; i++) {
      const float inverse = normal ? limit / most : 0.0f;
      const float product = i < a->columns && normal ? x[i] * inverse : 0.0f;
      const int q = (int)nearbyintf(product);
      assert_int_equal(get_q(a, token, i), q);
      assert_int_equal(a->wide[token * a->stride + i - i % 4 + wide_place[i % 4]], q);
      if (a->digits == 1) assert_int_equal(a->raised[token * a->stride + i], q + 128);
      if (normal && i < a->columns) assert_true(fabsf(x[i] - (float)q * scale) <= 0.5001f * scale + 1e-7f * most);
      sum += q;
    }
    assert_true(a->sum[token * a->n_groups + g] == sum);
  }
}

static float random_activation(int kind) {
  const float unit = (float)(int32_t)random_u64() * 0x1p-31f;
  switch (kind) {
    case 0: return unit;
    case 1: return random_below(50) == 0 ? unit * 1000.0f : unit;
    case 2: return unit * 1e-32f;                            /* on both sides of 2^-100 */
    case 3: return unit * 0x1p-140f;                         /* subnormal */
    case 4: return (float)((int)random_below(255) - 127) * 0.5f; /* ties in one digit */
    case 5: return unit * 3e38f;
    case 6: return random_below(300) == 0 ? (random_below(2) ? INFINITY : NAN) : unit;
    default: return 0.0f;
  }
}

static void test_quantize(void **state) {
  (void)state;
  random_state = 31;
  static float x[4096], scaled[4096];
  static uint16_t factors[4096];
  for (int round = 0; round < 200; round++) {
    const unsigned digits = 1 + random_below(2);
    const bool with_factors = round % 3 == 1;
    const size_t columns = 1 + random_below(random_below(2) ? 70 : 2000), n_tokens = 1 + random_below(3);
    for (size_t i = 0; i < columns; i++) x[i] = random_activation(round % 8);
    for (size_t i = 0; i < columns; i++) factors[i] = random_factor();
    for (size_t i = 0; i < columns; i++) scaled[i] = with_factors ? x[i] * float_from_bf16(factors[i]) : x[i];
    const uint16_t *beyond = (uint16_t *)(void *)guarded_tail(&fix.data, columns * sizeof *factors);
    memcpy((void *)beyond, factors, columns * sizeof *factors);
    for (size_t i = 0; kernels_at(i); i++) {
      kernel_activations a = activations(columns, n_tokens, digits);
      for (size_t token = 0; token < n_tokens; token++) {
        kernels_at(i)->quantize_activations(x, with_factors ? beyond : NULL, &a, token);
        for (size_t t = 0; t <= token; t++) expect_digits(&a, t, scaled);
      }
    }
  }
}

/* -------------------------------------------------------------------- blocks */

static size_t n_sums(const coder_block *block, const kernel_activations *a) {
  return block->panels * kernel_block_groups(block, a) * CODER_PANEL_ROWS;
}

/* Sums over fix.codes in fix.expected. */
static void expect_sums(const coder_block *block, const kernel_activations *a, size_t token) {
  const size_t tile_bytes = CODER_TILE_COLUMNS * block->panel_rows, groups = kernel_block_groups(block, a);
  memset(fix.expected, 0, n_sums(block, a) * sizeof fix.expected[0]);
  for (size_t panel = 0; panel < block->panels; panel++)
    for (size_t column = 0; column < CODER_TILE_COLUMNS * (size_t)block->tiles; column++) {
      const uint8_t *codes = fix.codes + (panel * block->tiles + column / CODER_TILE_COLUMNS) * tile_bytes + column % 4;
      int32_t *sums = fix.expected + (panel * groups + column / a->group) * CODER_PANEL_ROWS;
      const int q = get_q(a, token, block->first_column + column);
      for (size_t row = 0; row < block->panel_rows; row++) sums[row] += codes[CODER_TILE_COLUMNS * row] * q;
    }
}

/* dot_block with all tables; returns the verdict. */
static bool dot_everywhere(const coder_codebook *book, const coder_block *block, const uint8_t *data, size_t bytes,
                           const kernel_activations *a, size_t token) {
  uint8_t *guarded_data = guarded_tail(&fix.data, bytes + CODER_SLACK);
  memcpy(guarded_data, data, bytes);
  for (size_t i = 0; i < CODER_SLACK; i++) guarded_data[bytes + i] = (uint8_t)random_u64();
  const bool good = coder_decode_block_scalar(book, block, guarded_data, bytes, &fix.oracle_scratch, fix.codes);
  if (good) expect_sums(block, a, token);

  const size_t n = n_sums(block, a);
  assert_true(n <= KERNEL_MAX_SUMS);
  int32_t *sums = (int32_t *)(void *)guarded_tail(&fix.sums, n * sizeof(int32_t));
  kernel_scratch *scratch = (kernel_scratch *)(void *)(fix.scratch.end - (sizeof(kernel_scratch) + 63) / 64 * 64);
  for (size_t i = 0; kernels_at(i); i++) {
    const kernel_table *table = kernels_at(i);
    memset(sums, 0xa5, n * sizeof(int32_t));
    memset(scratch, (int)(i + 1) * 37, sizeof *scratch);
    const bool result = table->dot_block(book, block, guarded_data, bytes, scratch, a, token, sums);
    if (result != good) fail_msg("%s: verdict %d, scalar %d", table->isa, result, good);
    for (size_t j = 0; good && j < n; j++)
      if (sums[j] != fix.expected[j])
        fail_msg(
            "%s: sum %zu of %zu is %d, not %d (kind %d bits %d raw %d tuple %d levels %d width %d panels %u tiles %u "
            "rows %u digits %u)",
            table->isa, j, n, sums[j], fix.expected[j], book->kind, book->bits, book->raw_bits, book->tuple,
            book->n_levels, book->width[0], block->panels, block->tiles, block->panel_rows, a->digits);
  }
  return good;
}

/* multiply_block with all tables for all tokens from `first` on, against the scalar sums and dot_finish. The bytes are
 * where dot_everywhere put them, `good` is its verdict. */
static void multiply_everywhere(const coder_codebook *book, const coder_block *block, size_t bytes,
                                const kernel_activations *a, size_t first, bool good) {
  enum { GAP = 3 };
  static float start[MAX_TOKENS * (4096 + GAP)], expected[MAX_TOKENS * (4096 + GAP)], y[MAX_TOKENS * (4096 + GAP)];
  const uint8_t *data = fix.data.end - bytes - CODER_SLACK;
  const size_t n_tokens = a->n_tokens - first, stride = block->rows + GAP, n = n_tokens * stride;
  const quant_scales scales = {.step = 1, .zero = (int)random_below(256)};
  const coder_patches none = {.n = 0};
  for (size_t i = 0; i < n; i++) start[i] = (float)random_below(1000);
  memcpy(expected, start, n * sizeof *start);
  for (size_t t = 0; good && t < n_tokens; t++) {
    expect_sums(block, a, first + t);
    kernels_at(0)->dot_finish(fix.expected, block, a, first + t, &scales, block->rows, expected + t * stride);
  }
  kernel_scratch *scratch = (kernel_scratch *)(void *)(fix.scratch.end - (sizeof(kernel_scratch) + 63) / 64 * 64);
  for (size_t i = 0; kernels_at(i); i++) {
    const kernel_table *table = kernels_at(i);
    memcpy(y, start, n * sizeof *start);
    memset(scratch, (int)(i + 1) * 73, sizeof *scratch);
    const bool result =
        table->multiply_block(book, block, data, bytes, &none, scratch, a, first, n_tokens, &scales, y, stride);
    if (result != good) fail_msg("%s: verdict %d, scalar %d", table->isa, result, good);
    for (size_t j = 0; j < n; j++)
      if (memcmp(&y[j], &expected[j], sizeof *y) != 0)
        fail_msg("%s: token %zu of %zu, row %zu of %u is %a, not %a (kind %d bits %d raw %d tuple %d tiles %u "
                 "digits %u)",
                 table->isa, j / stride, n_tokens, j % stride, block->rows, (double)y[j], (double)expected[j],
                 book->kind, book->bits, book->raw_bits, book->tuple, block->tiles, a->digits);
  }
}

/* Activations of some tokens for a block, which is put somewhere in the columns. */
static kernel_activations activations_for(coder_block *block, unsigned digits, int kind) {
  const uint32_t short_by = random_below(4);
  block->columns = CODER_TILE_COLUMNS * block->tiles - short_by;
  block->first_column = 256 * random_below(4);
  const size_t after = block->columns % 256 == 0 ? random_below(300) : 0;
  const size_t n_tokens = 2 + random_below(random_below(4) ? 8 : MAX_TOKENS - 1);
  kernel_activations a = activations(block->first_column + block->columns + after, n_tokens, digits);
  for (size_t t = 0; t < n_tokens; t++) fill_q(&a, t, t % 2 ? kind : 0);
  return a;
}

static void check_case(const coder_codebook *book, coder_block *block, size_t bytes, int kind) {
  for (unsigned digits = 1; digits <= 2; digits++) {
    const kernel_activations a = activations_for(block, digits, kind);
    assert_true(dot_everywhere(book, block, case_encoded, bytes, &a, 1));
    multiply_everywhere(book, block, bytes, &a, random_below(2), true);
  }
}

static void test_random(void **state) {
  (void)state;
  random_state = 32;
  for (int round = 0; round < 400; round++) {
    coder_codebook book;
    coder_block block;
    const size_t bytes = random_case(&book, &block);
    check_case(&book, &block, bytes, round % 5);
  }
}

/* Every kind of level 0, split of bits and remainder of tiles, one panel and more. */
static void test_levels(void **state) {
  (void)state;
  random_state = 33;
  static const uint32_t tile_counts[] = {1, 2, 7, 8, 9, 16, 30, 64, 72, 95, 128, 136, 200, 248, 256};
  for (int bits = 2; bits <= 8; bits++)
    for (int raw_bits = 0; raw_bits < bits; raw_bits++)
      for (int tuple = 1; tuple <= (bits - raw_bits <= 4 ? 2 : 1); tuple++)
        for (uint8_t width = 1; width <= 4; width++)
          for (int n_levels = 1; n_levels <= 3; n_levels++) {
            coder_codebook book;
            const uint32_t tiles = tile_counts[random_below(sizeof tile_counts / sizeof tile_counts[0])];
            coder_block block = {.panels = 1, .rows = 16, .tiles = tiles, .panel_rows = 16};
            book_recipe recipe = {.bits = bits,
                                  .raw_bits = raw_bits,
                                  .tuple = tuple,
                                  .max_leaves = 256,
                                  .n_levels = n_levels,
                                  .width = {width, (uint8_t)(1 + random_below(4)), (uint8_t)(1 + random_below(4))}};
            if (random_below(4) == 0) block.panels = 1 + random_below(256 / tiles);
            block.rows = 16 * block.panels;
            fill_codes(&block, bits, random_below(8) == 0 ? 255 : 60 + random_below(160));
            assert_true(make_book(&recipe, &block, &book));
            const size_t bytes = coder_encode_block(case_encoder, &book, &block, case_source, case_encoded);
            assert_true(bytes != CODER_NOT_CODABLE);
            check_case(&book, &block, bytes, (int)random_below(5));
          }
}

/* The largest codes by the largest activations, in every split of bits: no sum on the way overflows. */
static void test_largest(void **state) {
  (void)state;
  random_state = 38;
  for (int bits = 2; bits <= 8; bits++)
    for (int raw_bits = 0; raw_bits < bits; raw_bits++)
      for (int tuple = 1; tuple <= (bits - raw_bits <= 4 ? 2 : 1); tuple++)
        for (int kind = 1; kind < 5; kind++)
          for (int n_levels = 0; n_levels < 2; n_levels++) {
            coder_codebook book;
            coder_block block = {.panels = 1, .rows = 16, .tiles = 128, .panel_rows = 16};
            const book_recipe recipe = {.bits = bits, .raw_bits = raw_bits, .tuple = tuple, .max_leaves = 256,
                                        .n_levels = n_levels, .width = {(uint8_t)kind}};
            memset(case_source, (1 << bits) - 1, sizeof case_source);
            for (int i = 0; i < 8; i++) case_source[random_below(8192)] = (uint8_t)random_below(1u << bits);
            assert_true(make_book(&recipe, &block, &book));
            size_t bytes;
            assert_true(encode(&book, &block, &bytes));
            check_case(&book, &block, bytes, kind);
          }
}

/* Fields of every width and place, the largest sums among them. */
static void test_fields(void **state) {
  (void)state;
  random_state = 39;
  static const uint32_t tile_counts[] = {1, 2, 7, 8, 9, 16, 30, 64, 72, 128, 136, 200, 248, 256};
  for (int width = 2; width <= 6; width++)
    for (int bits = width; bits <= 8; bits++)
      for (size_t t = 0; t < sizeof tile_counts / sizeof tile_counts[0]; t++) {
        coder_codebook book;
        const uint32_t tiles = tile_counts[t];
        coder_block block = {.panels = 1, .tiles = tiles, .panel_rows = t % 5 == 0 ? 1 + random_below(16) : 16};
        if (random_below(4) == 0 && block.panel_rows == 16) block.panels = 1 + random_below(256 / tiles);
        block.rows = block.panel_rows * block.panels;
        const unsigned last = (1u << bits) - (1u << width), first = t % 3 == 0 ? last : random_below(last + 1);
        assert_true(make_fields(&block, bits, width, first, 255, &book));
        if (t % 4 == 0) /* the largest sums */
          memset(case_source, (int)(first + (1u << width) - 1), sizeof case_source);
        size_t bytes;
        assert_true(encode(&book, &block, &bytes));
        check_case(&book, &block, bytes, (int)t % 5);
        const kernel_activations a = activations_for(&block, 1 + (unsigned)t % 2, 0);
        assert_true(!dot_everywhere(&book, &block, case_encoded, bytes - 1, &a, 0));
        assert_true(!dot_everywhere(&book, &block, case_encoded, bytes + 1, &a, 0));
      }
}

static void test_plain(void **state) {
  (void)state;
  random_state = 34;
  for (int bits = 2; bits <= 8; bits++)
    for (int round = 0; round < 24; round++) {
      coder_block block = random_block(1);
      coder_codebook book;
      memset(&book, 0, sizeof book);
      book.kind = CODER_PLAIN;
      book.bits = (uint8_t)bits;
      book.tuple = 1;
      assert_true(coder_codebook_finish(&book, block.panel_rows));
      fill_codes(&block, bits, 255);
      if (round % 3 == 0) memset(case_source, (1 << bits) - 1, sizeof case_source); /* the largest sums */
      const size_t bytes = coder_encode_block(case_encoder, &book, &block, case_source, case_encoded);
      assert_true(bytes != CODER_NOT_CODABLE);
      check_case(&book, &block, bytes, round % 5);
      const kernel_activations a = activations_for(&block, 1 + (unsigned)round % 2, 0);
      assert_true(!dot_everywhere(&book, &block, case_encoded, bytes - 1, &a, 0));
      assert_true(!dot_everywhere(&book, &block, case_encoded, bytes + 1, &a, 0));
      if (bits != 4 && bits != 8) { /* a value beyond the width */
        case_encoded[0] = 0xff;
        assert_true(!dot_everywhere(&book, &block, case_encoded, bytes, &a, 0));
      }
    }
}

/* Flipped bits, cut and lengthened blocks, runs of one value, too many and too few escapes. */
static void test_damaged(void **state) {
  (void)state;
  random_state = 35;
  int accepted = 0, refused = 0;
  for (int round = 0; round < 2500; round++) {
    coder_codebook book;
    coder_block block;
    size_t bytes = random_case(&book, &block);
    uint8_t *data = case_encoded;
    if (book.kind == CODER_LEVELS && bytes > 0 && round % 2 == 0) { /* past the counts, so that lengths agree */
      const uint32_t counts = 2u * book.n_levels;
      for (uint32_t flips = 1 + random_below(3); flips > 0 && bytes > counts; flips--)
        data[counts + random_below((uint32_t)bytes - counts)] ^= (uint8_t)(1u << random_below(8));
    } else if (round % 8 == 1) {
      const uint32_t from = random_below((uint32_t)bytes + 1);
      memset(data + from, random_below(2) ? 0xff : 0, bytes - from);
    } else if (round % 8 == 3) {
      bytes = random_below((uint32_t)bytes + 1);
    } else if (round % 8 == 5) {
      bytes += 1 + random_below(100);
    } else {
      for (uint32_t flips = 1 + random_below(8); flips > 0; flips--)
        data[random_below((uint32_t)bytes + 1)] ^= (uint8_t)(1u << random_below(8));
    }
    const kernel_activations a = activations_for(&block, 1 + random_below(2), 1);
    const bool good = dot_everywhere(&book, &block, data, bytes, &a, 1);
    multiply_everywhere(&book, &block, bytes, &a, 0, good);
    *(good ? &accepted : &refused) += 1;
  }
  printf("# damaged blocks: %d accepted alike, %d refused alike\n", accepted, refused);
  assert_true(accepted > 20 && refused > 20);
}

/* ------------------------------------------------------------- many tokens, floats */

static void test_multiply(void **state) {
  (void)state;
  random_state = 36;
  for (int round = 0; round < 120; round++) {
    coder_block block = random_block(1);
    const int bits = 2 + (int)random_below(7);
    const unsigned digits = 1 + random_below(2);
    const size_t n_tokens = 1 + random_below(MAX_TOKENS), first = random_below((uint32_t)n_tokens),
                 count = n_tokens - first;
    fill_codes(&block, bits, 255);
    if (round % 4 == 0) memset(case_source, 255, sizeof case_source);
    block.columns = CODER_TILE_COLUMNS * block.tiles - random_below(4);
    block.first_column = 256 * random_below(4);
    block.panels = 1; /* the first is as good as any */
    kernel_activations a = activations(block.first_column + block.columns, n_tokens, digits);
    for (size_t t = 0; t < n_tokens; t++) fill_q(&a, t, (int)random_below(5));

    const size_t n = n_sums(&block, &a), codes = block_codes(&block);
    uint8_t *panel = guarded_tail(&fix.panel, codes);
    memcpy(panel, case_source, codes);
    memcpy(fix.codes, case_source, codes);
    int32_t *sums = (int32_t *)(void *)guarded_tail(&fix.sums, count * n * sizeof(int32_t));
    for (size_t i = 0; kernels_at(i); i++) {
      memset(sums, 0xa5, count * n * sizeof(int32_t));
      kernels_at(i)->multiply_codes(panel, &block, &a, first, count, sums);
      for (size_t t = 0; t < count; t++) {
        expect_sums(&block, &a, first + t);
        if (memcmp(sums + t * n, fix.expected, n * sizeof(int32_t)) != 0)
          fail_msg("%s: token %zu of %zu differs (tiles %u rows %u digits %u)", kernels_at(i)->isa, t, count,
                   block.tiles, block.panel_rows, digits);
      }
    }
  }
}

static void test_finish(void **state) {
  (void)state;
  random_state = 37;
  static float x[MAX_COLUMNS], y[4096 + 16], expected[4096];
  for (int round = 0; round < 200; round++) {
    coder_block block = random_block(1);
    block.columns = CODER_TILE_COLUMNS * block.tiles - random_below(4);
    block.rows = block.panels * block.panel_rows - (block.panel_rows > 1 ? random_below(block.panel_rows) : 0);
    block.first_column = 256 * random_below(3);
    const size_t columns = block.first_column + block.columns;
    for (size_t i = 0; i < columns; i++) x[i] = random_activation(round % 7);
    kernel_activations a = activations(columns, 2, 1 + random_below(2));
    kernels_at(0)->quantize_activations(x, NULL, &a, 1);
    const int zero = round % 3 == 0 ? 255 : (int)random_below(256);
    const quant_scales scales = {.step = 1, .zero = zero};
    fill_codes(&block, 8, 255);
    memcpy(fix.codes, case_source, block_codes(&block));
    expect_sums(&block, &a, 1);
    const size_t groups = kernel_block_groups(&block, &a), at = a.n_groups + block.first_column / a.group;
    for (size_t row = 0; row < block.rows; row++) {
      const float start = random_activation(0);
      expected[row] = start;
      for (size_t g = 0; g < groups; g++) {
        const size_t panel = row / block.panel_rows, lane = row % block.panel_rows;
        const int64_t sum = fix.expected[(panel * groups + g) * 16 + lane] - (int64_t)zero * a.sum[at + g];
        assert_true(sum == (int32_t)sum);
        expected[row] = fmaf((float)sum, a.scale[at + g], expected[row]);
      }
      y[row] = start;
    }
    static float from[4096];
    memcpy(from, y, sizeof from);
    for (size_t i = 0; kernels_at(i); i++) {
      memcpy(y, from, sizeof from);
      for (size_t row = block.rows; row < block.rows + 16u; row++) y[row] = 77.0f;
      kernels_at(i)->dot_finish(fix.expected, &block, &a, 1, &scales, block.rows, y);
      for (size_t row = 0; row < block.rows; row++)
        assert_true(isnan(expected[row]) ? isnan(y[row]) : memcmp(&y[row], &expected[row], sizeof(float)) == 0);
      for (size_t row = block.rows; row < block.rows + 16u; row++) assert_true(y[row] == 77.0f);
    }
  }
}

/* Products of many tokens to floats: the same bits as the sums and dot_finish of the scalar set. What patches add may
 * take the sums alone out of int32; with zero times the activations taken away they are in it again. */
/* Codes about `zero`, as far from it in each 32 columns as one of the limits up to which bytes or 16 bits hold sums, or a
 * step beyond; their signs alike in a quarter of them, so that nothing cancels. */
static void fill_near(const coder_block *block, int zero) {
  static const int distances[] = {1, 16, 17, 32, 33, 64, 65, 200};
  const size_t group_codes = 8 * CODER_TILE_COLUMNS * block->panel_rows, n = block_codes(block);
  int most = 0, kind = 0;
  for (size_t i = 0; i < n; i++) {
    if (i % group_codes == 0) {
      most = distances[random_below(sizeof distances / sizeof *distances)];
      kind = (int)random_below(4);
    }
    int d = random_below(2) ? most : -most;
    if (kind == 0) d = most;
    if (kind == 1) d = (int)random_below((uint32_t)(2 * most + 1)) - most;
    if (kind == 2 && random_below(100) > 0) d = d % 5;
    const int code = zero + d;
    case_source[i] = (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code);
  }
}

static void test_multiply_finish(void **state) {
  (void)state;
  random_state = 39;
  enum { STRIDE = 19 };
  static float x[MAX_COLUMNS], y[MAX_TOKENS * STRIDE], expected[MAX_TOKENS * STRIDE], start[MAX_TOKENS * STRIDE];
  static int32_t sums[KERNEL_MAX_SUMS], added[MAX_TOKENS * KERNEL_MAX_SUMS];
  for (int round = 0; round < 300; round++) {
    coder_block block = random_block(1);
    const bool near = round >= 150;
    const unsigned digits = near && round % 8 != 0 ? 1 : 1 + random_below(2);
    const size_t n_tokens = 1 + random_below(MAX_TOKENS), first = random_below((uint32_t)n_tokens),
                 count = n_tokens - first, n_rows = 1 + random_below(block.panel_rows);
    const int zero = near && round % 3 != 0 ? 128 : round % 3 == 0 ? 255 : (int)random_below(256);
    const quant_scales scales = {.step = 1, .zero = zero};
    fill_codes(&block, 8, 255);
    if (near)
      fill_near(&block, zero);
    else if (round % 4 == 0) memset(case_source, 255, sizeof case_source);
    block.columns = CODER_TILE_COLUMNS * block.tiles - random_below(4);
    block.first_column = 256 * random_below(3);
    block.panels = 1;
    const size_t columns = block.first_column + block.columns, codes = block_codes(&block);
    kernel_activations a = activations(columns, n_tokens, digits);
    for (size_t t = 0; t < n_tokens; t++) {
      for (size_t i = 0; i < columns; i++) x[i] = random_activation(round % 7);
      kernels_at(0)->quantize_activations(x, NULL, &a, t);
      if (near && t % 4 != 0) fill_q(&a, t, (int)(t % 4));
    }
    for (size_t i = 0; i < MAX_TOKENS * STRIDE; i++) start[i] = random_activation(0);
    memcpy(expected, start, sizeof expected);
    const bool with_added = round % 2 == 1;
    const size_t token_sums = kernel_block_groups(&block, &a) * CODER_PANEL_ROWS;
    for (size_t t = 0; t < count; t++) {
      kernels_at(0)->multiply_codes(case_source, &block, &a, first + t, 1, sums);
      for (size_t j = 0; j < token_sums; j++) {
        added[t * token_sums + j] = round % 4 == 1 && zero == 128 ? INT32_MAX / 2 : (int32_t)random_u64() / 4096;
        if (with_added) sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)added[t * token_sums + j]);
      }
      kernels_at(0)->dot_finish(sums, &block, &a, first + t, &scales, n_rows, expected + t * STRIDE);
    }
    uint8_t *panel = guarded_tail(&fix.panel, codes);
    memcpy(panel, case_source, codes);
    for (size_t i = 0; kernels_at(i); i++) {
      memcpy(y, start, sizeof y);
      kernels_at(i)->multiply_finish(panel, &block, &a, first, count, &scales, with_added ? added : NULL, n_rows, y,
                                     STRIDE);
      for (size_t j = 0; j < MAX_TOKENS * STRIDE; j++)
        if (isnan(expected[j]) ? !isnan(y[j]) : memcmp(&y[j], &expected[j], sizeof(float)) != 0)
          fail_msg("%s: token %zu of %zu, row %zu of %zu is %a, not %a (tiles %u digits %u)", kernels_at(i)->isa,
                   j / STRIDE, count, j % STRIDE, n_rows, (double)y[j], (double)expected[j], block.tiles, digits);
    }
  }
}

static void test_sizes(void **state) {
  (void)state;
  assert_true(kernel_activations_bytes(SIZE_MAX, 1, 2) == 0);
  assert_true(kernel_activations_bytes(SIZE_MAX / 4, 3, 1) == 0);
  assert_true(kernel_activations_bytes(1, SIZE_MAX / 64, 1) == 0);
  assert_true(kernel_activations_bytes(1, 1, 1) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_quantize), cmocka_unit_test(test_random),  cmocka_unit_test(test_levels),
    cmocka_unit_test(test_largest),  cmocka_unit_test(test_plain), cmocka_unit_test(test_fields),   cmocka_unit_test(test_damaged),
    cmocka_unit_test(test_multiply), cmocka_unit_test(test_finish),  cmocka_unit_test(test_multiply_finish),
    cmocka_unit_test(test_sizes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
