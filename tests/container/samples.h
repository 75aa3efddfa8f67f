/* SPDX-License-Identifier: Apache-2.0 */
/* A small .ellm file with every kind of record, and reading all of it. */
#ifndef ELLM_TESTS_CONTAINER_SAMPLES_H
#define ELLM_TESTS_CONTAINER_SAMPLES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "coder/coder.h"
#include "container/container.h"
#include "container/hash.h"
#include "container/record.h"

enum { SAMPLE_ROWS = 37, SAMPLE_COLUMNS = 22 };

static inline uint32_t sample_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(*state >> 33);
}

/* Skewed codes of `bits` bits: a few common ones, all possible. */
static inline void sample_codes(uint8_t *codes, size_t n, int bits, uint64_t seed) {
  for (size_t i = 0; i < n; i++) {
    uint32_t r = sample_random(&seed), q = 0;
    while ((r & 1) != 0 && q < (1u << bits) - 1) {
      q++;
      r >>= 1;
    }
    codes[i] = (uint8_t)((q + (1u << (bits - 1))) & ((1u << bits) - 1));
  }
}

/* A coded tensor from row-major codes of any size, by the coder's own functions; the rest of its description is in
 * `tensor`, its geometry where it is not the usual one. Where codes are beyond its width every block gets patches. */
static inline ellm_status sample_write_tensor(container_writer *writer, container_tensor *tensor, const int32_t *whole,
                                              ellm_prefer prefer, ellm_error *err) {
  const uint64_t rows = tensor->shape[0], columns = tensor->shape[1];
  const int bits = tensor->quant.bits, top = (1 << bits) - 1;
  if (tensor->geometry.n_blocks == 0 && !coder_geometry_init(&tensor->geometry, rows, columns)) return ELLM_ERR_INTERNAL;
  coder_statistics stats = {0};
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1),
          *out = malloc(2 * CODER_MAX_BLOCK_BYTES), *codes = malloc(rows * columns);
  coder_patch *patches = malloc(CODER_MAX_CODES * sizeof *patches);
  for (uint64_t i = 0; i < rows * columns; i++) {
    codes[i] = (uint8_t)(whole[i] < 0 ? 0 : whole[i] > top ? top : whole[i]);
    tensor->quant.scales.outliers += codes[i] != whole[i];
  }
  coder_count_codes(codes, (size_t)(rows * columns), stats.codes);
  const uint8_t pad = coder_pad(stats.codes);
  for (uint64_t b = 0; b < tensor->geometry.n_blocks; b++) {
    coder_block block = coder_geometry_block(&tensor->geometry, b);
    coder_tile_block(&block, codes + block.first_row * columns + block.first_column, columns, pad, tiles);
    coder_statistics_add_pairs(&stats, &block, bits, tiles);
  }
  tensor->entropy_bits = coder_entropy_bits(stats.codes, 256);
  tensor->huffman_bits = coder_huffman_bits(stats.codes, 256);
  coder_choice choice;
  coder_encoder *encoder = NULL;
  const coder_codes counted = {&stats, &tensor->geometry, bits, tensor->quant.scales.zero, pad};
  ellm_status status = coder_choose(&counted, (coder_aim){.prefer = prefer}, &choice, err);
  tensor->book = choice.book;
  if (status == ELLM_OK) status = coder_encoder_create(&encoder, err);
  if (status == ELLM_OK) status = container_writer_begin_coded(writer, tensor, err);
  for (uint64_t b = 0; status == ELLM_OK && b < tensor->geometry.n_blocks; b++) {
    coder_block block = coder_geometry_block(&tensor->geometry, b);
    coder_tile_block(&block, codes + block.first_row * columns + block.first_column, columns, pad, tiles);
    size_t n = 0, n_patches = 0;
    for (uint32_t place = 0; place < coder_block_codes(&block); place++) {
      uint32_t r, c;
      coder_patch_where(&block, place, &r, &c);
      if (r >= block.rows || c >= block.columns) continue;
      const uint64_t i = (block.first_row + r) * columns + block.first_column + c;
      if (codes[i] != whole[i]) patches[n_patches++] = (coder_patch){place, whole[i] - codes[i]};
    }
    if (!container_has_block(tensor, b)) continue;
    if (tensor->quant.scales.outliers != 0) {
      n = coder_patches_bytes(patches, n_patches);
      coder_patches_store(patches, n_patches, out);
    }
    n += coder_encode_block(encoder, &tensor->book, &block, tiles, out + n);
    status = container_writer_block(writer, out, n, container_block_checksum(out, n), err);
  }
  if (status == ELLM_OK) status = container_writer_end(writer, err);
  coder_encoder_free(encoder);
  ellm_aligned_free(tiles);
  free(patches);
  free(codes);
  free(out);
  return status;
}

