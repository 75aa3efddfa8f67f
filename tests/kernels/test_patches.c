/* SPDX-License-Identifier: Apache-2.0 */
/* Patches in products, against plain sums over whole codes; and one token's product against many tokens'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cases.h"
#include "kernels/patches.h"

enum { MOST_PATCHES = 600, TOKENS = 5 };

static int32_t whole[CODER_MAX_CODES]; /* codes of the block at hand with their differences, tile order */
static coder_patch list[MOST_PATCHES];
static uint8_t stored[CODER_MAX_BLOCK_BYTES];

/* A random block in case_source, patches for it. */
static coder_patches make_patches(coder_block *block, int bits, int zero) {
  *block = random_block(1);
  fill_codes(block, bits, 255);
  block->columns = CODER_TILE_COLUMNS * block->tiles - random_below(4);
  block->rows = block->panels * block->panel_rows - (block->panel_rows > 1 ? random_below(block->panel_rows) : 0);
  block->first_column = 256 * random_below(3);
  const size_t n_codes = block_codes(block), n_wanted = random_below(MOST_PATCHES);
  size_t n = 0;
  for (size_t i = 0; i < n_codes; i++) whole[i] = case_source[i];
  for (size_t i = 0; i < n_codes && n < n_wanted; i++) {
    uint32_t row, column;
    coder_patch_where(block, (uint32_t)i, &row, &column);
    if (row >= block->rows || column >= block->columns || random_below((uint32_t)n_codes) >= n_wanted) continue;
    list[n] = (coder_patch){(uint32_t)i, (int32_t)random_below(random_below(5) ? 60 : 1500) + 1};
    if (random_below(2)) list[n].difference = -list[n].difference;
    case_source[i] = list[n].difference < 0 ? 0 : (uint8_t)((1 << bits) - 1);
    whole[i] = case_source[i] + list[n].difference;
    n++;
  }
  coder_patches_store(list, n, stored);
  const uint8_t *at = stored;
  size_t bytes = coder_patches_bytes(list, n);
  coder_patches patches;
  assert_true(coder_patches_take(&at, &bytes, &patches));
  assert_true(coder_patches_valid(&patches, block, &(coder_codebook){.bits = (uint8_t)bits}, zero));
  return patches;
}

static size_t place_of(const coder_block *block, size_t row, size_t column) {
  const size_t panel = row / block->panel_rows;
  return ((panel * block->tiles + column / 4) * block->panel_rows + row % block->panel_rows) * 4 + column % 4;
}

static int get_q(const kernel_activations *a, size_t token, size_t i) {
  const size_t at = token * a->stride + i;
  return a->low[at] + (a->digits == 2 ? 256 * a->high[at] : 0);
}

static void test_products(void **state) {
  (void)state;
  random_state = 51;
  static float x[TOKENS][20000], y[TOKENS * 4096], y_block[TOKENS * 4096], y_one[4096];
  static int32_t sums[KERNEL_MAX_SUMS], added[TOKENS * KERNEL_MAX_SUMS];
  for (int round = 0; round < 120; round++) {
    const int bits = 2 + round % 7, zero = 1 << (bits - 1);
    coder_block block;
    const coder_patches patches = make_patches(&block, bits, zero);
    const quant_scales scales = {.step = 1, .zero = zero};
    const size_t columns = block.first_column + block.columns;
    const unsigned digits = 1 + random_below(2);
    void *memory = ellm_aligned_calloc(kernel_activations_bytes(columns, TOKENS, digits), 1);
    kernel_activations a;
    kernel_activations_init(&a, memory, columns, TOKENS, digits);
    for (size_t t = 0; t < TOKENS; t++) {
      for (size_t i = 0; i < columns; i++) x[t][i] = (float)(int32_t)random_u64() * 0x1p-31f;
      kernels_at(0)->quantize_activations(x[t], NULL, &a, t);
    }
    const size_t groups = kernel_block_groups(&block, &a);
    coder_codebook plain;
    assert_true(coder_codebook_plain(bits, 0, block.panel_rows, &plain));
    size_t bytes;
    assert_true(encode(&plain, &block, &bytes));
    kernel_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
    for (size_t k = 0; kernels_at(k); k++) {
      const kernel_table *table = kernels_at(k);
      memset(y, 0, sizeof y);
      uint32_t from = 0, n_patches = 0;
      for (uint32_t p = 0; p < block.panels; p++) {
        const coder_patches of_panel = kernel_panel_patches(&patches, &block, p, &from);
        n_patches += of_panel.n;
        kernel_patch_added(&of_panel, &block, &a, 0, TOKENS, added);
        const uint32_t first = p * block.panel_rows, left = block.rows - first;
        table->multiply_finish(case_source + (size_t)p * block.tiles * 4 * block.panel_rows, &block, &a, 0, TOKENS,
                               &scales, of_panel.n > 0 ? added : NULL,
                               left < block.panel_rows ? left : block.panel_rows, y + first, 4096);
      }
      assert_int_equal(n_patches, patches.n);
      memset(y_block, 0, sizeof y_block);
      assert_true(table->multiply_block(&plain, &block, case_encoded, bytes, &patches, scratch, &a, 0, TOKENS, &scales,
                                        y_block, 4096));
      assert_memory_equal(y, y_block, sizeof y);
      for (size_t t = 0; t < TOKENS; t++) {
        assert_true(table->dot_block(&plain, &block, case_encoded, bytes, scratch, &a, t, sums));
        kernel_patch_sums(&patches, &block, &a, t, sums);
        memset(y_one, 0, sizeof y_one);
        table->dot_finish(sums, &block, &a, t, &scales, block.rows, y_one);
        assert_memory_equal(y_one, y + t * 4096, block.rows * sizeof *y);
        for (size_t row = 0; k == 0 && row < block.rows; row++) { /* the sums of whole codes */
          float want = 0;
          for (size_t g = 0; g < groups; g++) {
            int64_t sum = 0;
            for (size_t c = g * a.group; c < (g + 1) * a.group && c < block.columns; c++)
              sum += (int64_t)(whole[place_of(&block, row, c)] - zero) * get_q(&a, t, block.first_column + c);
            assert_true(sum == (int32_t)sum);
            want = fmaf((float)sum, a.scale[t * a.n_groups + block.first_column / a.group + g], want);
          }
          assert_true(want == y_one[row]);
        }
      }
    }
    ellm_aligned_free(scratch);
    ellm_aligned_free(memory);
  }
}

