/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dequantizing, plain and scalar: one function a type, each with the layout of its block. `d` is the block's scale, F16
 * where nothing else is said; a nibble is four bits, "low, then high" says that the low nibbles of n bytes are elements
 * 0 to n - 1 and the high ones n to 2 n - 1. Results depend on which products are rounded, so their order is the
 * reference's: scales of sub-blocks are multiplied with d first, then with the element; minima are subtracted last.
 */
#include "gguf/dequantize.h"

#include "base/bytes.h"

typedef void (*dequantize_fn)(const uint8_t *block, size_t n, float *out);

static float load_f16(const uint8_t *at) { return float_from_f16(load_u16(at)); }

static int bit(const uint8_t *bits, int index) { return bits[index / 8] >> (index % 8) & 1; }

/* Element i of 32 in 16 bytes, low, then high. */
static int nibble(const uint8_t *bytes, int i) { return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4; }

/* Element i of 256 in 64 bytes, two bits each: of every 32 bytes, first the lowest two bits of all of them. */
static int pair(const uint8_t *bytes, int i) { return bytes[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3; }

static void f32(const uint8_t *b, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = float_from_bits(load_u32(b + 4 * i));
}

static void f16(const uint8_t *b, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = load_f16(b + 2 * i);
}

static void bf16(const uint8_t *b, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = float_from_bf16(load_u16(b + 2 * i));
}

/* d, 16 bytes of nibbles, low, then high: d (q - 8) */
static void q4_0(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 18, out += 32) {
    const float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(nibble(b + 2, i) - 8);
  }
}

/* d, minimum m, nibbles: d q + m */
static void q4_1(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 20, out += 32) {
    const float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < 32; i++) out[i] = d * (float)nibble(b + 4, i) + m;
  }
}

/* d, a fifth bit for each element, nibbles: d (q - 16) */
static void q5_0(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 22, out += 32) {
    const float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = d * (float)((nibble(b + 6, i) | bit(b + 2, i) << 4) - 16);
  }
}

/* d, m, fifth bits, nibbles: d q + m */
static void q5_1(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 24, out += 32) {
    const float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(nibble(b + 8, i) | bit(b + 4, i) << 4) + m;
  }
}

/* d, 32 signed bytes: d q */
static void q8_0(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 34, out += 32) {
    const float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(int8_t)b[2 + i];
  }
}

/* 16 bytes for 16 elements each (scale low, minimum high nibble), 64 bytes of pairs, d, dmin: (d scale) q - dmin min */
static void q2_k(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 84, out += 256) {
    const float d = load_f16(b + 80), dmin = load_f16(b + 82);
    for (int i = 0; i < 256; i++) {
      const float scale = d * (float)(b[i / 16] & 15), minimum = dmin * (float)(b[i / 16] >> 4);
      out[i] = scale * (float)pair(b + 16, i) - minimum;
    }
  }
}

/* Scale i of 16 of Q3_K, six bits: 8 bytes with the low nibbles, low, then high; 4 bytes with the upper pairs. */
static int q3_k_scale(const uint8_t *s, int i) {
  const int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4, high = s[8 + i % 4] >> (i / 4 * 2) & 3;
  return (low | high << 4) - 32;
}

/* 32 bytes of third bits (bit i / 32 of byte i % 32; 1 stands for 0 less), 64 bytes of pairs, 12 of scales, d:
 * (d scale) q */
static void q3_k(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 110, out += 256) {
    const float d = load_f16(b + 108);
    for (int i = 0; i < 256; i++) {
      const float scale = d * (float)q3_k_scale(b + 96, i / 16);
      const int third = b[i % 32] >> (i / 32) & 1;
      out[i] = scale * (float)(pair(b + 32, i) - (third != 0 ? 0 : 4));
    }
  }
}

/* Scale and minimum i of 8 of Q4_K and Q5_K, six bits each, in 12 bytes: the first four of either are in the lower six
 * bits of bytes 0 to 3 and 4 to 7, whose upper two are those of the last four; bytes 8 to 11 hold their nibbles. */
static void q4_k_scale(const uint8_t *s, int i, int *scale, int *minimum) {
  if (i < 4) {
    *scale = s[i] & 63;
    *minimum = s[4 + i] & 63;
  } else {
    *scale = (s[4 + i] & 15) | s[i - 4] >> 6 << 4;
    *minimum = s[4 + i] >> 4 | s[i] >> 6 << 4;
  }
}

/* Element i of 256 in 128 bytes: nibbles of every 32 bytes, low, then high. */
static int nibble_of_64(const uint8_t *bytes, int i) { return bytes[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15; }

/* d, dmin, 12 bytes of scales and minima for 32 elements each, 128 bytes of nibbles: (d scale) q - dmin min */
static void q4_k(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 144, out += 256) {
    const float d = load_f16(b), dmin = load_f16(b + 2);
    for (int s = 0; s < 8; s++) {
      int scale, minimum;
      q4_k_scale(b + 4, s, &scale, &minimum);
      const float step = d * (float)scale, least = dmin * (float)minimum;
      for (int i = 32 * s; i < 32 * s + 32; i++) out[i] = step * (float)nibble_of_64(b + 16, i) - least;
    }
  }
}