static inline ellm_status sample_write_coded(container_writer *writer, const char *name, uint64_t rows,
                                             uint64_t columns, int bits, const uint8_t *codes, ellm_prefer prefer,
                                             ellm_error *err) {
  container_tensor tensor = {
      .name = name,
      .dtype = ELLM_F32,
      .n_dims = 2,
      .shape = {rows, columns},
      .n_elements = rows * columns,
      .storage = CONTAINER_CODED,
      .quant = {.bits = bits, .scheme = ELLM_SCHEME_ASYMMETRIC, .scales = {.step = 0.25f, .zero = 1}}};
  int32_t *whole = malloc(rows * columns * sizeof *whole);
  for (uint64_t i = 0; i < rows * columns; i++) whole[i] = codes[i];
  ellm_status status = sample_write_tensor(writer, &tensor, whole, prefer, err);
  free(whole);
  return status;
}

/* Whole codes around `zero`, most of them near it, some far beyond 8 bits. */
static inline void sample_whole_codes(int32_t *codes, size_t n, int zero, uint64_t seed) {
  for (size_t i = 0; i < n; i++) {
    int32_t code = 0;
    for (uint32_t r = sample_random(&seed); (r & 1) != 0; r >>= 1) code++;
    if (sample_random(&seed) % 100 == 0) code = (int32_t)(sample_random(&seed) % 1500);
    codes[i] = zero + (sample_random(&seed) % 2 != 0 ? code : -code);
  }
}

/* Factors between 2^-4 and 2^4. */
static inline void sample_factors(uint16_t *factors, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++) factors[i] = (uint16_t)(0x3d80 + sample_random(&seed) % 0x400);
}

/* Three matrices: scales of columns that two of them share, of rows, and patches; one with patches alone. */
enum { SCALED_COLUMNS = 300, SCALED_ROWS = 21 };
static inline ellm_status sample_scaled_sections(container_writer *writer, ellm_error *err) {
  static const struct { const char *name; uint64_t rows; int bits; bool has_rows, has_columns; } made[] = {
      {"q.weight", SCALED_ROWS, 4, true, true}, {"k.weight", 5, 2, false, true}, {"o.weight", 3, 5, false, false}};
  uint16_t rows[SCALED_ROWS], columns[SCALED_COLUMNS];
  uint32_t record;
  ellm_status status = ELLM_OK;
  int32_t *whole = malloc(SCALED_ROWS * SCALED_COLUMNS * sizeof *whole);
  sample_factors(rows, SCALED_ROWS, 5);
  sample_factors(columns, SCALED_COLUMNS, 6);
  status = container_writer_columns(writer, "q.weight", columns, SCALED_COLUMNS, &record, err);
  for (size_t i = 0; status == ELLM_OK && i < 3; i++) {
    const int zero = 1 << (made[i].bits - 1);
    container_tensor tensor = {.name = made[i].name,
                               .dtype = ELLM_BF16,
                               .n_dims = 2,
                               .shape = {made[i].rows, SCALED_COLUMNS},
                               .n_elements = made[i].rows * SCALED_COLUMNS,
                               .storage = CONTAINER_CODED,
                               .columns_record = record,
                               .quant = {.bits = made[i].bits,
                                         .scheme = ELLM_SCHEME_SYMMETRIC,
                                         .scales = {.step = 0.03f,
                                                    .zero = zero,
                                                    .rows = made[i].has_rows ? rows : NULL,
                                                    .columns = made[i].has_columns ? columns : NULL}}};
    sample_whole_codes(whole, tensor.n_elements, zero, 10 + i);
    status = sample_write_tensor(writer, &tensor, whole, i == 0 ? ELLM_PREFER_SIZE : ELLM_PREFER_BALANCED, err);
  }
  free(whole);
  return status;
}

