/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding speed by instruction set: G codes/s on one thread, for Gaussian codes
 * at the entropies of the usual code widths, with the code books that the encoder
 * chooses for speed and for size; from a buffer larger than the last-level cache
 * and from one that fits the second-level cache. Prints a table of medians.
 *
 *   bench_decode [MEGACODES]   codes of the large buffer, in 2^20; default 128
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "kernels/kernels.h"

enum { REPEATS = 7, CACHE_CODES = 1 << 19, ROW_CODES = 1024 };

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t random_state = 1;
static double random_unit(void) { /* splitmix64 */
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

typedef struct source { double step; int bits; } source; /* step in standard deviations */

static void fill_codes(const source *s, uint8_t *codes, size_t n) {
  const int zero = 1 << (s->bits - 1), last = 2 * zero - 1;
  for (size_t i = 0; i < n; i++) {
    const double gauss = sqrt(-2.0 * log(random_unit())) * cos(6.283185307179586 * random_unit());
    const int code = (int)lrint(gauss / s->step) + zero;
    codes[i] = (uint8_t)(code < 0 ? 0 : code > last ? last : code);
  }
}

static double entropy_of(const uint64_t counts[256]) {
  double total = 0, bits = 0;
  for (int i = 0; i < 256; i++) total += (double)counts[i];
  for (int i = 0; i < 256; i++)
    if (counts[i]) bits -= (double)counts[i] * log2((double)counts[i] / total);
  return bits / total;
}

/* A coded matrix: distinct blocks for the cache, repeated in memory for the large buffer. */
typedef struct coded {
  coder_codebook book;
  coder_block block;
  uint8_t *data;
  size_t *offset; /* [n_blocks + 1] */
  size_t n_blocks;
} coded;

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median G codes/s of decoding blocks 0..n-1 often enough to take some 10 ms. */
static double speed(const kernel_table *table, const coded *c, size_t n, coder_scratch *scratch, uint8_t *codes) {
  const double per_pass = (double)n * CODER_MAX_CODES;
  double results[REPEATS];
  int passes = 1;
  for (int repeat = -1; repeat < REPEATS; repeat++) { /* the first one warms up */
    const double start = seconds();
    for (int pass = 0; pass < passes; pass++)
      for (size_t i = 0; i < n; i++)
        if (!table->decode_block(&c->book, &c->block, c->data + c->offset[i], c->offset[i + 1] - c->offset[i], scratch, codes))
          abort();
    const double time = seconds() - start;
    if (repeat < 0) {
      if (time < 0.01) passes = (int)(0.01 / time) + 1;
    } else {
      results[repeat] = per_pass * passes / time * 1e-9;
    }
  }
  qsort(results, REPEATS, sizeof results[0], by_value);
  return results[REPEATS / 2];
}

int main(int argc, char **argv) {
  static const source sources[] = {{1.77, 4}, {0.95, 5}, {0.52, 6}, {0.26, 7}, {0.09, 8}};
  const size_t large_codes = (size_t)(argc > 1 ? atoi(argv[1]) : 128) << 20;
  const size_t n_large = large_codes / CODER_MAX_CODES, n_small = CACHE_CODES / CODER_MAX_CODES;
  uint8_t *codes = ellm_aligned_calloc(CACHE_CODES, 1), *out = ellm_aligned_calloc(CODER_MAX_CODES, 1);
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  coder_encoder *encoder = NULL;
  coder_geometry geometry;
  ellm_error err;
  coded c;
  memset(&c, 0, sizeof c);
  c.offset = calloc(n_large + 1, sizeof *c.offset);
  c.data = ellm_aligned_calloc(n_large, CODER_MAX_CODES + CODER_SLACK);
  if (!codes || !out || !scratch || !c.offset || !c.data || coder_encoder_create(&encoder, &err) != ELLM_OK ||
      !coder_geometry_from(&geometry, 16 * (CACHE_CODES / CODER_MAX_CODES), ROW_CODES, 1, ROW_CODES))
    return 1;

  printf("one thread, %d x %d codes a block; large: %zu MiB of codes, small: %d KiB\n\n", CODER_PANEL_ROWS, ROW_CODES,
         large_codes >> 20, CACHE_CODES >> 10);
  printf("| entropy | prefer | coded bits | layout | isa | G codes/s, memory | L2 |\n|---|---|---|---|---|---|---|\n");
  for (size_t s = 0; s < sizeof sources / sizeof sources[0]; s++) {
    fill_codes(&sources[s], codes, CACHE_CODES);
    for (int prefer = ELLM_PREFER_SPEED; prefer <= ELLM_PREFER_SIZE; prefer++) {
      static coder_statistics stats;
      memset(&stats, 0, sizeof stats);
      for (size_t i = 0; i < n_small; i++) {
        c.block = coder_geometry_block(&geometry, i);
        coder_statistics_add(&stats, &c.block, sources[s].bits, codes + i * CODER_MAX_CODES);
      }
      double estimate;
      if (coder_choose(&stats, &geometry, sources[s].bits, (uint8_t)(1 << (sources[s].bits - 1)), (ellm_prefer)prefer,
                       ELLM_CODE_HUFFMAN, &c.book, &estimate, &err) != ELLM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
      }
      for (size_t i = 0; i < n_large; i++) {
        uint8_t *at = c.data + c.offset[i];
        if (i < n_small)
          c.offset[i + 1] =
              c.offset[i] + coder_encode_block(encoder, &c.book, &c.block, codes + i * CODER_MAX_CODES, at);
        else
          memcpy(at, c.data + c.offset[i % n_small], c.offset[i % n_small + 1] - c.offset[i % n_small]);
        if (i >= n_small) c.offset[i + 1] = c.offset[i] + (c.offset[i % n_small + 1] - c.offset[i % n_small]);
      }
      char layout[64];
      if (c.book.kind == CODER_PLAIN)
        snprintf(layout, sizeof layout, "plain");
      else
        snprintf(layout, sizeof layout, "raw %d, tuple %d, %d leaves", c.book.raw_bits, c.book.tuple, c.book.n_leaves);
      const double bits = 8.0 * (double)c.offset[n_large] / (double)large_codes;
      for (size_t i = 0; kernels_at(i); i++) {
        const kernel_table *table = kernels_at(i);
        const size_t n = i == 0 ? n_small : n_large; /* the scalar one takes too long over all */
        printf("| %.2f | %s | %.3f | %s | %s | %.2f | %.2f |\n", entropy_of(stats.codes),
               prefer == ELLM_PREFER_SPEED ? "speed" : "size", bits, layout, table->isa, speed(table, &c, n, scratch, out),
               speed(table, &c, n_small, scratch, out));
        fflush(stdout);
      }
    }
  }
  coder_encoder_free(encoder);
  ellm_aligned_free(codes);
  ellm_aligned_free(out);
  ellm_aligned_free(scratch);
  ellm_aligned_free(c.data);
  free(c.offset);
  return 0;
}
