/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and stores; half precision against arithmetic in double, over all 65,536 halves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static void little_endian(void **state) {
  (void)state;
  const uint8_t bytes[9] = {0xff, 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88};
  assert_int_equal(load_u16(bytes + 1), 0x8201);
  assert_true(load_u32(bytes + 1) == 0x84038201u);
  assert_true(load_u64(bytes + 1) == 0x8807860584038201u);
  uint8_t out[9] = {0xff};
  store_u64(out + 1, 0x8807860584038201u);
  assert_memory_equal(out, bytes, 9);
  store_u32(out + 1, 0x84038201u);
  store_u16(out + 5, 0x8605 & 0xff05);
  assert_int_equal(out[1], 1);
  assert_int_equal(out[4], 0x84);
  assert_int_equal(out[5], 5);
}

/* The value of a finite half by its definition. */
static double half_value(uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 0x3ff;
  const double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
  return h & 0x8000 ? -magnitude : magnitude;
}

static void all_halves(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    const float f = float_from_f16((uint16_t)h);
    if ((h >> 10 & 31) == 31) {
      if ((h & 0x3ff) == 0) {
        assert_true(isinf(f) && !signbit(f) == !(h & 0x8000));
        assert_int_equal(f16_from_float(f), h);
      } else {
        assert_true(isnan(f));
        assert_int_equal(f16_from_float(f), h | 0x200); /* NaN stays NaN, becomes quiet, keeps its payload */
      }
    } else {
      assert_true((double)f == half_value((uint16_t)h));
      assert_int_equal(!signbit(f), !(h & 0x8000));
      assert_int_equal(f16_from_float(f), h);
    }
  }
}

/* Between two neighbours the nearer is chosen, halfway the even one. */
static void half_rounding(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 0x7c00; h++) {
    const float low = float_from_f16((uint16_t)h), high = h == 0x7bff ? 65536.0f : float_from_f16((uint16_t)(h + 1));
    const float middle = (low + high) / 2; /* exact */
    const uint32_t even = h & 1 ? h + 1 : h;
    for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
      const float s = sign ? -1.0f : 1.0f;
      assert_int_equal(f16_from_float(s * middle), even | sign);
      assert_int_equal(f16_from_float(s * nextafterf(middle, 0)), h | sign);
      assert_int_equal(f16_from_float(s * nextafterf(middle, INFINITY)), (h + 1) | sign);
    }
  }
  assert_int_equal(f16_from_float(1e30f), 0x7c00);
  assert_int_equal(f16_from_float(-3.4e38f), 0xfc00);
  assert_int_equal(f16_from_float(1e-40f), 0);
  assert_int_equal(f16_from_float(-1e-30f), 0x8000);
}

static void bf16(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    const float f = float_from_bf16((uint16_t)h);
    assert_true(float_bits(f) == h << 16 || isnan(f));
    if (isnan(f)) {
      assert_true(isnan(float_from_bf16(bf16_from_float(f))));
      continue;
    }
    assert_int_equal(bf16_from_float(f), h);
    if ((h & 0x7f80) == 0x7f80) continue;
    const uint32_t even = h & 1 ? h + 1 : h;
    assert_int_equal(bf16_from_float(float_from_bits(h << 16 | 0x8000)), even);
    assert_int_equal(bf16_from_float(float_from_bits(h << 16 | 0x7fff)), h);
    assert_int_equal(bf16_from_float(float_from_bits(h << 16 | 0x8001)), h + 1);
  }
  /* NaNs whose payload lies in the low half only must not become infinite */
  assert_true(isnan(float_from_bf16(bf16_from_float(float_from_bits(0x7f800001u)))));
  assert_true(isnan(float_from_bf16(bf16_from_float(float_from_bits(0xffffffffu)))));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(little_endian),
      cmocka_unit_test(all_halves),
      cmocka_unit_test(half_rounding),
      cmocka_unit_test(bf16),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
