/* SPDX-License-Identifier: Apache-2.0 */
/* Coded matrices of normally distributed weights. See coded.h. */
#include "bench/coded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "coder/cost.h"
#include "coder/encode.h"
#include "coder/patches.h"

enum { COLUMNS = 4096, DISTINCT_BLOCKS = 256 };

typedef struct normal_source { uint64_t state; double step; int zero, last; } normal_source;

double bench_random(uint64_t *state) { /* splitmix64 (S. Vigna, public domain) */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static void normal_codes(normal_source *source, uint8_t *codes, size_t n) {
  for (size_t i = 0; i < n; i++) { /* Box and Muller */
    const double radius = sqrt(-2.0 * log(bench_random(&source->state)));
    const double value = radius * cos(6.283185307179586 * bench_random(&source->state)) / source->step;
    const long code = lrint(value) + source->zero;
    codes[i] = (uint8_t)(code < 0 ? 0 : code > source->last ? source->last : code);
  }
}

/* Encodes the first blocks and repeats them. codes: the first blocks' codes in tile order. */
static ellm_status encode_blocks(bench_coded *coded, uint8_t *codes, size_t n_distinct, ellm_error *err) {
  coder_encoder *encoder = NULL;
  coder_patch patches[CODER_MAX_CODES];
  uint8_t *data = coded->owned[0];
  uint64_t *offset = coded->owned[1];
  ELLM_TRY(coder_encoder_create(&encoder, err));
  for (size_t i = 0; i < coded->geometry.n_blocks; i++) {
    if (i < n_distinct) {
      const coder_block block = coder_geometry_block(&coded->geometry, i);
      uint8_t *block_codes = codes + i * CODER_MAX_CODES;
      size_t patch_bytes = 0;
      if (coded->patched) {
        const size_t n = coder_clip(&coded->book, block_codes, coder_block_codes(&block), patches);
        patch_bytes = coder_patches_bytes(patches, n);
        coder_patches_store(patches, n, data + offset[i]);
      }
      size_t bytes = coder_encode_block(encoder, &coded->book, &block, block_codes, data + offset[i] + patch_bytes);
      if (bytes == CODER_NOT_CODABLE) {
        coder_encoder_free(encoder);
        return ellm_fail(err, ELLM_ERR_INTERNAL, "a block cannot be coded by its own book");
      }
      offset[i + 1] = offset[i] + patch_bytes + bytes;
    } else {
      const size_t from = i % n_distinct, bytes = (size_t)(offset[from + 1] - offset[from]);
      memcpy(data + offset[i], data + offset[from], bytes);
      offset[i + 1] = offset[i] + bytes;
    }
  }
  coder_encoder_free(encoder);
  return ELLM_OK;
}

static ellm_status code_normal(bench_coded *coded, double step, int bits, coder_aim aim,
                               uint8_t *codes, coder_statistics *stats, ellm_error *err) {
  const size_t n_blocks = coded->geometry.n_blocks,
               n_distinct = n_blocks < DISTINCT_BLOCKS ? n_blocks : DISTINCT_BLOCKS;
  normal_source source = {.state = 1, .step = step, .zero = 1 << (bits - 1), .last = (1 << bits) - 1};
  coder_choice choice;
  coder_geometry distinct; /* the book is chosen for the blocks that are counted */
  coder_geometry_init(&distinct, n_distinct * CODER_MAX_CODES / COLUMNS, COLUMNS);
  memset(stats, 0, sizeof *stats);
  for (size_t i = 0; i < n_distinct; i++) {
    const coder_block block = coder_geometry_block(&coded->geometry, i);
    normal_codes(&source, codes + i * CODER_MAX_CODES, coder_block_codes(&block));
    coder_count_codes(codes + i * CODER_MAX_CODES, coder_block_codes(&block), stats->codes);
    coder_statistics_add_pairs(stats, &block, bits, codes + i * CODER_MAX_CODES);
  }
  uint64_t n = 0;
  for (int q = 0; q < 256; q++) n += stats->codes[q];
  coded->entropy = coder_entropy_bits(stats->codes, 256) / (double)n;
  const coder_codes counted = {stats, &distinct, bits, source.zero, (uint8_t)source.zero};
  ELLM_TRY(coder_choose(&counted, aim, &choice, err));
  coded->book = choice.book;
  coded->patched = choice.outliers > 0;
  return encode_blocks(coded, codes, n_distinct, err);
}

ellm_status bench_coded_normal(bench_coded *coded, double step, int bits, coder_aim aim, size_t n_codes,
                               ellm_error *err) {
  memset(coded, 0, sizeof *coded);
  const uint64_t panels = (n_codes + COLUMNS * CODER_PANEL_ROWS - 1) / (COLUMNS * CODER_PANEL_ROWS);
  if (!coder_geometry_init(&coded->geometry, (panels > 0 ? panels : 1) * CODER_PANEL_ROWS, COLUMNS))
    return ellm_fail(err, ELLM_ERR_USAGE, "too many codes: %zu", n_codes);
  const size_t n_blocks = coded->geometry.n_blocks,
               n_distinct = n_blocks < DISTINCT_BLOCKS ? n_blocks : DISTINCT_BLOCKS;
  /* no coded block of these is larger than plain bytes by more than a little; the encoder wants room for the largest */
  coded->owned[0] = ellm_aligned_calloc(n_blocks + 8, CODER_MAX_CODES + CODER_MAX_CODES / 8);
  coded->owned[1] = ellm_aligned_calloc(n_blocks + 1, sizeof(uint64_t));
  uint8_t *codes = ellm_aligned_calloc(n_distinct, CODER_MAX_CODES);
  coder_statistics *stats = malloc(sizeof *stats);
  ellm_status status = ELLM_OK;
  if (!coded->owned[0] || !coded->owned[1] || !codes || !stats)
    status = ellm_fail_memory(err, n_blocks * CODER_MAX_CODES, "a coded matrix");
  else
    status = code_normal(coded, step, bits, aim, codes, stats, err);
  coded->data = coded->owned[0];
  coded->offset = coded->owned[1];
  ellm_aligned_free(codes);
  free(stats);
  if (status != ELLM_OK) bench_coded_free(coded);
  return status;
}

void bench_coded_free(bench_coded *coded) {
  ellm_aligned_free(coded->owned[0]);
  ellm_aligned_free(coded->owned[1]);
  memset(coded, 0, sizeof *coded);
}

double bench_coded_bits(const bench_coded *coded) {
  const double weights = (double)coded->geometry.rows * (double)coded->geometry.columns;
  return 8.0 * (double)(coded->offset[coded->geometry.n_blocks] - coded->offset[0]) / weights;
}