/* The second example of docs/FORMAT.md: two small matrices that share scales of columns, one with scales of rows and a
 * patch besides. */
static inline ellm_status sample_example_sections(container_writer *writer, ellm_error *err) {
  static const int32_t q_codes[2 * 6] = {4, 3, 5, 4, 2, 12, 5, 4, 3, 4, 4, 0}, k_codes[6] = {2, 1, 3, 2, 2, 0};
  static const uint16_t rows[2] = {0x3f80, 0x4000}, columns[6] = {0x3f80, 0x3f80, 0x3f80, 0x3f00, 0x4000, 0x3f80};
  uint32_t record;
  ELLM_TRY(container_writer_columns(writer, "q", columns, 6, &record, err));
  container_tensor q = {.name = "q",
                        .dtype = ELLM_BF16,
                        .n_dims = 2,
                        .shape = {2, 6},
                        .n_elements = 12,
                        .storage = CONTAINER_CODED,
                        .columns_record = record,
                        .quant = {.bits = 3,
                                  .scheme = ELLM_SCHEME_SYMMETRIC,
                                  .scales = {.step = 0.5f, .zero = 4, .rows = rows, .columns = columns}}};
  ELLM_TRY(sample_write_tensor(writer, &q, q_codes, ELLM_PREFER_SIZE, err));
  container_tensor k = {.name = "k",
                        .dtype = ELLM_BF16,
                        .n_dims = 2,
                        .shape = {1, 6},
                        .n_elements = 6,
                        .storage = CONTAINER_CODED,
                        .columns_record = record,
                        .quant = {.bits = 2,
                                  .scheme = ELLM_SCHEME_SYMMETRIC,
                                  .scales = {.step = 0.25f, .zero = 2, .columns = columns}}};
  return sample_write_tensor(writer, &k, k_codes, ELLM_PREFER_SIZE, err);
}

