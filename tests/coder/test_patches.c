/* SPDX-License-Identifier: Apache-2.0 */
/* Patches: every difference comes back, in one form only, and what breaks a rule is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "coder/patches.h"

static const coder_block block = {.panels = 2, .rows = 27, .columns = 500, .tiles = 125, .panel_rows = 16};

static uint8_t *stored(const coder_patch *whole, size_t n, size_t *bytes) {
  *bytes = coder_patches_bytes(whole, n);
  assert_true(*bytes != SIZE_MAX);
  uint8_t *data = malloc(*bytes); /* of that size exactly, for the sanitizers */
  assert_non_null(data);
  coder_patches_store(whole, n, data);
  return data;
}

static bool valid(const coder_patch *whole, size_t n, const coder_block *where, int bits, int zero) {
  size_t bytes, left;
  uint8_t *data = stored(whole, n, &bytes);
  const uint8_t *at = data;
  coder_patches patches;
  left = bytes;
  assert_true(coder_patches_take(&at, &left, &patches));
  assert_int_equal(left, 0);
  const bool good = coder_patches_valid(&patches, where, &(coder_codebook){.bits = (uint8_t)bits}, zero);
  free(data);
  return good;
}

static void test_differences(void **state) {
  (void)state;
  static const int32_t differences[] = {1, -1, 510, 511, 512, -511, -512, -513, 1021, 1022, 1023, -1024, -1025, 33000};
  for (size_t i = 0; i < sizeof differences / sizeof *differences; i++) {
    const coder_patch whole[2] = {{77, differences[i]}, {78, 3}};
    size_t bytes, left;
    uint8_t *data = stored(whole, 2, &bytes);
    const uint8_t *at = data;
    coder_patches patches;
    left = bytes;
    assert_true(coder_patches_take(&at, &left, &patches));
    assert_int_equal(bytes, coder_patches_size(patches.n));
    int32_t sum = 0;
    for (uint32_t k = 0; k + 1 < patches.n; k++) {
      const coder_patch patch = coder_patch_at(&patches, k);
      assert_int_equal(patch.place, 77);
      sum += patch.difference;
    }
    assert_int_equal(sum, differences[i]);
    assert_int_equal(coder_patch_at(&patches, patches.n - 1).place, 78);
    assert_int_equal(coder_patches_places(&patches), 2);
    assert_true(coder_patches_valid(&patches, &block, &(coder_codebook){.bits = 8}, 128));
    for (size_t n = 0; n < bytes; n++) { /* cut short */
      at = data;
      left = n;
      assert_false(coder_patches_take(&at, &left, &patches));
    }
    free(data);
  }
}

static void test_places(void **state) {
  (void)state;
  for (uint32_t place = 0; place < 2 * 125 * 64; place++) {
    uint32_t row, column;
    coder_patch_where(&block, place, &row, &column);
    const uint32_t panel = place / (125 * 64), in_panel = place % (125 * 64);
    assert_int_equal(row, panel * 16 + in_panel % 64 / 4);
    assert_int_equal(column, in_panel / 64 * 4 + in_panel % 4);
    const coder_patch one = {place, 5};
    assert_int_equal(valid(&one, 1, &block, 4, 8), row < 27);
  }
  const coder_patch beyond = {2 * 125 * 64, 5};
  assert_false(valid(&beyond, 1, &block, 4, 8));
  const coder_block low = {.panels = 1, .rows = 3, .columns = 10, .tiles = 3, .panel_rows = 3};
  for (uint32_t place = 0; place < 36; place++) {
    const coder_patch one = {place, -9};
    assert_int_equal(valid(&one, 1, &low, 2, 1), place < 24 || place % 4 < 2);
  }
}

/* Written by hand: orders that coder_patches_store does not give. */
static bool raw_valid(const uint32_t *words, uint16_t n) {
  uint8_t data[64];
  store_u16(data, n);
  for (uint16_t i = 0; i < n; i++)
    for (int k = 0; k < 3; k++) data[2 + 3 * i + k] = (uint8_t)(words[i] >> 8 * k);
  const uint8_t *at = data;
  size_t bytes = 2 + 3u * n;
  coder_patches patches;
  assert_true(coder_patches_take(&at, &bytes, &patches));
  return coder_patches_valid(&patches, &block, &(coder_codebook){.bits = 4}, 8);
}

