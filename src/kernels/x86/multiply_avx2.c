/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of many tokens with one digit (i8) and AVX2. 16 bits hold the sum of a whole group, so two codes of a token
 * cost one vpmaddubsw and one addition for a vector of them.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds two products in 16 bits, with saturation; 16-bit additions
 * wrap. The unsigned factors are the activations plus 128 (1 to 255). The signed ones are d, the codes minus the zero
 * of the matrix. The 128 add 128 times the d of the row to a sum, which is subtracted at the beginning:
 *   sum of d * q = sum of d * (q + 128) - 128 * sum of d.
 * This start is the same for every token and is computed once for all. Two products do not saturate if |d| <= 64,
 * because 2 * 64 * 255 < 2^15. A sum that wraps on the way wraps back if its final value fits 16 bits. Since |q| <=
 * 127, it does if the |d| of a row in those columns add up to at most 258. With real weights this holds for all 8 pairs
 * of nearly every group if codes have at most 5.6 bits of entropy, for 4 pairs with 6.5 bits, and for 2 pairs always.
 * Codes that are further away count as the zero, and the differences are added one by one. A group with many such codes
 * uses vpmaddwd instead. All ways are exact.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/columns.h"
#include "kernels/x86/finish_avx2.h"

enum {
  GROUP_TILES = KERNEL_GROUP_I8 / CODER_TILE_COLUMNS, HALVES = 2, HALF_CODES = CODER_TILE / HALVES,
  MAX_GROUPS = CODER_MAX_TILES / GROUP_TILES,
  TOKENS = 4,          /* at once */
  LEAST_TOKENS = 4,    /* fewer do not pay for the preparation */
  FARTHEST = 64,       /* largest |d| that goes by bytes */
  MOST_FAR = 24,       /* codes of a group that are further off; more are slower than vpmaddwd */
  LARGEST_SUM = 258    /* 32767 / 127 */
};

/* A code too far from the zero for a byte: its difference, and where it is in its group. */
typedef struct far_code { int16_t d; uint8_t row, column; } far_code;

/* A panel's codes less the zero, group by group, the last one filled up with zeros. */
typedef struct centred {
  int8_t codes[CODER_MAX_CODES];
  /* -128 * the sums of d of a run of tiles, in the lanes of its products; runs of 2, 4 or 8 tiles, one behind the
   * other */
  int16_t start[MAX_GROUPS][GROUP_TILES / 2][HALVES][HALF_CODES / 2];
  uint8_t run[MAX_GROUPS]; /* tiles whose products 16 bits hold: 8, 4 or 2; 0: too many codes are too far off */
  uint8_t n_far[MAX_GROUPS];
  far_code far[MAX_GROUPS][MOST_FAR];
} centred;

KERNEL_INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
KERNEL_INLINE void store(void *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }
KERNEL_INLINE bool any_above(__m256i v, int most) {
  return _mm256_movemask_epi8(_mm256_cmpgt_epi16(v, _mm256_set1_epi16((short)most))) != 0;
}

/* Notes the codes of half a tile that are too far off, where a bit of `near` is 0; returns how many there are by
 * now. */
static __attribute__((noinline)) unsigned note_far(const uint8_t *half_tile, uint32_t near, int zero, size_t tile, int half, unsigned n,
                         far_code far[MOST_FAR]) {
  for (uint32_t left = ~near; left != 0; left &= left - 1, n++) {
    const int at = __builtin_ctz(left);
    if (n < MOST_FAR)
      far[n] = (far_code){(int16_t)(half_tile[at] - zero), (uint8_t)(8 * half + at / CODER_TILE_COLUMNS),
                          (uint8_t)(tile * CODER_TILE_COLUMNS + at % CODER_TILE_COLUMNS)};
  }
  return n;
}