/* A matrix that is stored exactly, of elements of `dtype` as bits. */
static inline ellm_status sample_write_exact(container_writer *writer, const char *name, ellm_dtype dtype,
                                             uint64_t rows, uint64_t columns, unsigned omitted, const uint32_t *bits,
                                             ellm_error *err) {
  const size_t size = ellm_dtype_size(dtype);
  container_tensor tensor = {.name = name,
                             .dtype = dtype,
                             .n_dims = 2,
                             .shape = {rows, columns},
                             .n_elements = rows * columns,
                             .storage = CONTAINER_CODED,
                             .quant = {.bits = 8},
                             .exact = {.used = true, .omitted = omitted, .planes = (unsigned)size - 1 - omitted}};
  if (!coder_geometry_init(&tensor.geometry, rows, columns)) return ELLM_ERR_INTERNAL;
  coder_statistics stats = {0};
  for (uint64_t i = 0; i < rows * columns; i++) stats.codes[exact_code(size, bits[i])]++;
  tensor.entropy_bits = coder_entropy_bits(stats.codes, 256);
  tensor.huffman_bits = coder_huffman_bits(stats.codes, 256);
  coder_encoder *encoder = NULL;
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1), *out = calloc(2, CODER_MAX_BLOCK_BYTES);
  coder_choice choice;
  const coder_codes counted = {&stats, &tensor.geometry, 8, 0, coder_pad(stats.codes)};
  ellm_status status = coder_choose(&counted, (coder_aim){.prefer = ELLM_PREFER_SIZE}, &choice, err);
  tensor.book = choice.book;
  if (status == ELLM_OK) status = coder_encoder_create(&encoder, err);
  if (status == ELLM_OK) status = container_writer_begin_coded(writer, &tensor, err);
  for (uint64_t b = 0; status == ELLM_OK && b < tensor.geometry.n_blocks; b++) {
    const coder_block block = coder_geometry_block(&tensor.geometry, b);
    const size_t n_codes = coder_block_codes(&block), rests = tensor.exact.planes * n_codes;
    memset(out, 0, rests);
    for (uint32_t place = 0; place < n_codes; place++) {
      uint32_t r, c;
      coder_patch_where(&block, place, &r, &c);
      tiles[place] = tensor.book.pad;
      if (r >= block.rows || c >= block.columns) continue;
      const uint32_t element = bits[(block.first_row + r) * columns + block.first_column + c];
      tiles[place] = exact_code(size, element);
      for (unsigned p = 0; p < tensor.exact.planes; p++)
        out[p * n_codes + place] = (uint8_t)(exact_rest(size, element) >> 8 * (p + omitted));
    }
    const size_t n = rests + coder_encode_block(encoder, &tensor.book, &block, tiles, out + rests);
    status = container_writer_block(writer, out, n, container_block_checksum(out, n), err);
  }
  if (status == ELLM_OK) status = container_writer_end(writer, err);
  coder_encoder_free(encoder);
  ellm_aligned_free(tiles);
  free(out);
  return status;
}

/* Three matrices of 16 bits, of 32, and of 32 whose low bytes are 0; NaN, infinity, -0, a subnormal in each. */
enum { EXACT_ROWS = 19, EXACT_COLUMNS = 23 };
static inline void sample_exact_bits(ellm_dtype dtype, unsigned omitted, uint32_t bits[EXACT_ROWS * EXACT_COLUMNS]) {
  static const uint32_t special[] = {0x7fc12345, 0x7f800000, 0xff800000, 0x80000000, 0x00012345, 0xffffffff};
  uint64_t state = 77 + (uint64_t)dtype;
  for (size_t i = 0; i < EXACT_ROWS * EXACT_COLUMNS; i++) {
    uint32_t exponent = 120, r = sample_random(&state);
    for (; (r & 1) != 0; r >>= 1) exponent--;
    bits[i] = (sample_random(&state) << 31) | exponent << 23 | (sample_random(&state) & 0x7fffff);
    if (i < 6) bits[i] = special[i];
    bits[i] &= UINT32_MAX << 8 * omitted;
    if (dtype != ELLM_F32) bits[i] >>= 16;
  }
}
static inline ellm_status sample_exact_sections(container_writer *writer, ellm_error *err) {
  uint32_t bits[EXACT_ROWS * EXACT_COLUMNS];
  sample_exact_bits(ELLM_BF16, 0, bits);
  ELLM_TRY(sample_write_exact(writer, "b.weight", ELLM_BF16, EXACT_ROWS, EXACT_COLUMNS, 0, bits, err));
  sample_exact_bits(ELLM_F16, 0, bits);
  ELLM_TRY(sample_write_exact(writer, "h.weight", ELLM_F16, 3, EXACT_COLUMNS, 0, bits, err));
  sample_exact_bits(ELLM_F32, 0, bits);
  ELLM_TRY(sample_write_exact(writer, "f.weight", ELLM_F32, EXACT_ROWS, EXACT_COLUMNS, 0, bits, err));
  sample_exact_bits(ELLM_F32, 2, bits);
  return sample_write_exact(writer, "w.weight", ELLM_F32, EXACT_ROWS, EXACT_COLUMNS, 2, bits, err);
}

