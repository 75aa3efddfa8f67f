/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention of one query over a stretch of the KV cache, once, for all
 * instruction sets; part of float_template.inc.h. Keys lie in tiles of 16
 * positions, so that lanes are positions and no sum runs across lanes; values
 * lie row by row, so that lanes are dimensions.
 *
 * A set may define ATTENTION_HALF_OF, the name of another set that is faster for
 * halves (tables.h), or ATTENTION_HALF_NAME, under which its own can be called.
 */

/* Elements i .. i + 15 of floats or halves. */
#define ATTENTION_LOAD(cache, half, i) \
  ((half) ? lanes_load_f16((const uint8_t *)(cache) + 2 * (i)) : lanes_load((const float *)(cache) + (i)))

KERNEL_INLINE void attention_score_tiles(const float *query, const void *keys, bool half, size_t tile, size_t n,
                                         size_t dim, float scale, float *scores) {
  lanes sum[4];
  for (size_t j = 0; j < n; j++) sum[j] = lanes_set(0.0f);
  for (size_t d = 0; d < dim; d++) {
    const lanes q = lanes_set(query[d]);
    for (size_t j = 0; j < n; j++)
      sum[j] = lanes_fma(q, ATTENTION_LOAD(keys, half, ((tile + j) * dim + d) * LANES), sum[j]);
  }
  for (size_t j = 0; j < n; j++) lanes_store(scores + (tile + j) * LANES, lanes_mul(sum[j], lanes_set(scale)));
}

KERNEL_INLINE void attention_scores_of(const float *query, const void *keys, bool half, size_t n_tiles, size_t dim,
                                       float scale, float *scores) {
  size_t tile = 0;
  for (; tile + 4 <= n_tiles; tile += 4) attention_score_tiles(query, keys, half, tile, 4, dim, scale, scores);
  for (; tile < n_tiles; tile++) attention_score_tiles(query, keys, half, tile, 1, dim, scale, scores);
}

static void kernel_attention_scores(const float *query, const void *keys, bool half, size_t n_tiles, size_t dim,
                                    float scale, float *scores) {
#if defined(ATTENTION_HALF_OF)
  if (half) KERNEL_PASTE(attention_scores_half_, ATTENTION_HALF_OF)(query, keys, n_tiles, dim, scale, scores);
#else
  if (half) attention_scores_of(query, keys, true, n_tiles, dim, scale, scores);
#endif
  else attention_scores_of(query, keys, false, n_tiles, dim, scale, scores);
}

/* Dimensions d .. d + 16 n - 1. */
KERNEL_INLINE void attention_mix_part(const float *weights, const void *values, bool half, size_t n_positions,
                                      size_t dim, size_t d, size_t n, float *out) {
  lanes sum[4];
  for (size_t j = 0; j < n; j++) sum[j] = lanes_load(out + d + j * LANES);
  for (size_t p = 0; p < n_positions; p++) {
    const lanes weight = lanes_set(weights[p]);
    for (size_t j = 0; j < n; j++)
      sum[j] = lanes_fma(weight, ATTENTION_LOAD(values, half, p * dim + d + j * LANES), sum[j]);
  }
  for (size_t j = 0; j < n; j++) lanes_store(out + d + j * LANES, sum[j]);
}

KERNEL_INLINE void attention_mix_of(const float *weights, const void *values, bool half, size_t n, size_t dim,
                                    float *out) {
  size_t d = 0;
  for (; d + 4 * LANES <= dim; d += 4 * LANES) attention_mix_part(weights, values, half, n, dim, d, 4, out);
  for (; d + LANES <= dim; d += LANES) attention_mix_part(weights, values, half, n, dim, d, 1, out);
  if (d == dim) return;
  lanes sum = load_part(out + d, dim - d, 0.0f);
  for (size_t p = 0; p < n; p++) {
    float row[LANES] = {0};
    if (half) kernel_f32_from_f16((const uint16_t *)values + p * dim + d, row, dim - d);
    else memcpy(row, (const float *)values + p * dim + d, (dim - d) * sizeof *row);
    sum = lanes_fma(lanes_set(weights[p]), lanes_load(row), sum);
  }
  store_part(out + d, dim - d, sum);
}

static void kernel_attention_mix(const float *weights, const void *values, bool half, size_t n, size_t dim,
                                 float *out) {
#if defined(ATTENTION_HALF_OF)
  if (half) KERNEL_PASTE(attention_mix_half_, ATTENTION_HALF_OF)(weights, values, n, dim, out);
#else
  if (half) attention_mix_of(weights, values, true, n, dim, out);
#endif
  else attention_mix_of(weights, values, false, n, dim, out);
}

#if defined(ATTENTION_HALF_NAME)
void KERNEL_PASTE(attention_scores_half_, ATTENTION_HALF_NAME)(const float *query, const void *keys, size_t n_tiles,
                                                               size_t dim, float scale, float *scores) {
  attention_scores_of(query, keys, true, n_tiles, dim, scale, scores);
}
void KERNEL_PASTE(attention_mix_half_, ATTENTION_HALF_NAME)(const float *weights, const void *values, size_t n,
                                                            size_t dim, float *out) {
  attention_mix_of(weights, values, true, n, dim, out);
}
#endif
