/* SPDX-License-Identifier: Apache-2.0 */
/* Elements in two parts (quant/exact.h) and blocks of them (kernels/exact.h): everything comes back bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/exact.h"
#include "kernels/kernels.h"
#include "random.h"

/* All patterns of 16 bits, and some of 32; the code is the exponent, the sign leads the rest. */
static void test_elements(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < 65536; bits++) {
    const uint8_t code = exact_code(2, bits);
    const uint32_t rest = exact_rest(2, bits);
    assert_true(rest < 256 && code == (bits >> 7 & 0xff) && rest >> 7 == bits >> 15);
    assert_int_equal(exact_bits(2, code, rest), bits);
    assert_int_equal(code >= exact_not_finite(ELLM_BF16), (bits & 0x7f80) == 0x7f80);
    assert_int_equal(code >= exact_not_finite(ELLM_F16), (bits & 0x7c00) == 0x7c00);
  }
  for (int i = 0; i < 200000; i++) {
    const uint32_t bits = (uint32_t)random_u64(), rest = exact_rest(4, bits);
    assert_true(rest < 1u << 24 && exact_code(4, bits) == (bits >> 23 & 0xff));
    assert_int_equal(exact_bits(4, exact_code(4, bits), rest), bits);
  }
  assert_int_equal(exact_rest(4, 0xbf800000) & 0xffff, 0); /* a number of 16 bits, widened: two bytes of 0 */
}

enum { MOST = CODER_MAX_CODES };
static uint8_t source[4 * MOST + 1], back[4 * MOST + 1], codes[MOST + CODER_SLACK], planes[3 * MOST];
static float tiles[MOST], want[MOST], row_values[MOST];

static void check_tiles(const coder_block *block, ellm_dtype dtype, const exact_form *form, size_t stride) {
  const size_t size = ellm_dtype_size(dtype);
  for (uint32_t p = 0; p < block->panels; p++) {
    const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
    const uint32_t first = p * block->panel_rows, left = block->rows - first;
    const uint32_t n = left < block->panel_rows ? left : block->panel_rows;
    for (uint32_t r = 0; r < n; r++) rows[r] = source + (first + r) * stride;
    kernels_find("scalar")->tiles_from_rows(dtype, rows, n, block->columns, 0, want);
    exact_tiles(block, dtype, form, codes, planes, (size_t)p * block->tiles * CODER_TILE_COLUMNS * block->panel_rows,
                block->tiles, tiles);
    for (uint32_t r = 0; r < n; r++)
      for (uint32_t c = 0; c < block->columns; c++) {
        const size_t i = ((size_t)(c / 4) * CODER_TILE_COLUMNS + c % 4) * CODER_PANEL_ROWS + r;
        assert_int_equal(float_bits(tiles[i]), float_bits(want[i]));
      }
    exact_row(block, dtype, form, codes, planes, first, row_values);
    for (uint32_t c = 0; c < block->columns; c++)
      assert_int_equal(float_bits(row_values[c]),
                       float_bits(want[((size_t)(c / 4) * CODER_TILE_COLUMNS + c % 4) * CODER_PANEL_ROWS]));
    assert_true(size > 0);
  }
}

static void check_block(uint64_t rows, uint64_t columns, ellm_dtype dtype, unsigned omitted, bool special) {
  const size_t size = ellm_dtype_size(dtype), stride = (size_t)columns * size;
  const exact_form form = {.used = true, .omitted = omitted, .planes = (unsigned)size - 1 - omitted};
  coder_geometry geometry;
  uint32_t row, column;
  assert_true(coder_geometry_init(&geometry, rows, columns));
  assert_int_equal(geometry.n_blocks, 1);
  const coder_block block = coder_geometry_block(&geometry, 0);
  for (uint64_t i = 0; i < rows * columns; i++) {
    uint32_t bits = (uint32_t)random_u64();
    if (!special) bits &= ~(UINT32_C(1) << 30); /* the exponent's highest bit: nothing is infinite or NaN */
    if (size == 2) bits >>= 16;
    bits = exact_bits(size, exact_code(size, bits), exact_rest(size, bits) >> 8 * omitted << 8 * omitted);
    exact_store(size, bits, source + i * size);
  }
  exact_split_block(&block, dtype, &form, source, stride, 5, codes, planes);
  memset(back, 0xcc, sizeof back);
  exact_join_block(&block, dtype, &form, codes, planes, back, stride);
  assert_memory_equal(back, source, rows * stride);
  assert_int_equal(back[rows * stride], 0xcc);
  if (!special) {
    assert_false(exact_find_not_finite(&block, dtype, codes, &row, &column));
    check_tiles(&block, dtype, &form, stride);
    const uint64_t at = random_below((unsigned)(rows * columns));
    exact_store(size, dtype == ELLM_F32 ? 0x7f800000 : dtype == ELLM_F16 ? 0x7c00 : 0xff80, source + at * size);
    exact_split_block(&block, dtype, &form, source, stride, 5, codes, planes);
    assert_true(exact_find_not_finite(&block, dtype, codes, &row, &column));
    assert_int_equal(row * columns + column, at);
  }
}

static void test_blocks(void **state) {
  (void)state;
  static const uint64_t shapes[][2] = {{1, 1}, {3, 7}, {16, 4}, {17, 5}, {40, 33}, {2, 1001}, {16, 1024}, {64, 252}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int special = 0; special < 2; special++) {
      check_block(shapes[i][0], shapes[i][1], ELLM_BF16, 0, special != 0);
      check_block(shapes[i][0], shapes[i][1], ELLM_F16, 0, special != 0);
      for (unsigned omitted = 0; omitted < 3; omitted++)
        check_block(shapes[i][0], shapes[i][1], ELLM_F32, omitted, special != 0);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements), cmocka_unit_test(test_blocks)};
  return cmocka_run_group_tests_name("elements stored exactly", tests, NULL, NULL);
}