/* Matrices of codes of 8 bits around 128, in fields of 2 to 6 bits from `first` on, some beyond with patches. */
enum { FIELDS_ROWS = 21, FIELDS_COLUMNS = 70 };
static inline unsigned sample_fields_first(int width) { return 128u - (1u << (width - 1)); }
static inline void sample_fields_codes(int width, uint8_t codes[FIELDS_ROWS * FIELDS_COLUMNS]) {
  uint64_t state = 90 + (uint64_t)width;
  for (size_t i = 0; i < FIELDS_ROWS * FIELDS_COLUMNS; i++) {
    codes[i] = (uint8_t)(sample_fields_first(width) + (sample_random(&state) & ((1u << width) - 1)));
    if (sample_random(&state) % 150 == 0) codes[i] = (uint8_t)sample_random(&state);
  }
}
static inline ellm_status sample_write_fields(container_writer *writer, const char *name, int width, uint64_t rows,
                                              const uint8_t *codes, ellm_error *err) {
  container_tensor tensor = {
      .name = name,
      .dtype = ELLM_F32,
      .n_dims = 2,
      .shape = {rows, FIELDS_COLUMNS},
      .n_elements = rows * FIELDS_COLUMNS,
      .storage = CONTAINER_CODED,
      .quant = {.bits = 8, .scheme = ELLM_SCHEME_ASYMMETRIC, .scales = {.step = 0.25f, .zero = 127}}};
  if (!coder_geometry_init(&tensor.geometry, rows, FIELDS_COLUMNS)) return ELLM_ERR_INTERNAL;
  const uint32_t panel_rows = tensor.geometry.panel_rows;
  if (!coder_codebook_fields(8, width, (uint8_t)sample_fields_first(width), 128, panel_rows, &tensor.book))
    return ELLM_ERR_INTERNAL;
  uint64_t counts[256] = {0};
  coder_count_codes(codes, (size_t)tensor.n_elements, counts);
  tensor.quant.scales.outliers = coder_clip_counts(&tensor.book, counts);
  tensor.entropy_bits = coder_entropy_bits(counts, 256);
  tensor.huffman_bits = coder_huffman_bits(counts, 256);
  coder_encoder *encoder = NULL;
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1), *out = malloc(2 * CODER_MAX_BLOCK_BYTES);
  coder_patch *patches = malloc(CODER_MAX_CODES * sizeof *patches);
  ellm_status status = coder_encoder_create(&encoder, err);
  if (status == ELLM_OK) status = container_writer_begin_coded(writer, &tensor, err);
  for (uint64_t b = 0; status == ELLM_OK && b < tensor.geometry.n_blocks; b++) {
    const coder_block block = coder_geometry_block(&tensor.geometry, b);
    coder_tile_block(&block, codes + block.first_row * FIELDS_COLUMNS + block.first_column, FIELDS_COLUMNS, 128, tiles);
    const size_t found = coder_clip(&tensor.book, tiles, coder_block_codes(&block), patches);
    size_t n = coder_patches_bytes(patches, found);
    coder_patches_store(patches, found, out);
    n += coder_encode_block(encoder, &tensor.book, &block, tiles, out + n);
    status = container_writer_block(writer, out, n, container_block_checksum(out, n), err);
  }
  if (status == ELLM_OK) status = container_writer_end(writer, err);
  coder_encoder_free(encoder);
  ellm_aligned_free(tiles);
  free(patches);
  free(out);
  return status;
}
static inline ellm_status sample_fields_sections(container_writer *writer, ellm_error *err) {
  static const char *const names[] = {"two", "three", "four", "five", "six"};
  uint8_t codes[FIELDS_ROWS * FIELDS_COLUMNS];
  for (int width = CODER_FIELDS_LEAST; width <= CODER_FIELDS_MOST; width++) {
    sample_fields_codes(width, codes);
    ELLM_TRY(sample_write_fields(writer, names[width - 2], width, width == 4 ? 5 : FIELDS_ROWS, codes, err));
  }
  return ELLM_OK;
}

