/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes random valid .ellm files, for test_random_files.py, which reads them with the independent reader:
 *
 *   container_random_files FOLDER FIRST COUNT
 *
 * File N is FOLDER/N.ellm, made from the seed N alone: some matrices, of any width, in plain blocks, random trees,
 * pairs, levels or fields, with scales of rows and columns and with patches, or exact. What the weights are, in float32
 * or as they are stored, goes to FOLDER/N.weights, matrix by matrix, and which kinds there are to standard output. Each
 * file is read back by the library, too, and each block is decoded by the kernels of all sets of instructions.
 */
#include <stdarg.h>
#include <stddef.h>

#include "../kernels/cases.h"
#include "samples.h"
#include "kernels/kernels.h"

enum { MOST_ROWS = 90, MOST_COLUMNS = 700 };

static int32_t whole[MOST_ROWS * MOST_COLUMNS]; /* codes, row-major */
static uint8_t within[MOST_ROWS * MOST_COLUMNS]; /* the same, as far as the book goes */
static coder_patch patches[CODER_MAX_CODES];
static uint8_t tiles[CODER_MAX_CODES + CODER_SLACK], block_bytes[2 * CODER_MAX_BLOCK_BYTES];

static void need(bool truth, const char *what) {
  if (truth) return;
  fprintf(stderr, "random_files: %s\n", what);
  exit(1);
}

/* The codes of a block that the book can hold, to `tiles`; returns how many patches the others need. */
static size_t cut_block(const coder_geometry *g, uint64_t columns, const coder_codebook *book, uint64_t index) {
  const coder_block block = coder_geometry_block(g, index);
  size_t n = 0;
  coder_tile_block(&block, within + block.first_row * columns + block.first_column, columns, book->pad, tiles);
  for (uint32_t place = 0; place < coder_block_codes(&block); place++) {
    uint32_t r, c;
    coder_patch_where(&block, place, &r, &c);
    if (r >= block.rows || c >= block.columns) continue;
    const uint64_t i = (block.first_row + r) * columns + block.first_column + c;
    if (within[i] != whole[i]) patches[n++] = (coder_patch){place, whole[i] - within[i]};
  }
  return n;
}

/* Codes as they come: all the same, skewed, uniform; some far beyond the width where there may be patches. */
static void make_codes(uint64_t n, int bits, int zero, bool patched) {
  static const unsigned spreads[] = {0, 4, 40, 100, 160, 220, 250, 255};
  const unsigned spread = spreads[random_below(8)], top = (1u << bits) - 1;
  for (uint64_t i = 0; i < n; i++) {
    int32_t v = 0;
    while (v < (int32_t)top && random_below(256) < spread) v++;
    whole[i] = spread == 255 ? (int32_t)random_below(top + 1) : zero + (random_below(2) ? v : -v);
    if (patched && random_below(300) == 0) whole[i] = zero + (int32_t)random_below(3000) - 1500;
    if (!patched) whole[i] = whole[i] < 0 ? 0 : whole[i] > (int32_t)top ? (int32_t)top : whole[i];
  }
}

static bool random_book(const coder_geometry *g, uint64_t columns, int bits, coder_codebook *book) {
  const coder_block block = coder_geometry_block(g, 0);
  book_recipe recipe = {.bits = bits, .raw_bits = (int)random_below((uint32_t)bits)};
  const uint32_t kind = random_below(6);
  coder_codebook cut = {.pad = within[0]};
  if (kind == 0) return coder_codebook_plain(bits, within[0], g->panel_rows, book);
  if (kind == 1) {
    const int width = 2 + (int)random_below((uint32_t)(bits < 6 ? bits - 1 : 5));
    const unsigned range = 1u << width, most = (1u << bits) - range;
    unsigned first = within[0] > range / 2 ? within[0] - range / 2 : 0;
    if (first > most) first = most;
    return coder_codebook_fields(bits, width, (uint8_t)first, within[0], g->panel_rows, book);
  }
  recipe.tuple = bits - recipe.raw_bits <= 4 && g->panel_rows == CODER_PANEL_ROWS && random_below(2) ? 2 : 1;
  recipe.max_leaves = random_below(2) ? 256 : (int)random_below(24);
  recipe.escape = g->n_blocks > 1 || random_below(4) == 0;
  recipe.deep = random_below(4) == 0;
  recipe.n_levels = kind > 3 ? 0 : 1 + (int)random_below(random_below(3) ? 3 : CODER_MAX_LEVELS);
  for (int j = 0; j < CODER_MAX_LEVELS; j++) recipe.width[j] = (uint8_t)(1 + random_below(4));
  cut_block(g, columns, &cut, 0);
  memcpy(case_source, tiles, coder_block_codes(&block));
  case_source[0] = within[0];
  return make_book(&recipe, &block, book) && book->pad == within[0];
}

