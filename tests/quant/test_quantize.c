/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quantizer's parts against the plain way to say them: range, tables, codes.
 * (tests/convert/test_golden_quant.py compares whole tensors with the golden
 * vectors.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "quant/quantize.h"

enum { MOST = 3000 };
static const ellm_dtype dtypes[] = {ELLM_F32, ELLM_F16, ELLM_BF16};

static uint64_t random_state = 1;
static uint32_t random_u32(void) {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(random_state >> 32);
}

static double value_at(ellm_dtype dtype, const uint8_t *data, size_t i) {
  if (dtype == ELLM_F32) return (double)float_from_bits(load_u32(data + 4 * i));
  return (double)(dtype == ELLM_F16 ? float_from_f16(load_u16(data + 2 * i)) : float_from_bf16(load_u16(data + 2 * i)));
}

/* All bit patterns occur; those that are not allowed become small unless `wild`. */
static void fill(ellm_dtype dtype, uint8_t *data, size_t n, bool wild) {
  const size_t size = ellm_dtype_size(dtype);
  for (size_t i = 0; i < n * size; i++) data[i] = (uint8_t)random_u32();
  for (size_t i = 0; i < n && !wild; i++) {
    if (!(fabs(value_at(dtype, data, i)) <= 1e30)) data[size * i + size - 1] = 0x80;
  }
}

static void range_is_exact(void **state) {
  (void)state;
  static uint8_t data[4 * MOST + 1];
  unsigned bad = 0, good = 0;
  for (int round = 0; round < 600; round++) {
    const ellm_dtype dtype = dtypes[round % 3];
    const size_t n = 1 + random_u32() % (round % 2 ? 40 : MOST);
    fill(dtype, data + 1, n, round % 5 == 0);
    quant_range want = QUANT_RANGE_EMPTY, have = QUANT_RANGE_EMPTY;
    for (size_t i = 0; i < n && !want.bad; i++) {
      const double w = value_at(dtype, data + 1, i);
      want.bad = !(fabs(w) <= 1e30);
      want.bad_index = 7 + i;
      want.lo = w < want.lo ? w : want.lo;
      want.hi = w > want.hi ? w : want.hi;
    }
    quant_range_add(&have, dtype, data + 1, n, 7);
    assert_true(have.bad == want.bad);
    if (want.bad) {
      assert_int_equal(have.bad_index, want.bad_index);
      bad++;
    } else {
      assert_true(have.lo == want.lo && have.hi == want.hi);
      good++;
    }
  }
  assert_true(bad > 20 && good > 100);
}

static void range_limits(void **state) {
  (void)state;
  const uint8_t last[4] = {0xc9, 0xf2, 0x49, 0x71}, beyond[4] = {0xca, 0xf2, 0x49, 0x71}; /* next to 1e30 */
  quant_range range = QUANT_RANGE_EMPTY;
  quant_range_add(&range, ELLM_F32, last, 1, 0);
  assert_false(range.bad);
  quant_range_add(&range, ELLM_F32, beyond, 1, 1);
  assert_true(range.bad && range.bad_index == 1 && range.bad_value > 1e30);
  for (size_t d = 0; d < 2; d++) { /* every half pattern on its own */
    for (unsigned pattern = 0; pattern < 65536; pattern++) {
      uint8_t data[4] = {0};
      store_u16(data, (uint16_t)pattern);
      const double w = value_at(dtypes[1 + d], data, 0);
      range = QUANT_RANGE_EMPTY;
      quant_range_add(&range, dtypes[1 + d], data, 1, 0);
      assert_true(range.bad == !(fabs(w) <= 1e30));
      assert_true(range.bad || (range.lo == w && range.hi == w));
    }
  }
  quant_range_add(&range, ELLM_F32, NULL, 0, 0); /* nothing */
}

static void codes_agree(void **state) {
  (void)state;
  static uint8_t table[65536], floats[4 * MOST], codes[MOST];
  for (int bits = 2; bits <= 8; bits++) {
    for (int scheme = 0; scheme < 3; scheme++) {
      const double span = ldexp(1, (int)(random_u32() % 40) - 20);
      const quant_params params = quant_choose(-span, 0.7 * span, bits, (ellm_scheme)scheme);
      for (size_t d = 1; d < 3; d++) {
        quant_table(dtypes[d], &params, table);
        for (unsigned pattern = 0; pattern < 65536; pattern++) {
          uint8_t data[4] = {0};
          store_u16(data, (uint16_t)pattern);
          const double w = value_at(dtypes[d], data, 0);
          assert_int_equal(table[pattern], fabs(w) <= 1e30 ? quant_code(w, &params) : params.scales.zero);
        }
      }
      fill(ELLM_F32, floats, MOST, false);
      for (size_t i = 0; i < MOST; i += 2)
        store_u32(floats + 4 * i, float_bits((float)(span * ((double)random_u32() / 2147483648.0 - 1))));
      for (size_t i = 0; i < MOST; i += 10) /* ties */
        store_u32(floats + 4 * i, float_bits(((float)(random_u32() % 256) - 127.5f) * params.scales.step));
      quant_encode_f32(floats, MOST, &params, codes);
      for (size_t i = 0; i < MOST; i++) assert_int_equal(codes[i], quant_code(value_at(ELLM_F32, floats, i), &params));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(range_is_exact), cmocka_unit_test(range_limits),
                                     cmocka_unit_test(codes_agree)};
  return cmocka_run_group_tests_name("quantize", tests, NULL, NULL);
}
