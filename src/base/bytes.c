/* SPDX-License-Identifier: Apache-2.0 */
/* Half-precision conversion in integers, the same on every machine. */
#include "base/bytes.h"

float float_from_f16(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
  if (exponent == 31) return float_from_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = (float)fraction * 0x1p-24f; /* exact */
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t f16_from_float(float f) {
  const uint32_t bits = float_bits(f), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more round to infinity */
  uint32_t value, shift;
  if (magnitude >= 0x38800000u) { /* normal: 2^-14 and more */
    value = magnitude - (112u << 23);
    shift = 13;
  } else {
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return sign; /* below 2^-25 */
    value = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 126 - exponent;
  }
  const uint32_t half = 1u << (shift - 1), rest = value & ((1u << shift) - 1);
  value >>= shift;
  if (rest > half || (rest == half && (value & 1u) != 0)) value++;
  return (uint16_t)(sign | value);
}

uint16_t bf16_from_float(float f) {
  const uint32_t bits = float_bits(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