/* Codes beyond the book go into patches; false where a block cannot be coded, or has too many of them. */
static bool fit(container_tensor *t) {
  const uint64_t columns = t->shape[1], n = t->n_elements;
  t->quant.scales.outliers = 0;
  for (uint64_t i = 0; i < n; i++) {
    const int32_t least = coder_least_code(&t->book), most = coder_most_code(&t->book);
    within[i] = (uint8_t)(whole[i] < least ? least : whole[i] > most ? most : whole[i]);
    t->quant.scales.outliers += within[i] != whole[i];
  }
  for (uint64_t b = 0; b < t->geometry.n_blocks; b++) {
    const coder_block block = coder_geometry_block(&t->geometry, b);
    const size_t found = cut_block(&t->geometry, columns, &t->book, b), bytes = coder_patches_bytes(patches, found);
    if (bytes > sizeof block_bytes / 4) return false;
    coder_patches_store(patches, found, block_bytes);
    const uint8_t *at = block_bytes;
    size_t left = bytes;
    coder_patches stored;
    if (!coder_patches_take(&at, &left, &stored) ||
        !coder_patches_valid(&stored, &block, &t->book, t->quant.scales.zero))
      return false;
    const size_t coded = coder_encode_block(case_encoder, &t->book, &block, tiles, case_encoded);
    if (coded == CODER_NOT_CODABLE || coded + bytes > CODER_MAX_BLOCK_BYTES) return false;
  }
  return true;
}

static void write_blocks(container_writer *writer, const container_tensor *t, ellm_error *err) {
  need(container_writer_begin_coded(writer, t, err) == ELLM_OK, "begin_coded");
  for (uint64_t b = 0; b < t->geometry.n_blocks; b++) {
    const coder_block block = coder_geometry_block(&t->geometry, b);
    const size_t found = cut_block(&t->geometry, t->shape[1], &t->book, b);
    size_t n = 0;
    if (t->quant.scales.outliers != 0) {
      n = coder_patches_bytes(patches, found);
      coder_patches_store(patches, found, block_bytes);
    }
    n += coder_encode_block(case_encoder, &t->book, &block, tiles, block_bytes + n);
    need(container_writer_block(writer, block_bytes, n, container_block_checksum(block_bytes, n), err) == ELLM_OK,
         "writer_block");
  }
  need(container_writer_end(writer, err) == ELLM_OK, "writer_end");
}

static float factor(uint16_t bits) { return float_from_bits((uint32_t)bits << 16); }

static void write_weights(FILE *out, const container_tensor *t) {
  const quant_scales *s = &t->quant.scales;
  for (uint64_t i = 0; i < t->n_elements; i++) {
    float w = (float)(whole[i] - s->zero) * s->step;
    uint8_t bytes[4];
    if (s->rows) w *= factor(s->rows[i / t->shape[1]]);
    if (s->columns) w *= factor(s->columns[i % t->shape[1]]);
    store_u32(bytes, float_bits(w));
    need(fwrite(bytes, 1, 4, out) == 4, "weights");
  }
}

/* The library's reader and all kernels on the blocks of a tensor that was just written. */
static void read_back(const ellm_file *file, const container_tensor *t) {
  static coder_scratch scratch;
  static uint8_t codes[CODER_MAX_CODES + CODER_SLACK];
  ellm_error err;
  for (uint64_t b = 0; b < t->geometry.n_blocks; b++) {
    const coder_block block = coder_geometry_block(&t->geometry, b);
    const size_t found = cut_block(&t->geometry, t->shape[1], &t->book, b);
    for (size_t k = 0; k == 0 || kernels_at(k - 1) != NULL; k++) {
      coder_patches have;
      const coder_decode_fn decode = k == 0 ? coder_decode_block_scalar : kernels_at(k - 1)->decode_block;
      need(container_decode_block(file, t, b, decode, &scratch, codes, &have, &err) == ELLM_OK, err.message);
      need(memcmp(codes, tiles, coder_block_codes(&block)) == 0, "other codes");
      need(coder_patches_places(&have) == found, "other patches");
    }
  }
}