static uint32_t word(uint32_t place, int difference) { return place | ((uint32_t)difference & 1023) << 14; }

static void test_order(void **state) {
  (void)state;
  assert_true(raw_valid((uint32_t[]){word(5, 1), word(6, -1)}, 2));
  assert_false(raw_valid((uint32_t[]){word(6, 1), word(5, -1)}, 2));
  assert_false(raw_valid((uint32_t[]){word(5, 0)}, 1));
  assert_false(raw_valid((uint32_t[]){word(5, 1), word(5, 1)}, 2));
  assert_true(raw_valid((uint32_t[]){word(5, 511), word(5, 1)}, 2));
  assert_true(raw_valid((uint32_t[]){word(5, 511), word(5, 511), word(5, 511)}, 3));
  assert_false(raw_valid((uint32_t[]){word(5, 511), word(5, -1)}, 2));
  assert_false(raw_valid((uint32_t[]){word(5, 510), word(5, 511)}, 2));
  assert_true(raw_valid((uint32_t[]){word(5, -512), word(5, -1)}, 2));
  assert_false(raw_valid((uint32_t[]){word(5, -512), word(5, 1)}, 2));
}

/* The bound of a row and 256 columns: at it, and one beyond. */
static void test_bound(void **state) {
  (void)state;
  static const struct { int bits, zero; } books[] = {{2, 1}, {4, 8}, {8, 128}, {8, 0}, {8, 255}, {5, 16}};
  for (size_t i = 0; i < sizeof books / sizeof *books; i++) {
    const int top = (1 << books[i].bits) - 1, zero = books[i].zero;
    const int32_t most = 65795 - 256 * (zero > top - zero ? zero : top - zero), half = most / 2;
    for (int over = 0; over < 2; over++) {
      /* row 1: columns 2 and 252; the next 256 columns, and row 2, count for themselves */
      coder_patch whole[] = {{6, half}, {10, most}, {63 * 64 + 4, -(most - half + over)}, {64 * 64 + 4, most}};
      assert_int_equal(valid(whole, 4, &block, books[i].bits, zero), !over);
    }
  }
}

/* The same for fields, whose codes are fewer. */
static void test_bound_of_fields(void **state) {
  (void)state;
  coder_codebook book;
  assert_true(coder_codebook_fields(8, 4, 120, 128, 16, &book));
  for (int32_t over = 0; over < 2; over++) {
    const int32_t most = 65795 - 256 * 8; /* of zero 128, 8 above 120 */
    coder_patch whole[] = {{6, most + over}};
    size_t bytes;
    uint8_t *data = stored(whole, 1, &bytes);
    const coder_patches patches = {data + CODER_PATCHES_HEAD, (uint32_t)((bytes - 2) / 3)};
    assert_int_equal(coder_patches_valid(&patches, &block, &book, 128), !over);
    free(data);
  }
}

static void test_clip(void **state) {
  (void)state;
  coder_codebook book;
  coder_patch patches[8];
  assert_true(coder_codebook_fields(8, 2, 120, 121, 16, &book));
  uint8_t codes[8] = {120, 123, 119, 124, 0, 255, 121, 122};
  static const uint8_t whole[8] = {120, 123, 119, 124, 0, 255, 121, 122}, clipped[8] = {120, 123, 120, 123, 120, 123, 121, 122};
  assert_int_equal(coder_clip(&book, codes, 8, patches), 4);
  assert_memory_equal(codes, clipped, 8);
  static const coder_patch want[4] = {{2, -1}, {3, 1}, {4, -120}, {5, 132}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(patches[i].place, want[i].place);
    assert_int_equal(patches[i].difference, want[i].difference);
  }
  size_t bytes;
  uint8_t *data = stored(patches, 4, &bytes);
  const coder_patches list = {data + CODER_PATCHES_HEAD, 4};
  assert_true(coder_patch_codes(&list, 8, codes));
  assert_memory_equal(codes, whole, 8);
  memcpy(codes, clipped, 8);
  assert_false(coder_patch_codes(&list, 7, codes)); /* as far as it goes */
  assert_int_equal(codes[5], 127);
  free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences), cmocka_unit_test(test_places),
                                     cmocka_unit_test(test_order), cmocka_unit_test(test_bound),
                                     cmocka_unit_test(test_bound_of_fields), cmocka_unit_test(test_clip)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
