/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention of a few queries over a run of the KV cache, written once for all instruction sets; part of
 * float_template.inc.h. Keys are stored in tiles of 16 positions: lanes are positions, and no sum runs across lanes.
 * Values are stored row by row: lanes are dimensions. An element is converted to a float once for all queries, which is
 * what makes several queries at a time faster. The sums of each query are those that it would have alone.
 *
 * A set supplies
 *   lanes_load_f16, lanes_load_i8, lanes_load_bf16, lanes_from_sums
 *   ATTENTION_VECTORS(queries)  vectors of elements at once with so many queries: 1, 2 or 4
 * and may define ATTENTION_HALF_OF, the name of another set that is faster for
 * halves and fewer than ATTENTION_HALF_QUERIES queries (tables.h), or
 * ATTENTION_HALF_NAME, under which its own can be called.
 */

/* Elements i .. i + 15 of a cache. */
KERNEL_INLINE lanes attention_load(const void *cache, kernel_cache type, size_t i) {
  switch (type) {
    case KERNEL_CACHE_F16: return lanes_load_f16((const uint8_t *)cache + 2 * i);
    case KERNEL_CACHE_Q8: return lanes_load_i8((const int8_t *)cache + i);
    default: return lanes_load((const float *)cache + i);
  }
}

/* ------------------------------------------------------------------- scores */

KERNEL_INLINE void score_tiles(const float *const *queries, size_t n_queries, const void *keys, kernel_cache type,
                               size_t tile, size_t n, size_t dim, float scale, float *const *scores) {
  lanes sum[KERNEL_MAX_QUERIES][4];
  const float *query[KERNEL_MAX_QUERIES];
  for (size_t q = 0; q < n_queries; q++) query[q] = queries[q];
  for (size_t q = 0; q < n_queries; q++)
    for (size_t j = 0; j < n; j++) sum[q][j] = lanes_set(0.0f);
  for (size_t d = 0; d < dim; d++) {
    lanes key[4];
    KERNEL_UNROLL(4)
    for (size_t j = 0; j < n; j++) key[j] = attention_load(keys, type, ((tile + j) * dim + d) * LANES);
    KERNEL_UNROLL(4)
    for (size_t q = 0; q < n_queries; q++) {
      const lanes factor = lanes_set(query[q][d]);
      KERNEL_UNROLL(4)
      for (size_t j = 0; j < n; j++) sum[q][j] = lanes_fma(factor, key[j], sum[q][j]);
    }
  }
  for (size_t q = 0; q < n_queries; q++)
    for (size_t j = 0; j < n; j++)
      lanes_store(scores[q] + (tile + j) * LANES, lanes_mul(sum[q][j], lanes_set(scale)));
}

KERNEL_INLINE void scores_of(const float *const *queries, size_t n_queries, const void *keys, kernel_cache type,
                             size_t n_tiles, size_t dim, float scale, float *const *scores) {
  const size_t at_once = ATTENTION_VECTORS(n_queries);
  size_t tile = 0;
  for (; tile + at_once <= n_tiles; tile += at_once)
    score_tiles(queries, n_queries, keys, type, tile, at_once, dim, scale, scores);
  for (; at_once > 1 && tile < n_tiles; tile++)
    score_tiles(queries, n_queries, keys, type, tile, 1, dim, scale, scores);
}

KERNEL_INLINE void scores_type(const float *const *queries, size_t n_queries, const void *keys, kernel_cache type,
                               size_t n_tiles, size_t dim, float scale, float *const *scores) {
  switch (n_queries) {
    case 1: scores_of(queries, 1, keys, type, n_tiles, dim, scale, scores); break;
    case 2: scores_of(queries, 2, keys, type, n_tiles, dim, scale, scores); break;
    case 3: scores_of(queries, 3, keys, type, n_tiles, dim, scale, scores); break;
    default: scores_of(queries, 4, keys, type, n_tiles, dim, scale, scores); break;
  }
}

static void kernel_attention_scores(const float *const *queries, size_t n_queries, const void *keys, bool half,
                                    size_t n_tiles, size_t dim, float scale, float *const *scores) {
#if defined(ATTENTION_HALF_OF)
  if (half && n_queries < ATTENTION_HALF_QUERIES) {
    KERNEL_PASTE(attention_scores_half_, ATTENTION_HALF_OF)(queries, n_queries, keys, n_tiles, dim, scale, scores);
    return;
  }
#endif
  if (half) scores_type(queries, n_queries, keys, KERNEL_CACHE_F16, n_tiles, dim, scale, scores);
  else scores_type(queries, n_queries, keys, KERNEL_CACHE_F32, n_tiles, dim, scale, scores);
}

