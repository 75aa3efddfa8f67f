/* SPDX-License-Identifier: Apache-2.0 */
/* What the counts of a tensor tell: pad, entropy and Huffman lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "coder/gaussian.h"
#include "coder/statistics.h"

static void counts_and_pad(void **state) {
  (void)state;
  static uint8_t codes[1001];
  uint64_t counts[256] = {0}, expected[256] = {0};
  for (size_t i = 0; i < sizeof codes; i++) expected[codes[i] = gaussian_code(0.4, 8)]++;
  coder_count_codes(codes, 500, counts);
  coder_count_codes(codes + 500, 501, counts);
  for (unsigned q = 0; q < 256; q++) assert_int_equal(counts[q], expected[q]);
  const uint64_t ties[256] = {[3] = 7, [9] = 8, [200] = 8};
  assert_int_equal(coder_pad(ties), 9);
}

static void entropy_and_huffman(void **state) {
  (void)state;
  const uint64_t one[4] = {0, 9, 0, 0}, even[4] = {5, 5, 5, 5}, skewed[4] = {8, 4, 2, 2};
  assert_true(coder_entropy_bits(one, 4) == 0 &&
              coder_huffman_bits(one, 4) == 9); /* a bit each, as the golden rule counts */
  assert_true(fabs(coder_entropy_bits(even, 4) - 40) < 1e-9 && coder_huffman_bits(even, 4) == 40);
  assert_true(fabs(coder_entropy_bits(skewed, 4) - 28) < 1e-9 && coder_huffman_bits(skewed, 4) == 28);
  for (int round = 0; round < 200; round++) {
    uint64_t counts[256] = {0}, total = 0;
    const unsigned symbols = 2 + (unsigned)random_u64() % 255;
    for (unsigned i = 0; i < symbols; i++) total += counts[i] = (unsigned)random_u64() % (round % 2 ? 4 : 100000);
    if (total == 0) continue;
    const double entropy = coder_entropy_bits(counts, 256), huffman = (double)coder_huffman_bits(counts, 256);
    assert_true(huffman >= entropy - 1e-6 && huffman <= entropy + (double)total);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(counts_and_pad), cmocka_unit_test(entropy_and_huffman)};
  return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
