/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations to integers, and integer sums to floats; part of float_template.inc.h.
 * A set supplies for it
 *   lanes_store_rounded(p, v)   lanes to the nearest int32, ties to even
 *   lanes_from_sums(p, k)       int32 minus k to float, rounded to nearest even
 */

/* Largest bits of |x|: the order of floats is that of their bits, and NaN is above infinity. */
static uint32_t largest_bits(const float *x, size_t n) {
  uint32_t largest = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = float_bits(x[i]) & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

enum { LARGEST_GROUP = KERNEL_GROUP_I16 };

/* One group of n columns, n a multiple of 32; q in column order. */
static void store_digits(const int32_t *q, size_t n, kernel_activations *a, size_t at) {
  int8_t *low = a->low + at, *high = a->digits == 2 ? a->high + at : NULL;
  int16_t *wide = a->wide + at;
  for (size_t i = 0; i < n; i++) low[i] = (int8_t)(uint8_t)q[i];
  if (high)
    for (size_t i = 0; i < n; i++) high[i] = (int8_t)((q[i] + 128) >> 8);
  if (a->raised)
    for (size_t i = 0; i < n; i++) a->raised[at + i] = (uint8_t)(q[i] + 128);
  for (size_t i = 0; i < n; i += 4) {
    wide[i] = (int16_t)q[i];
    wide[i + 1] = (int16_t)q[i + 2];
    wide[i + 2] = (int16_t)q[i + 1];
    wide[i + 3] = (int16_t)q[i + 3];
  }
}

/* out = x * factors, n any; zeros up to `group`. */
static void scale_columns(const float *x, const uint16_t *factors, size_t n, size_t group, float *out) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(out + i, lanes_mul(lanes_load(x + i), lanes_load_bf16((const uint8_t *)(factors + i))));
  for (; i < n; i++) out[i] = x[i] * float_from_bf16(factors[i]);
  for (; i < group; i++) out[i] = 0.0f;
}

static void kernel_quantize_activations(const float *x, const uint16_t *column_scales, kernel_activations *a,
                                        size_t token) {
  const float limit = a->digits == 2 ? 32639.0f : 127.0f;
  const size_t group = a->group;
  float padded[LARGEST_GROUP];
  int32_t q[LARGEST_GROUP];
  for (size_t g = 0; g < a->n_groups; g++) {
    const size_t first = g * group, left = first < a->columns ? a->columns - first : 0;
    const float *from = x + first;
    if (column_scales != NULL) {
      scale_columns(from, column_scales + (left > 0 ? first : 0), left < group ? left : group, group, padded);
      from = padded;
    } else if (left < group) { /* the last one, or padding */
      memset(padded, 0, sizeof padded);
      if (left > 0) memcpy(padded, from, left * sizeof padded[0]);
      from = padded;
    }
    const uint32_t bits = largest_bits(from, group);
    const bool normal = bits >= 0x0d800000u && bits < 0x7f800000u; /* 2^-100 and up, finite */
    float scale = bits < 0x7f800000u ? 0.0f : float_from_bits(0x7fc00000u), inverse = 0.0f;
    if (normal) {
      scale = float_from_bits(bits) / limit;
      inverse = limit / float_from_bits(bits);
      const lanes factor = lanes_set(inverse);
      for (size_t i = 0; i < group; i += LANES) lanes_store_rounded(q + i, lanes_mul(lanes_load(from + i), factor));
    } else {
      memset(q, 0, sizeof q);
    }
    int32_t sum = 0;
    for (size_t i = 0; i < group; i++) sum += q[i];
    a->sum[token * a->n_groups + g] = sum;
    a->scale[token * a->n_groups + g] = scale;
    store_digits(q, group, a, token * a->stride + first);
  }
}

static void kernel_dot_finish(const int32_t *sums, const coder_block *block, const kernel_activations *a, size_t token,
                              const quant_scales *scales, size_t n_rows, float *y) {
  const int zero = scales->zero;
  const size_t n_groups = kernel_block_groups(block, a), at = token * a->n_groups + block->first_column / a->group;
  const int32_t *sum = a->sum + at;
  const float *scale = a->scale + at;
  for (size_t row = 0; row < n_rows;) {
    const size_t left = n_rows - row, n = left < block->panel_rows ? left : block->panel_rows;
    lanes out = n == LANES ? lanes_load(y + row) : load_part(y + row, n, 0.0f);
    for (size_t g = 0; g < n_groups; g++, sums += LANES)
      out = lanes_fma(lanes_from_sums(sums, zero * sum[g]), lanes_set(scale[g]), out);
    if (n == LANES)
      lanes_store(y + row, out);
    else
      store_part(y + row, n, out);
    row += n;
  }
}

static void kernel_scale_rows(float *y, const quant_scales *scales, size_t n) {
  kernel_scale(y, scales->step, n);
  if (scales->rows == NULL) return;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(y + i, lanes_mul(lanes_load(y + i), lanes_load_bf16((const uint8_t *)(scales->rows + i))));
  for (; i < n; i++) y[i] *= float_from_bf16(scales->rows[i]);
}