/* Group g, of n_tiles tiles. */
static void centre_group(const uint8_t *codes, size_t n_tiles, int zero, size_t g, centred *c) {
  const __m256i zeros = _mm256_set1_epi8((char)zero), ones = _mm256_set1_epi8(1), most = _mm256_set1_epi8((char)128),
                limit = _mm256_set1_epi8(FARTHEST);
  int16_t(*start)[HALVES][HALF_CODES / 2] = c->start[g];
  __m256i eight = _mm256_setzero_si256(), four = eight;
  unsigned n_far = 0;
  for (int half = 0; half < HALVES; half++) {
    __m256i distance[GROUP_TILES / 2], begin[GROUP_TILES / 2];
    for (size_t i = 0; i < GROUP_TILES; i++) {
      const size_t place = CODER_TILE * i + HALF_CODES * (size_t)half;
      const __m256i code = i < n_tiles ? load(codes + place) : zeros;
      __m256i far = _mm256_or_si256(_mm256_subs_epu8(code, zeros), _mm256_subs_epu8(zeros, code));
      const __m256i near = _mm256_cmpeq_epi8(_mm256_max_epu8(far, limit), limit);
      const uint32_t mask = (uint32_t)_mm256_movemask_epi8(near);
      if (mask != UINT32_MAX) n_far = note_far(codes + place, mask, zero, i, half, n_far, c->far[g]);
      far = _mm256_and_si256(far, near);
      const __m256i d = _mm256_and_si256(_mm256_sub_epi8(code, zeros), near);
      store(c->codes + CODER_TILE * GROUP_TILES * g + place, d);
      const __m256i far_sum = _mm256_maddubs_epi16(far, ones), d_sum = _mm256_maddubs_epi16(most, d);
      distance[i / 2] = i % 2 == 0 ? far_sum : _mm256_add_epi16(distance[i / 2], far_sum);
      begin[i / 2] = _mm256_sub_epi16(i % 2 == 0 ? _mm256_setzero_si256() : begin[i / 2], d_sum);
    }
    for (int i = 0; i < GROUP_TILES / 2; i++) store(start[i][half], begin[i]);
    const __m256i first = _mm256_add_epi16(distance[0], distance[1]), second = _mm256_add_epi16(distance[2], distance[3]);
    four = _mm256_max_epi16(four, _mm256_max_epi16(first, second));
    eight = _mm256_max_epi16(eight, _mm256_add_epi16(first, second));
  }
  c->n_far[g] = (uint8_t)(n_far <= MOST_FAR ? n_far : 0);
  c->run[g] = n_far > MOST_FAR ? 0 : !any_above(eight, LARGEST_SUM) ? 8 : !any_above(four, LARGEST_SUM) ? 4 : 2;
  const size_t joined = c->run[g] / 2; /* starts of so many become one */
  for (size_t to = 0; joined > 1 && to * joined < GROUP_TILES / 2; to++)
    for (int half = 0; half < HALVES; half++) {
      __m256i sum = load(start[to * joined][half]);
      for (size_t i = 1; i < joined; i++) sum = _mm256_add_epi16(sum, load(start[to * joined + i][half]));
      store(start[to][half], sum);
    }
}

/* What the products of a panel with all tokens read. */
typedef struct panel {
  const centred *centred;
  const uint8_t *codes;
  size_t n_tiles, n_groups;
  int zero;
  const kernel_activations *a;
  size_t column, n_rows;
} panel;

typedef struct pair { __m256i half[HALVES]; } pair;

/* Products of a tile with four activations, added to the sums of a token. Written out, because compilers copy the sums
 * about and put products aside; with 6 tokens it would take all 16
 * registers, which compilers cannot do; 4 are as fast as 5. */