/* Part 2 of 3 of a model: a matrix of five row groups with two of them and the last, which is low, one of which it has
 * none, one that is whole; scales of rows and patches. `some` false: the model, which is no part. */
enum { PART_ROWS = 70, PART_COLUMNS = 12 };
static inline ellm_status sample_divided(container_writer *writer, bool some, ellm_error *err) {
  static const uint32_t shares[] = {2, 1, 1};
  static const struct { const char *name; container_groups groups; } made[] = {
      {"up.weight", {true, 2, {{1, 3}, {4, 5}}}}, {"down.weight", {.some = true}}, {"embedding.weight", {.some = false}}};
  const container_part part = {.number = 2, .n_parts = 3, .shares = shares, .whole = {1, 2, 3}, .whole_bytes = 4711};
  uint16_t rows[PART_ROWS];
  int32_t codes[PART_ROWS * PART_COLUMNS];
  sample_factors(rows, PART_ROWS, 8);
  if (some) ELLM_TRY(container_writer_part(writer, &part, err));
  ELLM_TRY(container_writer_asset(writer, "config.json", "{}", 2, err));
  for (size_t i = 0; i < 3; i++) {
    container_tensor tensor = {
        .name = made[i].name,
        .dtype = ELLM_BF16,
        .n_dims = 2,
        .shape = {PART_ROWS, PART_COLUMNS},
        .n_elements = PART_ROWS * PART_COLUMNS,
        .storage = CONTAINER_CODED,
        .columns_record = CONTAINER_NO_COLUMNS,
        .quant = {.bits = 4, .scheme = ELLM_SCHEME_SYMMETRIC, .scales = {.step = 0.1f, .zero = 8, .rows = rows}}};
    if (some) tensor.groups = made[i].groups;
    if (!coder_geometry_from(&tensor.geometry, PART_ROWS, PART_COLUMNS, 1, PART_COLUMNS)) return ELLM_ERR_INTERNAL;
    sample_whole_codes(codes, tensor.n_elements, 8, 20 + i);
    ELLM_TRY(sample_write_tensor(writer, &tensor, codes, ELLM_PREFER_SIZE, err));
  }
  return ELLM_OK;
}
static inline ellm_status sample_part_sections(container_writer *writer, ellm_error *err) {
  return sample_divided(writer, true, err);
}
static inline ellm_status sample_whole_sections(container_writer *writer, ellm_error *err) {
  return sample_divided(writer, false, err);
}

static const char sample_config[] = "{\"model_type\": \"sample\"}\n";
static const float sample_norm[5] = {1.0f, -2.0f, 0.5f, 3.25f, 0.0f};

static inline ellm_status sample_sections(container_writer *writer, ellm_error *err) {
  uint8_t codes[SAMPLE_ROWS * SAMPLE_COLUMNS];
  ELLM_TRY(container_writer_asset(writer, "config.json", sample_config, sizeof sample_config - 1, err));
  ELLM_TRY(container_writer_asset(writer, "empty.txt", "", 0, err));
  ELLM_TRY(container_writer_metadata(writer, "entrollm.options", "{\"bits\":4}", err));
  sample_codes(codes, sizeof codes, 4, 1);
  ELLM_TRY(sample_write_coded(writer, "layer.weight", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, codes, ELLM_PREFER_SIZE, err));
  container_tensor norm = {.name = "norm.weight", .dtype = ELLM_F32, .n_dims = 1, .shape = {5}, .n_elements = 5};
  ELLM_TRY(container_writer_begin_kept(writer, &norm, err));
  ELLM_TRY(container_writer_kept_bytes(writer, sample_norm, 8, err));
  ELLM_TRY(container_writer_kept_bytes(writer, (const uint8_t *)sample_norm + 8, 12, err));
  ELLM_TRY(container_writer_end(writer, err));
  sample_codes(codes, 60, 8, 2);
  return sample_write_coded(writer, "small.weight", 3, 20, 8, codes, ELLM_PREFER_BALANCED, err);
}

