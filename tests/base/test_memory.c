/* SPDX-License-Identifier: Apache-2.0 */
/* Checked sizes, aligned memory, the growing buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static void checked_sizes(void **state) {
  (void)state;
  uint64_t u;
  size_t z;
  assert_true(ellm_mul_u64(0xffffffffu, 0x100000001u, &u));
  assert_true(u == UINT64_MAX);
  assert_false(ellm_mul_u64(0x100000000u, 0x100000000u, &u));
  assert_false(ellm_mul_u64(UINT64_MAX, 2, &u));
  assert_true(ellm_mul_u64(0, UINT64_MAX, &u) && u == 0);
  assert_true(ellm_mul_u64(UINT64_MAX, 0, &u) && u == 0);
  assert_true(ellm_add_u64(UINT64_MAX - 1, 1, &u) && u == UINT64_MAX);
  assert_false(ellm_add_u64(UINT64_MAX, 1, &u));
  assert_true(ellm_mul_size(3, SIZE_MAX / 3, &z) && z == SIZE_MAX);
  assert_false(ellm_mul_size(4, SIZE_MAX / 3, &z));
  assert_true(ellm_add_size(SIZE_MAX, 0, &z) && z == SIZE_MAX);
  assert_false(ellm_add_size(SIZE_MAX, SIZE_MAX, &z));
}

static void aligned(void **state) {
  (void)state;
  for (size_t bytes = 0; bytes < 300; bytes += 7) {
    uint8_t *memory = ellm_aligned_calloc(bytes, 1);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (size_t i = 0; i < bytes + 64; i++) assert_int_equal(memory[i], 0); /* AddressSanitizer watches */
    memset(memory, 0xff, bytes);
    ellm_aligned_free(memory);
  }
  ellm_aligned_free(NULL);
  assert_null(ellm_aligned_calloc(SIZE_MAX / 2, 3));
  assert_null(ellm_aligned_calloc(1, SIZE_MAX - 60));
}

static void buffer(void **state) {
  (void)state;
  ellm_buffer b = {0};
  assert_true(ellm_buffer_append(&b, NULL, 0));
  for (unsigned i = 0; i < 10000; i++) {
    const uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
    assert_true(ellm_buffer_append(&b, bytes, 3));
  }
  assert_int_equal(b.size, 30000);
  assert_true(b.capacity >= b.size && b.capacity < 4 * b.size);
  for (unsigned i = 0; i < 10000; i++) assert_int_equal(b.data[3 * i] | b.data[3 * i + 1] << 8, i);
  const size_t capacity = b.capacity;
  assert_false(ellm_buffer_reserve(&b, SIZE_MAX));
  assert_false(ellm_buffer_reserve(&b, SIZE_MAX - b.size));
  assert_int_equal(b.size, 30000); /* a refused request changes nothing */
  assert_int_equal(b.capacity, capacity);
  assert_int_equal(b.data[2], 7);
  assert_true(ellm_buffer_reserve(&b, 100000));
  assert_true(b.capacity - b.size >= 100000);
  const size_t before = b.size;
  assert_true(ellm_buffer_print(&b, "%s %d", "seven", 7) && ellm_buffer_print(&b, "."));
  assert_int_equal(b.size, before + strlen("seven 7."));
  assert_memory_equal(b.data + before, "seven 7.", strlen("seven 7."));
  ellm_buffer_free(&b);
  assert_null(b.data);
  assert_int_equal(b.size + b.capacity, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checked_sizes),
      cmocka_unit_test(aligned),
      cmocka_unit_test(buffer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