static char kind_of(const container_tensor *t) {
  if (t->exact.used) return 'E';
  if (t->book.kind == CODER_PLAIN) return 'P';
  if (t->book.kind == CODER_FIELDS) return 'F';
  if (t->book.kind == CODER_LEVELS) return t->book.tuple == 2 ? 'M' : 'L';
  return t->book.tuple == 2 ? 'T' : 'H';
}

static char write_coded(container_writer *writer, const char *name, FILE *weights, ellm_error *err) {
  static uint16_t rows[MOST_ROWS], columns[MOST_COLUMNS];
  const bool patched = random_below(3) == 0;
  const uint64_t height = random_below(3) ? 1 + random_below(40) : 1 + random_below(MOST_ROWS);
  const uint64_t width = random_below(3) ? 1 + random_below(60) : 1 + random_below(MOST_COLUMNS);
  container_tensor t = {.name = name, .dtype = (ellm_dtype)random_below(3), .n_dims = 2, .shape = {height, width},
                        .n_elements = height * width, .storage = CONTAINER_CODED, .columns_record = CONTAINER_NO_COLUMNS};
  t.quant.bits = 2 + (int)random_below(7);
  t.quant.scheme = random_below(2) ? ELLM_SCHEME_SYMMETRIC : ELLM_SCHEME_ASYMMETRIC;
  t.quant.scales.step = (random_below(4) == 0 ? -1.0f : 1.0f) * (float)(1 + random_below(1000)) / 1024.0f;
  need(coder_geometry_init(&t.geometry, height, width), "geometry");
  for (int tries = 0;; tries++) { /* in the end without patches, and plain */
    const int bits = t.quant.bits;
    t.quant.scales.zero = random_below(2) ? 1 << (bits - 1) : (int)random_below(1u << bits);
    make_codes(t.n_elements, bits, t.quant.scales.zero, patched && tries < 20);
    for (uint64_t i = 0; i < t.n_elements; i++)
      within[i] = (uint8_t)(whole[i] < 0 ? 0 : whole[i] >= 1 << bits ? (1 << bits) - 1 : whole[i]);
    const bool made = tries < 40 ? random_book(&t.geometry, width, bits, &t.book)
                                 : coder_codebook_plain(bits, within[0], t.geometry.panel_rows, &t.book);
    if (made && fit(&t)) break;
    need(tries < 50, "no book fits");
  }
  for (uint64_t i = 0; i < height; i++) rows[i] = random_factor();
  for (uint64_t i = 0; i < width; i++) columns[i] = random_factor();
  if (random_below(3) == 0) t.quant.scales.rows = rows;
  if (random_below(3) == 0) {
    t.quant.scales.columns = columns;
    need(container_writer_columns(writer, name, columns, width, &t.columns_record, err) == ELLM_OK, "columns");
  }
  uint64_t counts[256] = {0};
  for (uint64_t i = 0; i < t.n_elements; i++) counts[within[i]]++;
  t.entropy_bits = coder_entropy_bits(counts, 256);
  t.huffman_bits = coder_huffman_bits(counts, 256);
  write_blocks(writer, &t, err);
  write_weights(weights, &t);
  return kind_of(&t);
}