KERNEL_INLINE void add_tile(pair *sums, __m256i low, __m256i high, const uint8_t *x) {
  __m256i q, product;
  __asm__("vpbroadcastd %[x], %[q]\n\t"
          "vpmaddubsw %[low], %[q], %[product]\n\t"
          "vpmaddubsw %[high], %[q], %[q]\n\t"
          "vpaddw %[product], %[first], %[first]\n\t"
          "vpaddw %[q], %[second], %[second]"
          : [first] "+x"(sums->half[0]), [second] "+x"(sums->half[1]), [q] "=&x"(q), [product] "=&x"(product)
          : [x] "m"(*(const uint8_t(*)[4])x), [low] "x"(low), [high] "x"(high));
}

/* Sums of 16 bits of a run of tiles, for all tokens at once; moves x on. */
KERNEL_INLINE void add_run(const int8_t *codes, const int16_t start[HALVES][HALF_CODES / 2], const uint8_t **x,
                           size_t run, size_t tokens, pair *sums) {
  KERNEL_UNROLL(4)
  for (size_t t = 0; t < tokens; t++) sums[t] = (pair){{load(start[0]), load(start[1])}};
  KERNEL_UNROLL(8)
  for (size_t i = 0; i < run; i++) {
    const __m256i low = load(codes + CODER_TILE * i), high = load(codes + CODER_TILE * i + HALF_CODES);
    KERNEL_UNROLL(4)
    for (size_t t = 0; t < tokens; t++) add_tile(&sums[t], low, high, x[t] + CODER_TILE_COLUMNS * i);
  }
  KERNEL_UNROLL(4)
  for (size_t t = 0; t < tokens; t++) x[t] += CODER_TILE_COLUMNS * run;
}

/* The sums of a group: of several runs, or of one. */
KERNEL_INLINE void add_runs(const int8_t *codes, const int16_t start[GROUP_TILES / 2][HALVES][HALF_CODES / 2],
                            const uint8_t **x, size_t run, size_t tokens, finish_token *sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  KERNEL_UNROLL(4)
  for (size_t i = 0; i < GROUP_TILES / run; i++) {
    pair narrow[TOKENS];
    add_run(codes + CODER_TILE * run * i, start[i], x, run, tokens, narrow);
    KERNEL_UNROLL(4)
    for (size_t t = 0; t < tokens; t++)
      KERNEL_UNROLL(2)
      for (int half = 0; half < HALVES; half++) {
        const __m256i wide = _mm256_madd_epi16(narrow[t].half[half], ones);
        store(sums[t] + 8 * half, i == 0 ? wide : _mm256_add_epi32(wide, load(sums[t] + 8 * half)));
      }
  }
}

/* What the codes that are too far off for bytes add; q: of the group's first column, first token. */
static __attribute__((noinline)) void add_far(const far_code *far, size_t n, const int8_t *q, size_t stride, size_t tokens,
                           finish_token *sums) {
  for (size_t i = 0; i < n; i++)
    for (size_t t = 0; t < tokens; t++) sums[t][far[i].row] += far[i].d * q[t * stride + far[i].column];
}

/* A group with many codes that are too far off for bytes. */
static void add_wide(const uint8_t *codes, size_t n_tiles, int zero, const int16_t *x, const int32_t *x_sum,
                     const kernel_activations *a, size_t tokens, finish_token *sums) {
  const __m256i mask = _mm256_set1_epi16(255);
  for (size_t t = 0; t < tokens; t++, x += a->stride, x_sum += a->n_groups)
    for (int half = 0; half < HALVES; half++) {
      __m256i sum = _mm256_set1_epi32(-zero * *x_sum);
      for (size_t i = 0; i < n_tiles; i++) {
        const __m256i c = load(codes + CODER_TILE * i + HALF_CODES * half);
        int32_t even, odd;
        memcpy(&even, x + CODER_TILE_COLUMNS * i, sizeof even);
        memcpy(&odd, x + CODER_TILE_COLUMNS * i + 2, sizeof odd);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_and_si256(c, mask), _mm256_set1_epi32(even)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_srli_epi16(c, 8), _mm256_set1_epi32(odd)));
      }
      store(sums[t] + 8 * half, sum);
    }
}