typedef ellm_status (*sample_sections_fn)(container_writer *writer, ellm_error *err);

static inline ellm_status sample_write_sections(const char *path, bool overwrite, sample_sections_fn sections,
                                                ellm_error *err) {
  static const uint8_t identity[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  container_writer *writer;
  const file_writer_options options = {.overwrite = overwrite};
  ELLM_TRY(container_writer_open(path, &options, &writer, err));
  ellm_status status = sections(writer, err);
  if (status != ELLM_OK) {
    container_writer_abort(writer);
    return status;
  }
  return container_writer_commit(writer, identity, NULL, err);
}

static inline ellm_status sample_write(const char *path, bool overwrite, ellm_error *err) {
  return sample_write_sections(path, overwrite, sample_sections, err);
}

/* Touch everything a file holds; the first failure. */
static inline ellm_status sample_read_all(const ellm_file *file, ellm_error *err) {
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1);
  ellm_status status = ELLM_OK;
  for (size_t i = 0; status == ELLM_OK && i < ellm_file_tensor_count(file); i++) {
    const container_tensor *tensor = container_tensor_at(file, i);
    const uint8_t *data;
    if (tensor->storage == CONTAINER_KEPT) status = container_kept(file, tensor, &data, err);
    const uint64_t n_blocks = tensor->storage == CONTAINER_CODED ? container_stored_blocks(tensor) : 0;
    for (uint64_t b = 0; status == ELLM_OK && b < n_blocks; b++)
      status = container_decode_block(file, tensor, container_stored_block(tensor, b), coder_decode_block_scalar, scratch, tiles, NULL, err);
    for (uint64_t b = 0; status == ELLM_OK && tensor->exact.used && b < n_blocks; b++) {
      const uint64_t index = container_stored_block(tensor, b);
      const coder_block where = coder_geometry_block(&tensor->geometry, index);
      container_block block;
      status = container_checked_block(file, tensor, index, &block, err);
      if (status == ELLM_OK) memcpy(tiles, block.rests, tensor->exact.planes > 0 ? coder_block_codes(&where) : 0);
    }
  }
  ellm_aligned_free(scratch);
  ellm_aligned_free(tiles);
  return status;
}

/* Make the checksums of header, directory and sections right again after a
 * change, as far as the bytes make sense. `data` has room for what they name. */
static inline void sample_reseal(uint8_t *data, size_t size) {
  if (size < 72) return;
  uint64_t at = load_u64(data + 16), bytes = load_u64(data + 24);
  if (at <= size && bytes <= size - at && bytes >= 8) {
    for (uint64_t p = at + 8; p + 48 <= at + bytes;) {
      uint64_t offset = load_u64(data + p + 16), section = load_u64(data + p + 24), head = load_u64(data + p + 32);
      uint64_t payload = load_u32(data + p) == RECORD_CODED && p + 80 <= at + bytes ? load_u64(data + p + 72) : 0;
      if (offset <= size && section <= size - offset && head <= section && payload <= section - head) {
        hash_stream *hash = hash_stream_create();
        hash_stream_add(hash, data + offset, head);
        hash_stream_add(hash, data + offset + head + payload, section - head - payload);
        store_u64(data + p + 40, hash_stream_value(hash));
        hash_stream_free(hash);
      }
      uint32_t step = load_u32(data + p + 4);
      if (step < 48) break;
      p += step;
    }
    store_u64(data + 32, hash64(data + at, bytes));
  }
  store_u64(data + 56, hash64(data, 56));
}

#endif
