/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian loads and stores at any alignment, half-precision conversion. */
#ifndef ELLM_BASE_BYTES_H
#define ELLM_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t load_u16(const void *p) { const uint8_t *b = p; return (uint16_t)(b[0] | b[1] << 8); }
static inline uint32_t load_u32(const void *p) {
  const uint8_t *b = p;
  return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t load_u64(const void *p) {
  const uint8_t *b = p;
  return (uint64_t)load_u32(b) | (uint64_t)load_u32(b + 4) << 32;
}
static inline void store_u16(void *p, uint16_t v) { uint8_t *b = p; b[0] = (uint8_t)v; b[1] = (uint8_t)(v >> 8); }
static inline void store_u32(void *p, uint32_t v) {
  store_u16(p, (uint16_t)v);
  store_u16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}
static inline void store_u64(void *p, uint64_t v) {
  store_u32(p, (uint32_t)v);
  store_u32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}
static inline float float_from_bits(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static inline uint32_t float_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
static inline float float_from_bf16(uint16_t h) { return float_from_bits((uint32_t)h << 16); }

float float_from_f16(uint16_t h);   /* exact, subnormals, infinities and NaN included */
uint16_t f16_from_float(float f);   /* round to nearest even; overflow to infinity */
uint16_t bf16_from_float(float f);  /* round to nearest even; NaN stays NaN */

#endif
