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

static void kernel_multiply_finish(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                                   size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                                   size_t n_rows, float *y, size_t y_stride) {
#if defined(KERNEL_MULTIPLY_FINISH)
  if (KERNEL_MULTIPLY_FINISH(panel_codes, block, a, token, n_tokens, scales, added, n_rows, y, y_stride)) return;
#endif
  int32_t sums[KERNEL_MAX_SUMS];
  const size_t token_sums = kernel_block_groups(block, a) * CODER_PANEL_ROWS, at_once = KERNEL_MAX_SUMS / token_sums;
  for (size_t first = 0; first < n_tokens; first += at_once) {
    const size_t left = n_tokens - first, n = left < at_once ? left : at_once;
    KERNEL_PASTE(multiply_codes_, KERNEL_NAME)(panel_codes, block, a, token + first, n, sums);
    for (size_t i = 0; added != NULL && i < n * token_sums; i++)
      sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)added[first * token_sums + i]);
    for (size_t t = 0; t < n; t++)
      kernel_dot_finish(sums + t * token_sums, block, a, token + first + t, scales, n_rows, y + (first + t) * y_stride);
  }
}

/* A panel with patches: as many tokens at a time as there is room for what patches add. */
static void multiply_patched(const uint8_t *codes, const coder_block *block, const coder_patches *of_panel,
                             const kernel_activations *a, size_t token, size_t n_tokens, const quant_scales *scales,
                             size_t n_rows, int32_t *added, float *y, size_t y_stride) {
  const size_t at_once = KERNEL_MAX_SUMS / (kernel_block_groups(block, a) * CODER_PANEL_ROWS);
  for (size_t first = 0; first < n_tokens; first += at_once) {
    const size_t left = n_tokens - first, n = left < at_once ? left : at_once;
    kernel_patch_added(of_panel, block, a, token + first, n, added);
    kernel_multiply_finish(codes, block, a, token + first, n, scales, added, n_rows, y + first * y_stride, y_stride);
  }
}

static bool kernel_multiply_block(const coder_codebook *book, const coder_block *block, const uint8_t *data,
                                  size_t bytes, const coder_patches *patches, kernel_scratch *scratch,
                                  const kernel_activations *a, size_t token, size_t n_tokens,
                                  const quant_scales *scales, float *y, size_t y_stride) {
#if defined(KERNEL_MULTIPLY_FUSED)
  const kernel_fused_result result =
      kernel_knows(book)
          ? KERNEL_MULTIPLY_FUSED(book, block, data, bytes, patches, scratch, a, token, n_tokens, scales, y, y_stride)
          : KERNEL_NOT_FUSED;
  if (result != KERNEL_NOT_FUSED) return result == KERNEL_FUSED_GOOD;
#endif
  if (!KERNEL_DECODE(book, block, data, bytes, &scratch->coder, scratch->codes)) return false;
  const uint8_t *codes = scratch->codes;
  uint32_t from = 0;
  for (uint32_t panel = 0; panel < block->panels; panel++, y += block->panel_rows) {
    const coder_patches of_panel = kernel_panel_patches(patches, block, panel, &from);
    const size_t left = block->rows - panel * block->panel_rows;
    const size_t n_rows = left < block->panel_rows ? left : block->panel_rows;
    if (of_panel.n > 0)
      multiply_patched(codes, block, &of_panel, a, token, n_tokens, scales, n_rows, scratch->sums, y, y_stride);
    else
      kernel_multiply_finish(codes, block, a, token, n_tokens, scales, NULL, n_rows, y, y_stride);
    codes += (size_t)block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
  }
  return true;
}