/* A place that the block does not have is passed over. */
static void test_beyond(void **state) {
  (void)state;
  const coder_block block = {.panels = 1, .rows = 16, .columns = 8, .tiles = 2, .panel_rows = 16};
  const coder_patch beyond[] = {{4, 2}, {128, 7}, {16383, 7}};
  coder_patches_store(beyond, 3, stored);
  const coder_patches patches = {stored + 2, 3};
  void *memory = ellm_aligned_calloc(kernel_activations_bytes(8, 1, 2), 1);
  kernel_activations a;
  kernel_activations_init(&a, memory, 8, 1, 2);
  const float x[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  kernels_at(0)->quantize_activations(x, NULL, &a, 0);
  int32_t sums[16] = {0};
  kernel_patch_sums(&patches, &block, &a, 0, sums);
  for (int i = 0; i < 16; i++) assert_int_equal(sums[i], i == 1 ? 2 * 32639 : 0);
  ellm_aligned_free(memory);
}

static void test_tiles(void **state) {
  (void)state;
  random_state = 52;
  static uint8_t full[CODER_MAX_CODES * 16];
  static float w[CODER_MAX_CODES * 16];
  static uint16_t rows[CODER_PANEL_ROWS], factors[20000];
  for (int round = 0; round < 60; round++) {
    const int bits = 2 + round % 7, zero = 1 << (bits - 1);
    coder_block block;
    const coder_patches patches = make_patches(&block, bits, zero);
    const size_t tile_codes = 4 * (size_t)block.panel_rows;
    for (size_t i = 0; i < CODER_PANEL_ROWS; i++) rows[i] = random_factor();
    for (size_t i = 0; i < 4 * (size_t)block.tiles; i++) factors[i] = random_factor();
    uint32_t from = 0;
    for (uint32_t p = 0; p < block.panels; p++) {
      const coder_patches of_panel = kernel_panel_patches(&patches, &block, p, &from);
      const size_t skipped = random_below(block.tiles), n_tiles = block.tiles - skipped;
      const size_t first = (p * (size_t)block.tiles + skipped) * tile_codes;
      for (size_t t = 0; t < n_tiles; t++) memcpy(full + t * 64, case_source + first + t * tile_codes, tile_codes);
      const quant_scales scales = {
          .step = 0.37f, .zero = zero, .rows = rows, .columns = round % 2 ? factors + 4 * skipped : NULL};
      kernels_best()->tiles_from_codes(full, n_tiles, &scales, w);
      kernel_patch_tiles(&of_panel, &block, (uint32_t)first, n_tiles, full, &scales, w);
      for (size_t i = 0; i < n_tiles * tile_codes; i++) {
        const size_t tile = i / tile_codes, row = i % tile_codes / 4, column = i % 4;
        const float want = quant_weight(&scales, whole[first + i], row, 4 * tile + column);
        assert_true(w[tile * 64 + column * 16 + row] == want);
      }
    }
  }
}

static int setup(void **state) {
  (void)state;
  return case_setup();
}
static int teardown(void **state) {
  (void)state;
  case_teardown();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_beyond),
                                     cmocka_unit_test(test_tiles)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