/* With 8 bits a tile of keys has the layout of a panel of codes, whose rows are positions. So the product kernels of
 * weights give exact integer sums here, too; the scales of query and key are applied to these. */
static void kernel_attention_scores_q8(const kernel_activations *queries, size_t n_queries, const uint8_t *keys,
                                       const uint16_t *key_scales, size_t n_tiles, float scale,
                                       float *const *scores) {
  const size_t n_groups = queries->n_groups, tiles = (queries->columns + 3) / CODER_TILE_COLUMNS;
  const coder_block block = {.panels = 1,
                             .rows = CODER_PANEL_ROWS,
                             .columns = (uint32_t)queries->columns,
                             .tiles = (uint32_t)tiles,
                             .panel_rows = CODER_PANEL_ROWS};
  int32_t sums[KERNEL_MAX_QUERIES * KERNEL_MAX_HEAD_DIM / KERNEL_GROUP_I16 * CODER_PANEL_ROWS];
  for (size_t tile = 0; tile < n_tiles; tile++, keys += tiles * CODER_TILE, key_scales += LANES) {
    KERNEL_PASTE(multiply_codes_, KERNEL_NAME)(keys, &block, queries, 0, n_queries, sums);
    const lanes key_scale = lanes_load_bf16((const uint8_t *)key_scales);
    const int32_t *of_query = sums;
    for (size_t q = 0; q < n_queries; q++) {
      lanes score = lanes_set(0.0f);
      for (size_t g = q * n_groups; g < (q + 1) * n_groups; g++, of_query += CODER_PANEL_ROWS)
        score = lanes_fma(lanes_from_sums(of_query, KERNEL_Q8_ZERO * queries->sum[g]), lanes_set(queries->scale[g]),
                          score);
      lanes_store(scores[q] + tile * LANES, lanes_mul(lanes_mul(score, lanes_set(scale)), key_scale));
    }
  }
}

/* ------------------------------------------------------------------- mixing */

/* Dimensions d .. d + 16 n - 1. */
KERNEL_INLINE void mix_part(const float *const *weights, size_t n_queries, const void *values, kernel_cache type,
                            size_t n_positions, size_t row, size_t d, size_t n, float *const *out) {
  lanes sum[KERNEL_MAX_QUERIES][4];
  const float *weight[KERNEL_MAX_QUERIES];
  for (size_t q = 0; q < n_queries; q++) weight[q] = weights[q];
  for (size_t q = 0; q < n_queries; q++)
    for (size_t j = 0; j < n; j++) sum[q][j] = lanes_load(out[q] + d + j * LANES);
  for (size_t p = 0; p < n_positions; p++) {
    lanes value[4];
    KERNEL_UNROLL(4)
    for (size_t j = 0; j < n; j++) value[j] = attention_load(values, type, p * row + d + j * LANES);
    KERNEL_UNROLL(4)
    for (size_t q = 0; q < n_queries; q++) {
      const lanes factor = lanes_set(weight[q][p]);
      KERNEL_UNROLL(4)
      for (size_t j = 0; j < n; j++) sum[q][j] = lanes_fma(factor, value[j], sum[q][j]);
    }
  }
  for (size_t q = 0; q < n_queries; q++)
    for (size_t j = 0; j < n; j++) lanes_store(out[q] + d + j * LANES, sum[q][j]);
}

/* The last dim - d < 16 dimensions of one query. */
static void mix_rest(const float *weights, const void *values, kernel_cache type, size_t n, size_t row, size_t d,
                     size_t dim, float *out) {
  lanes sum = load_part(out + d, dim - d, 0.0f);
  for (size_t p = 0; p < n; p++) {
    float value[LANES] = {0};
    const size_t at = p * row + d;
    if (type == KERNEL_CACHE_F16) kernel_f32_from_f16((const uint16_t *)values + at, value, dim - d);
    else if (type == KERNEL_CACHE_F32) memcpy(value, (const float *)values + at, (dim - d) * sizeof *value);
    else
      for (size_t i = 0; i < dim - d; i++) value[i] = ((const int8_t *)values)[at + i];
    sum = lanes_fma(lanes_set(weights[p]), lanes_load(value), sum);
  }
  store_part(out + d, dim - d, sum);
}

