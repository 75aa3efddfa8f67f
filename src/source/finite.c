/* SPDX-License-Identifier: Apache-2.0 */
/* See finite.h. */
#include "source/finite.h"

#include "base/bytes.h"

size_t finite_end(ellm_dtype dtype, const void *data, size_t n) {
  const uint8_t *p = data;
  size_t i = 0;
  if (dtype == ELLM_F32) {
    while (i < n && (load_u32(p + 4 * i) & 0x7f800000) != 0x7f800000) i++;
    return i;
  }
  if (dtype != ELLM_F16 && dtype != ELLM_BF16) return n;
  const uint16_t exponent = dtype == ELLM_F16 ? 0x7c00 : 0x7f80;
  while (i < n && (load_u16(p + 2 * i) & exponent) != exponent) i++;
  return i;
}

ellm_status finite_fail(const char *path, const char *tensor, ellm_dtype dtype, uint64_t index, const void *element,
                        ellm_error *err) {
  const float value = dtype == ELLM_F32   ? float_from_bits(load_u32(element))
                      : dtype == ELLM_F16 ? float_from_f16(load_u16(element))
                                          : float_from_bf16(load_u16(element));
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element %llu is %g: weights must be finite", path, tensor,
                   (unsigned long long)index, (double)value);
}
