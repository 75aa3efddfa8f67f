/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quantizer. Everything is float64 with ties to even, in the order of the
 * rule in docs/format/quantizer.md, so that codes are the same on every machine.
 */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"

static const double MAGNITUDE_LIMIT = 1e30;

static double element(ellm_dtype dtype, const uint8_t *data, size_t i) {
  switch (dtype) {
    case ELLM_F16: return (double)float_from_f16(load_u16(data + 2 * i));
    case ELLM_BF16: return (double)float_from_bf16(load_u16(data + 2 * i));
    default: return (double)float_from_bits(load_u32(data + 4 * i));
  }
}

static bool allowed(double w) { return w >= -MAGNITUDE_LIMIT && w <= MAGNITUDE_LIMIT; /* false for NaN */ }

/* Bit patterns in the order of the numbers they stand for. */
static int16_t order16(uint16_t pattern) { return (int16_t)(pattern ^ ((pattern & 0x8000u) != 0 ? 0x7fffu : 0)); }
static int32_t order32(uint32_t pattern) {
  return (int32_t)(pattern ^ ((pattern & 0x80000000u) != 0 ? 0x7fffffffu : 0));
}

/* Range of n > 0 elements by integer arithmetic, which compilers turn into vectors; false if an element is not allowed.
 */
static bool range_of(ellm_dtype dtype, const uint8_t *data, size_t n, double *lo, double *hi) {
  uint8_t ends[8] = {0};
  if (dtype == ELLM_F32) {
    const int32_t limit = 0x7149f2c9; /* the last float32 below 1e30 */
    int32_t least = INT32_MAX, most = INT32_MIN, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
      uint32_t pattern;
      memcpy(&pattern, data + 4 * i, 4);
      const int32_t key = order32(pattern), size = (int32_t)(pattern & 0x7fffffffu);
      least = key < least ? key : least;
      most = key > most ? key : most;
      magnitude = size > magnitude ? size : magnitude;
    }
    if (magnitude > limit) return false;
    store_u32(ends, (uint32_t)order32((uint32_t)least)); /* its own inverse */
    store_u32(ends + 4, (uint32_t)order32((uint32_t)most));
  } else {
    const int16_t limit = dtype == ELLM_F16 ? 0x7bff : 0x7149; /* the last finite one; the last below 1e30 */
    int16_t least = INT16_MAX, most = INT16_MIN, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
      uint16_t pattern;
      memcpy(&pattern, data + 2 * i, 2);
      const int16_t key = order16(pattern), size = (int16_t)(pattern & 0x7fffu);
      least = key < least ? key : least;
      most = key > most ? key : most;
      magnitude = size > magnitude ? size : magnitude;
    }
    if (magnitude > limit) return false;
    store_u16(ends, (uint16_t)order16((uint16_t)least));
    store_u16(ends + 2, (uint16_t)order16((uint16_t)most));
  }
  *lo = element(dtype, ends, 0);
  *hi = element(dtype, ends, 1);
  return true;
}

void quant_range_add(quant_range *range, ellm_dtype dtype, const void *data, size_t n, uint64_t first) {
  double lo, hi;
  if (n == 0) return;
  if (range_of(dtype, data, n, &lo, &hi)) {
    range->lo = lo < range->lo ? lo : range->lo;
    range->hi = hi > range->hi ? hi : range->hi;
    return;
  }
  size_t i = 0;
  while (allowed(element(dtype, data, i))) i++;
  if (range->bad && range->bad_index <= first + i) return;
  range->bad = true;
  range->bad_index = first + i;
  range->bad_value = element(dtype, data, i);
}

void quant_count_patterns(const void *data, size_t n, uint64_t counts[65536]) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < n; i++) counts[load_u16(bytes + 2 * i)]++;
}

void quant_range_from_patterns(const uint64_t counts[65536], ellm_dtype dtype, quant_range *range) {
  for (unsigned pattern = 0; pattern < 65536; pattern++) {
    if (counts[pattern] == 0) continue;
    uint8_t bytes[4] = {0};
    store_u16(bytes, (uint16_t)pattern);
    quant_range_add(range, dtype, bytes, 1, UINT64_MAX);
  }
}

quant_params quant_choose(double lo, double hi, int bits, ellm_scheme scheme) {
  const int top = (1 << bits) - 1;
  quant_params params = {.bits = bits, .scheme = scheme};
  const bool one_sign = lo * hi >= 0;
  double step;
  if (scheme == ELLM_SCHEME_MIXED) params.scheme = one_sign ? ELLM_SCHEME_SYMMETRIC : ELLM_SCHEME_ASYMMETRIC;
  if (params.scheme == ELLM_SCHEME_SYMMETRIC && one_sign) {
    step = (hi > 0 ? hi : lo) / top;
  } else if (params.scheme == ELLM_SCHEME_SYMMETRIC) {
    step = (-lo > hi ? -lo : hi) / ((1 << (bits - 1)) - 1);
    params.scales.zero = 1 << (bits - 1);
  } else {
    lo = lo < 0 ? lo : 0;
    hi = hi > 0 ? hi : 0;
    step = (hi - lo) / top;
  }
  params.scales.step = (float)step + 0.0f; /* never -0 */
  if (params.scheme == ELLM_SCHEME_ASYMMETRIC && params.scales.step != 0) {
    const double zero = nearbyint(-lo / (double)params.scales.step);
    params.scales.zero = zero < 0 ? 0 : zero > top ? top : (int)zero;
  }
  return params;
}

uint8_t quant_code(double w, const quant_params *params) {
  if (params->scales.step == 0) return (uint8_t)params->scales.zero;
  const double q = nearbyint(w / (double)params->scales.step) + params->scales.zero, top = (double)((1 << params->bits) - 1);
  return (uint8_t)(q < 0 ? 0 : q > top ? top : q);
}

void quant_table(ellm_dtype dtype, const quant_params *params, uint8_t table[65536]) {
  for (unsigned pattern = 0; pattern < 65536; pattern++) {
    uint8_t bytes[4] = {0};
    store_u16(bytes, (uint16_t)pattern);
    const double w = element(dtype, bytes, 0);
    table[pattern] = allowed(w) ? quant_code(w, params) : (uint8_t)params->scales.zero;
  }
}

void quant_encode_f32(const void *data, size_t n, const quant_params *params, uint8_t *codes) {
  const double step = (double)params->scales.step, top = (double)((1 << params->bits) - 1), zero = params->scales.zero;
  if (params->scales.step == 0) {
    memset(codes, params->scales.zero, n);
    return;
  }
  /* adding and subtracting 1.5 2^52 rounds to an integer, ties to even; larger quotients clip anyway */
  const double big = 0x1.8p52;
  for (size_t i = 0; i < n; i++) {
    float w;
    memcpy(&w, (const uint8_t *)data + 4 * i, 4);
    double q = (double)w / step;
    q = q < -1024 ? -1024 : q > 1024 ? 1024 : q;
    q = (q + big) - big + zero;
    codes[i] = (uint8_t)(q < 0 ? 0 : q > top ? top : q);
  }
}