static char write_exact(container_writer *writer, const char *name, FILE *weights, ellm_error *err) {
  static uint32_t bits[MOST_ROWS * MOST_COLUMNS];
  const uint64_t rows = 1 + random_below(40), columns = 1 + random_below(70);
  const ellm_dtype dtype = (ellm_dtype)random_below(3);
  const size_t size = ellm_dtype_size(dtype);
  const unsigned omitted = random_below((uint32_t)size);
  for (uint64_t i = 0; i < rows * columns; i++) {
    uint8_t bytes[4];
    bits[i] = random_below(3) ? (uint32_t)random_u64() : 0x3f800000u + random_below(1 << 20);
    if (size == 2) bits[i] >>= 16;
    const uint32_t rest = exact_rest(size, bits[i]) >> 8 * omitted << 8 * omitted;
    bits[i] = exact_bits(size, exact_code(size, bits[i]), rest);
    exact_store(size, bits[i], bytes);
    need(fwrite(bytes, 1, size, weights) == size, "weights");
  }
  need(sample_write_exact(writer, name, dtype, rows, columns, omitted, bits, err) == ELLM_OK, "exact");
  return 'E';
}

/* `kinds` gets a letter for each matrix. */
static void write_file(const char *folder, uint64_t seed, char kinds[8]) {
  static const uint8_t identity[16] = {1};
  static const char *const names[] = {"a", "b.weight", "c\xc3\xa9", "d.0.x"};
  const file_writer_options options = {.overwrite = true};
  char path[4096];
  ellm_error err;
  container_writer *writer;
  random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 12345;
  snprintf(path, sizeof path, "%s/%llu.weights", folder, (unsigned long long)seed);
  FILE *weights = fopen(path, "wb");
  snprintf(path, sizeof path, "%s/%llu.ellm", folder, (unsigned long long)seed);
  need(weights != NULL && container_writer_open(path, &options, &writer, &err) == ELLM_OK, "a file");
  const size_t n = 1 + random_below(4);
  for (size_t i = 0; i < n; i++)
    kinds[i] = random_below(6) == 0 ? write_exact(writer, names[i], weights, &err)
                                    : write_coded(writer, names[i], weights, &err);
  kinds[n] = '\0';
  need(container_writer_commit(writer, identity, NULL, &err) == ELLM_OK, "commit");
  need(fclose(weights) == 0, "weights");
}

/* What the library reads: the codes of the weights that were written, by every decoder. */
static void check_file(const char *folder, uint64_t seed, const char *kinds) {
  char path[4096];
  ellm_file *file;
  ellm_error err;
  snprintf(path, sizeof path, "%s/%llu.weights", folder, (unsigned long long)seed);
  FILE *weights = fopen(path, "rb");
  snprintf(path, sizeof path, "%s/%llu.ellm", folder, (unsigned long long)seed);
  need(weights != NULL && ellm_file_open(path, &file, &err) == ELLM_OK, err.message);
  for (size_t k = 0; kinds[k] != '\0'; k++) {
    const container_tensor *t = container_tensor_at(file, k);
    const quant_scales *s = &t->quant.scales;
    need(t->exact.used == (kinds[k] == 'E'), "another kind");
    for (uint64_t i = 0; i < t->n_elements; i++) { /* codes back from the weights: exact, where they are those */
      uint8_t bytes[4];
      const size_t size = t->exact.used ? ellm_dtype_size(t->dtype) : 4;
      need(fread(bytes, 1, size, weights) == size, "weights");
      if (t->exact.used) {
        whole[i] = within[i] = exact_code(size, exact_load(size, bytes));
        continue;
      }
      double w = (double)float_from_bits(load_u32(bytes)) / (double)s->step;
      if (s->rows) w /= (double)factor(s->rows[i / t->shape[1]]);
      if (s->columns) w /= (double)factor(s->columns[i % t->shape[1]]);
      whole[i] = s->zero + (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
      const int32_t least = coder_least_code(&t->book), most = coder_most_code(&t->book);
      within[i] = (uint8_t)(whole[i] < least ? least : whole[i] > most ? most : whole[i]);
    }
    read_back(file, t);
  }
  ellm_file_close(file);
  fclose(weights);
}

int main(int argc, char **argv) {
  need(argc == 4 && case_setup() == 0, "arguments: FOLDER FIRST COUNT");
  const uint64_t first = strtoull(argv[2], NULL, 10), count = strtoull(argv[3], NULL, 10);
  for (uint64_t seed = first; seed < first + count; seed++) {
    char kinds[8];
    write_file(argv[1], seed, kinds);
    check_file(argv[1], seed, kinds);
    printf("%llu %s\n", (unsigned long long)seed, kinds);
  }
  case_teardown();
  return 0;
}