/* The same with 32 bytes of fifth bits (bit i / 32 of byte i % 32) before the nibbles. */
static void q5_k(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 176, out += 256) {
    const float d = load_f16(b), dmin = load_f16(b + 2);
    for (int s = 0; s < 8; s++) {
      int scale, minimum;
      q4_k_scale(b + 4, s, &scale, &minimum);
      const float step = d * (float)scale, least = dmin * (float)minimum;
      for (int i = 32 * s; i < 32 * s + 32; i++) {
        const int fifth = b[16 + i % 32] >> s & 1;
        out[i] = step * (float)(nibble_of_64(b + 48, i) | fifth << 4) - least;
      }
    }
  }
}

/* 128 bytes of nibbles (of every 64 bytes, low, then high), 64 bytes of upper pairs, 16 signed scales for 16 elements
 * each, d: (d scale) (q - 32) */
static void q6_k(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 210, out += 256) {
    const float d = load_f16(b + 208);
    for (int i = 0; i < 256; i++) {
      const float scale = d * (float)(int8_t)b[192 + i / 16];
      const int low = b[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
      out[i] = scale * (float)((low | pair(b + 128, i) << 4) - 32);
    }
  }
}

/* The values that the nibbles of IQ4_NL and IQ4_XS stand for. */
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* d, nibbles: d value[q] */
static void iq4_nl(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 18, out += 32) {
    const float d = load_f16(b);
    for (int i = 0; i < 32; i++) out[i] = d * (float)iq4_values[nibble(b + 2, i)];
  }
}

/* d, 16 bits with the upper pairs of eight scales, 4 bytes with their low nibbles (two a byte, low one first), 16 bytes
 * of nibbles for each 32 elements: (d (scale - 32)) value[q] */
static void iq4_xs(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 136, out += 256) {
    const float d = load_f16(b);
    const unsigned high = load_u16(b + 2);
    for (int s = 0; s < 8; s++) {
      const int scale = (b[4 + s / 2] >> (s % 2 * 4) & 15) | (int)(high >> (2 * s) & 3) << 4;
      const float step = d * (float)(scale - 32);
      for (int i = 0; i < 32; i++) out[32 * s + i] = step * (float)iq4_values[nibble(b + 8 + 16 * s, i)];
    }
  }
}

/* One byte e, the exponent of the scale 2^(e - 128), nibbles: scale value[q]; the values are those of E2M1 doubled. */
static void mxfp4(const uint8_t *b, size_t n, float *out) {
  static const int8_t values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  for (; n > 0; n--, b += 17, out += 32) {
    const uint32_t e = b[0];
    const float scale = float_from_bits(e < 2 ? (uint32_t)0x00200000 << e : (e - 1) << 23);
    for (int i = 0; i < 32; i++) out[i] = scale * (float)values[nibble(b + 1, i)];
  }
}

/* Digit k of the ternary fraction in a byte: five digits are stored as ceil(256 x / 243). */
static int ternary(uint8_t byte, int k) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  return ((uint8_t)(byte * powers[k]) * 3) >> 8;
}

/* 48 bytes of five digits, 4 bytes of four, d: d (digit - 1). Of the first 32 bytes all first digits come first, then
 * all second ones, and so on; then the same of the next 16 bytes, and of the last 4. */
static void tq1_0(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 54, out += 256) {
    const float d = load_f16(b + 52);
    for (int i = 0; i < 160; i++) out[i] = d * (float)(ternary(b[i % 32], i / 32) - 1);
    for (int i = 0; i < 80; i++) out[160 + i] = d * (float)(ternary(b[32 + i % 16], i / 16) - 1);
    for (int i = 0; i < 16; i++) out[240 + i] = d * (float)(ternary(b[48 + i % 4], i / 4) - 1);
  }
}

/* 64 bytes of pairs, d: d (q - 1) */
static void tq2_0(const uint8_t *b, size_t n, float *out) {
  for (; n > 0; n--, b += 66, out += 256) {
    const float d = load_f16(b + 64);
    for (int i = 0; i < 256; i++) out[i] = d * (float)(pair(b, i) - 1);
  }
}

static const dequantize_fn functions[GGUF_TYPES] = {
    [GGUF_F32] = f32,      [GGUF_F16] = f16,       [GGUF_BF16] = bf16,     [GGUF_Q4_0] = q4_0,   [GGUF_Q4_1] = q4_1,
    [GGUF_Q5_0] = q5_0,    [GGUF_Q5_1] = q5_1,     [GGUF_Q8_0] = q8_0,     [GGUF_Q2_K] = q2_k,   [GGUF_Q3_K] = q3_k,
    [GGUF_Q4_K] = q4_k,    [GGUF_Q5_K] = q5_k,     [GGUF_Q6_K] = q6_k,     [GGUF_IQ4_NL] = iq4_nl,
    [GGUF_IQ4_XS] = iq4_xs, [GGUF_MXFP4] = mxfp4,  [GGUF_TQ1_0] = tq1_0,   [GGUF_TQ2_0] = tq2_0,
};

bool gguf_can_dequantize(gguf_type type) { return type < GGUF_TYPES && functions[type] != NULL; }

void gguf_dequantize(gguf_type type, const uint8_t *blocks, size_t n_blocks, float *out) {
  functions[type](blocks, n_blocks, out);
}