/* All groups of the panel with some tokens from `token` on. */
KERNEL_INLINE void multiply_tokens(const panel *p, size_t token, size_t tokens, const int32_t *added, float *y,
                                   size_t y_stride) {
  const kernel_activations *a = p->a;
  const centred *c = p->centred;
  const size_t at = token * a->stride + p->column, group = token * a->n_groups + p->column / KERNEL_GROUP_I8;
  const uint8_t *x[TOKENS];
  finish_sums sums;
  finish_out out;
  finish_begin(&out, y, y_stride, tokens, p->n_rows);
  KERNEL_UNROLL(4)
  for (size_t t = 0; t < tokens; t++) x[t] = a->raised + at + t * a->stride;
  for (size_t first = 0; first < p->n_groups; first += FINISH_GROUPS) {
    const size_t left = p->n_groups - first, now = left < FINISH_GROUPS ? left : FINISH_GROUPS;
    for (size_t i = 0; i < now; i++) {
      const size_t g = first + i, tile = GROUP_TILES * g;
      const int8_t *codes = c->codes + CODER_TILE * tile;
      switch (c->run[g]) {
        case 8: add_runs(codes, c->start[g], x, 8, tokens, sums[i]); break;
        case 4: add_runs(codes, c->start[g], x, 4, tokens, sums[i]); break;
        case 2: add_runs(codes, c->start[g], x, 2, tokens, sums[i]); break;
        default:
          add_wide(p->codes + CODER_TILE * tile, p->n_tiles - tile < GROUP_TILES ? p->n_tiles - tile : GROUP_TILES,
                   p->zero, a->wide + at + KERNEL_GROUP_I8 * g, a->sum + group + g, a, tokens, sums[i]);
          KERNEL_UNROLL(4)
          for (size_t t = 0; t < tokens; t++) x[t] += KERNEL_GROUP_I8;
      }
      if (c->n_far[g] > 0)
        add_far(c->far[g], c->n_far[g], a->low + at + KERNEL_GROUP_I8 * g, a->stride, tokens, sums[i]);
      if (added != NULL)
        finish_add(added + g * CODER_PANEL_ROWS, p->n_groups * CODER_PANEL_ROWS, tokens, sums[i]);
    }
    finish_some((const finish_token(*)[FINISH_TOKENS])sums, now, a->scale + group + first, a->n_groups, tokens, &out);
  }
  finish_end(&out, y, y_stride, tokens, p->n_rows);
}

bool multiply_finish_avx2(const uint8_t *panel_codes, const coder_block *block, const kernel_activations *a,
                          size_t token, size_t n_tokens, const quant_scales *scales, const int32_t *added,
                          size_t n_rows, float *y, size_t y_stride) {
  if (a->digits != 1 || block->panel_rows != CODER_PANEL_ROWS || n_tokens < LEAST_TOKENS || scales->zero < 0 ||
      scales->zero > 255)
    return false;
  centred c;
  const panel p = {.centred = &c, .codes = panel_codes, .n_tiles = block->tiles,
                   .n_groups = kernel_block_groups(block, a), .zero = scales->zero, .a = a, .column = block->first_column,
                   .n_rows = n_rows};
  for (size_t g = 0; g < p.n_groups; g++) {
    const size_t first = GROUP_TILES * g, left = p.n_tiles - first;
    centre_group(panel_codes + CODER_TILE * first, left < GROUP_TILES ? left : GROUP_TILES, p.zero, g, &c);
  }
  for (size_t now; n_tokens > 0; token += now, n_tokens -= now, y += now * y_stride) {
    now = n_tokens < TOKENS ? n_tokens : TOKENS;
    switch (now) {
#define CASE(n) case n: multiply_tokens(&p, token, n, added, y, y_stride); break;
      CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
      default: break;
    }
    if (added) added += now * p.n_groups * CODER_PANEL_ROWS;
  }
  return true;
}