KERNEL_INLINE void mix_of(const float *const *weights, size_t n_queries, const void *values, kernel_cache type,
                          size_t n, size_t dim, float *const *out) {
  const size_t at_once = ATTENTION_VECTORS(n_queries), row = kernel_cache_row(type, dim);
  size_t d = 0;
  for (; d + at_once * LANES <= dim; d += at_once * LANES)
    mix_part(weights, n_queries, values, type, n, row, d, at_once, out);
  for (; at_once > 1 && d + LANES <= dim; d += LANES)
    mix_part(weights, n_queries, values, type, n, row, d, 1, out);
  for (size_t q = 0; d < dim && q < n_queries; q++) mix_rest(weights[q], values, type, n, row, d, dim, out[q]);
}

KERNEL_INLINE void mix_type(const float *const *weights, size_t n_queries, const void *values, kernel_cache type,
                            size_t n, size_t dim, float *const *out) {
  switch (n_queries) {
    case 1: mix_of(weights, 1, values, type, n, dim, out); break;
    case 2: mix_of(weights, 2, values, type, n, dim, out); break;
    case 3: mix_of(weights, 3, values, type, n, dim, out); break;
    default: mix_of(weights, 4, values, type, n, dim, out); break;
  }
}

static void kernel_attention_mix(const float *const *weights, size_t n_queries, const void *values,
                                 kernel_cache type, size_t n, size_t dim, float *const *out) {
#if defined(ATTENTION_HALF_OF)
  if (type == KERNEL_CACHE_F16 && n_queries < ATTENTION_HALF_QUERIES) {
    KERNEL_PASTE(attention_mix_half_, ATTENTION_HALF_OF)(weights, n_queries, values, n, dim, out);
    return;
  }
#endif
  switch (type) {
    case KERNEL_CACHE_F16: mix_type(weights, n_queries, values, KERNEL_CACHE_F16, n, dim, out); break;
    case KERNEL_CACHE_Q8: mix_type(weights, n_queries, values, KERNEL_CACHE_Q8, n, dim, out); break;
    default: mix_type(weights, n_queries, values, KERNEL_CACHE_F32, n, dim, out); break;
  }
}

#if defined(ATTENTION_HALF_NAME)
void KERNEL_PASTE(attention_scores_half_, ATTENTION_HALF_NAME)(const float *const *queries, size_t n_queries,
                                                               const void *keys, size_t n_tiles, size_t dim,
                                                               float scale, float *const *scores) {
  scores_type(queries, n_queries, keys, KERNEL_CACHE_F16, n_tiles, dim, scale, scores);
}
void KERNEL_PASTE(attention_mix_half_, ATTENTION_HALF_NAME)(const float *const *weights, size_t n_queries,
                                                            const void *values, size_t n, size_t dim,
                                                            float *const *out) {
  mix_type(weights, n_queries, values, KERNEL_CACHE_F16, n, dim, out);
}
#endif

/* ------------------------------------------------------------- to 8 bits */

static void kernel_multiply_bf16(float *x, const uint16_t *factors, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    lanes_store(x + i, lanes_mul(lanes_load(x + i), lanes_load_bf16((const uint8_t *)(factors + i))));
  for (; i < n; i++) x[i] *= float_from_bf16(factors[i]);
}

static uint16_t kernel_q8_from_f32(const float *x, size_t n, int8_t *q) {
  const uint32_t bits = largest_bits(x, n);
  memset(q, 0, n);
  if (bits >= 0x7f800000u) return 0x7fc0; /* a NaN */
  if (bits < 0x0d800000u) return 0;       /* below 2^-100 */
  const uint32_t scale = (float_bits(float_from_bits(bits) / 127.0f) + 0xffff) & 0xffff0000u;
  const lanes factor = lanes_set(1.0f / float_from_bits(scale));
  for (size_t i = 0; i < n; i += LANES) {
    int32_t rounded[LANES];
    const size_t m = n - i < LANES ? n - i : LANES;
    lanes_store_rounded(rounded, lanes_mul(m == LANES ? lanes_load(x + i) : load_part(x + i, m, 0.0f), factor));
    for (size_t j = 0; j < m; j++) q[i + j] = (int8_t)rounded[j];
  }
  return (uint16_t)(scale >> 16);
}
