/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading .ellm files: round trip, damage, hostile directories, failing disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>

#include "container/hash.h"
#include "container/samples.h"

static char folder[] = "/tmp/ellm-container-XXXXXX";
static char path[64];
static uint8_t *sample;    /* the bytes of a good file */
static size_t sample_size;

static int setup_sections(sample_sections_fn sections) {
  strcpy(folder + strlen(folder) - 6, "XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/sample.ellm", folder);
  ellm_error err = {0};
  if (sample_write_sections(path, false, sections, &err) != ELLM_OK ||
      file_read_all(path, 1 << 24, &sample, &sample_size, &err) != ELLM_OK) {
    fprintf(stderr, "%s\n", err.message);
    return -1;
  }
  return 0;
}

static int setup(void **state) {
  (void)state;
  return setup_sections(sample_sections);
}

static int setup_exact(void **state) {
  (void)state;
  return setup_sections(sample_exact_sections);
}
static int setup_fields(void **state) {
  (void)state;
  return setup_sections(sample_fields_sections);
}

static int setup_example(void **state) {
  (void)state;
  return setup_sections(sample_example_sections);
}

static int setup_scaled(void **state) {
  (void)state;
  return setup_sections(sample_scaled_sections);
}

static int setup_part(void **state) {
  (void)state;
  return setup_sections(sample_part_sections);
}

static int teardown(void **state) {
  (void)state;
  free(sample);
  unlink(path);
  return rmdir(folder);
}

/* Open and read everything. */
static ellm_status read_bytes(const uint8_t *data, size_t size, ellm_error *err) {
  ellm_file *file;
  ellm_status status = container_open_memory(data, size, "memory.ellm", &file, err);
  if (status != ELLM_OK) return status;
  status = sample_read_all(file, err);
  ellm_file_close(file);
  return status;
}

/* A copy with 64 spare bytes. */
static uint8_t *copy_of_sample(void) {
  uint8_t *copy = calloc(sample_size + 64, 1);
  assert_non_null(copy);
  memcpy(copy, sample, sample_size);
  return copy;
}

static void check_codes(const ellm_file *file, const char *name, uint64_t rows, uint64_t columns, int bits,
                        uint64_t seed) {
  const container_tensor *tensor = container_find(file, name);
  assert_non_null(tensor);
  uint8_t *want = malloc(rows * columns), *have = malloc(rows * columns);
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1);
  sample_codes(want, rows * columns, bits, seed);
  for (uint64_t b = 0; b < tensor->geometry.n_blocks; b++) {
    assert_int_equal(container_decode_block(file, tensor, b, coder_decode_block_scalar, scratch, tiles, NULL, NULL),
                     ELLM_OK);
    coder_block block = coder_geometry_block(&tensor->geometry, b);
    coder_untile_block(&block, tiles, have + block.first_row * columns + block.first_column, columns);
  }
  assert_memory_equal(want, have, rows * columns);
  free(want);
  free(have);
  ellm_aligned_free(scratch);
  ellm_aligned_free(tiles);
}

static void test_round_trip(void **state) {
  (void)state;
  ellm_file *file;
  ellm_error err = {0};
  assert_int_equal(ellm_file_open(path, &file, &err), ELLM_OK);
  assert_int_equal(ellm_file_tensor_count(file), 3);
  ellm_tensor_info info;
  assert_true(ellm_file_tensor(file, 0, &info));
  assert_string_equal(info.name, "layer.weight");
  assert_int_equal(info.bits, 4);
  assert_int_equal(info.shape[1], SAMPLE_COLUMNS);
  assert_true(info.entropy > 1 && info.entropy < 4 && info.huffman_bits_per_weight >= info.entropy);
  assert_true(info.stored_bytes > info.payload_bytes);
  assert_true(ellm_file_tensor(file, 1, &info));
  assert_true(info.kept);
  assert_false(ellm_file_tensor(file, 3, &info));
  check_codes(file, "layer.weight", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, 1);
  check_codes(file, "small.weight", 3, 20, 8, 2);
  const uint8_t *data;
  assert_int_equal(container_kept(file, container_find(file, "norm.weight"), &data, &err), ELLM_OK);
  assert_memory_equal(data, sample_norm, sizeof sample_norm);
  size_t bytes;
  const void *asset = ellm_file_asset(file, "config.json", &bytes);
  assert_int_equal(bytes, sizeof sample_config - 1);
  assert_memory_equal(asset, sample_config, bytes);
  assert_non_null(ellm_file_asset(file, "empty.txt", &bytes));
  assert_int_equal(bytes, 0);
  assert_null(ellm_file_asset(file, "absent", &bytes));
  assert_null(container_find(file, "absent"));
  assert_string_equal(container_metadata(file, "entrollm.options"), "{\"bits\":4}");
  char source[33], self[33];
  ellm_file_identity(file, source, self);
  assert_string_equal(source, "0102030405060708090a0b0c0d0e0f10");
  ellm_totals totals;
  ellm_file_totals(file, &totals);
  assert_int_equal(totals.file_bytes, sample_size);
  assert_int_equal(totals.weights, SAMPLE_ROWS * SAMPLE_COLUMNS + 60);
  assert_int_equal(totals.parameters, totals.weights + 5);
  assert_true(totals.coded_bits_per_weight > totals.huffman_bits_per_weight);
  ellm_file_close(file);
}

/* Scales and patches as they were written, and weights made of them. */
static void test_scales(void **state) {
  (void)state;
  ellm_file *file;
  ellm_error err = {0};
  assert_int_equal(ellm_file_open(path, &file, &err), ELLM_OK);
  assert_int_equal(load_u16(sample + 10), 1);
  uint16_t rows[SCALED_ROWS], columns[SCALED_COLUMNS];
  sample_factors(rows, SCALED_ROWS, 5);
  sample_factors(columns, SCALED_COLUMNS, 6);
  const quant_scales *q = &container_find(file, "q.weight")->quant.scales,
                     *k = &container_find(file, "k.weight")->quant.scales,
                     *o = &container_find(file, "o.weight")->quant.scales;
  assert_memory_equal(q->rows, rows, sizeof rows);
  assert_memory_equal(q->columns, columns, sizeof columns);
  assert_ptr_equal(k->columns, q->columns); /* stored once */
  assert_null(k->rows);
  assert_null(o->rows);
  assert_null(o->columns);
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  uint8_t *tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1);
  uint64_t stored = 0;
  for (size_t i = 0; i < 3; i++) {
    const container_tensor *tensor = container_tensor_at(file, i);
    int32_t *want = malloc(tensor->n_elements * sizeof *want), *have = malloc(tensor->n_elements * sizeof *have);
    uint64_t outliers = 0;
    sample_whole_codes(want, tensor->n_elements, tensor->quant.scales.zero, 10 + i);
    for (uint64_t b = 0; b < tensor->geometry.n_blocks; b++) {
      coder_patches patches;
      assert_int_equal(
          container_decode_block(file, tensor, b, coder_decode_block_scalar, scratch, tiles, &patches, &err), ELLM_OK);
      const coder_block block = coder_geometry_block(&tensor->geometry, b);
      int32_t *first = have + block.first_row * SCALED_COLUMNS + block.first_column;
      for (uint32_t r = 0; r < block.rows; r++)
        for (uint32_t c = 0; c < block.columns; c++) {
          const uint32_t tile = r / block.panel_rows * block.tiles + c / 4;
          first[r * SCALED_COLUMNS + c] = tiles[(tile * block.panel_rows + r % block.panel_rows) * 4 + c % 4];
        }
      for (uint32_t n = 0; n < patches.n; n++) {
        const coder_patch patch = coder_patch_at(&patches, n);
        uint32_t r, c;
        coder_patch_where(&block, patch.place, &r, &c);
        first[r * SCALED_COLUMNS + c] += patch.difference;
      }
      outliers += coder_patches_places(&patches);
    }
    assert_memory_equal(have, want, tensor->n_elements * sizeof *want);
    assert_int_equal(outliers, tensor->quant.scales.outliers);
    assert_true(outliers > 0);
    stored += tensor->stored_bytes;
    free(want);
    free(have);
  }
  ellm_totals totals;
  ellm_file_totals(file, &totals);
  assert_int_equal(totals.quantized_bytes, stored + 640 + 64); /* section and record of the scales of columns */
  ellm_aligned_free(scratch);
  ellm_aligned_free(tiles);
  ellm_file_close(file);
}

/* What a tensor's scales may not be, though every checksum is right. */
static void test_bad_scales(void **state) {
  (void)state;
  const uint64_t directory = load_u64(sample + 16), columns = directory + 8;
  const uint64_t q = columns + load_u32(sample + columns + 4);
  const uint64_t factors = load_u64(sample + columns + 16), head = load_u64(sample + q + 16);
  const uint64_t n_blocks = load_u32(sample + q + 68);
  /* the scales stand before the block table */
  const uint64_t scales = head + load_u64(sample + q + 32) - 8 * n_blocks - 16 - (2 * SCALED_ROWS + 3) / 4 * 4;
  const struct { const char *what, *message; uint64_t at; int bytes; uint32_t value; } cases[] = {
      {"a column of 0", "factor", factors + 6, 2, 0},
      {"a negative column", "factor", factors, 2, 0xbf80},
      {"an infinite column", "factor", factors + 2, 2, 0x7f80},
      {"a column that is NaN", "factor", factors + 2, 2, 0x7fc0},
      {"a subnormal column", "factor", factors + 2 * SCALED_COLUMNS - 2, 2, 0x007f},
      {"another number of columns", "head bytes", columns + 48, 4, SCALED_COLUMNS - 1},
      {"no columns", "columns", columns + 48, 4, 0},
      {"more than 2^32 columns", "columns", columns + 52, 4, 1},
      {"scales of columns that are a tensor's", "does not hold scales", scales, 4, 1},
      {"scales of columns after the tensor", "does not hold scales", scales, 4, 3},
      {"none where some are announced", "does not hold scales", scales, 4, UINT32_MAX},
      {"reserved", "make no sense", scales + 4, 4, 1},
      {"no outliers", "make no sense", scales + 8, 4, 0},
      {"more outliers than weights", "make no sense", scales + 8, 4, SCALED_ROWS * SCALED_COLUMNS + 1},
      {"a row of 0", "scale of a row", scales + 16 + 2 * 20, 2, 0},
      {"padding of rows", "padding of the scales", scales + 16 + 2 * SCALED_ROWS, 2, 1},
      {"scales that give infinite weights", "beyond float32", q + 56, 4, 0x7e000000},
      {"an unknown granularity", "granularity 8", q + 53, 1, 8},
  };
  uint8_t *copy = copy_of_sample();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    memcpy(copy, sample, sample_size);
    for (int k = 0; k < cases[i].bytes; k++) copy[cases[i].at + (uint64_t)k] = (uint8_t)(cases[i].value >> 8 * k);
    sample_reseal(copy, sample_size);
    ellm_error err = {0};
    if (read_bytes(copy, sample_size, &err) != ELLM_ERR_INPUT) fail_msg("accepted: %s", cases[i].what);
    if (strstr(err.message, cases[i].message) == NULL) fail_msg("%s: %s", cases[i].what, err.message);
  }
  free(copy);
}

/* Patches of the first block, with its checksum made right. */
static void test_bad_patches(void **state) {
  (void)state;
  const uint64_t directory = load_u64(sample + 16), columns = directory + 8;
  const uint64_t q = columns + load_u32(sample + columns + 4);
  const uint64_t head = load_u64(sample + q + 16), head_bytes = load_u64(sample + q + 32), block = head + head_bytes;
  const uint64_t n_blocks = load_u32(sample + q + 68), table = block - 8 * n_blocks;
  const uint32_t bytes = n_blocks > 1 ? load_u32(sample + table + 8) : (uint32_t)load_u64(sample + q + 72);
  assert_true(load_u16(sample + block) > 3);
  const struct { const char *what; uint64_t at; int bytes; uint32_t value; } cases[] = {
      {"cut short", 0, 2, 0xffff},
      {"a difference of 0", 2, 3, 0},
      {"a place beyond the matrix", 2, 3, 0x7fff},
      {"out of order", 5, 3, 0x4000},
      {"one fewer", 0, 2, load_u16(sample + block) - 1u},
  };
  uint8_t *copy = copy_of_sample();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    memcpy(copy, sample, sample_size);
    for (int k = 0; k < cases[i].bytes; k++)
      copy[block + cases[i].at + (uint64_t)k] = (uint8_t)(cases[i].value >> 8 * k);
    store_u32(copy + table + 4, container_block_checksum(copy + block, bytes));
    sample_reseal(copy, sample_size);
    ellm_error err = {0};
    if (read_bytes(copy, sample_size, &err) != ELLM_ERR_INPUT) fail_msg("accepted: %s", cases[i].what);
    assert_non_null(strstr(err.message, "block 0"));
  }
  free(copy);
}

/* Scales that a writer must not store. */
static void test_refused_scales(void **state) {
  (void)state;
  char other[80];
  snprintf(other, sizeof other, "%s/refused.ellm", folder);
  container_writer *writer;
  ellm_error err = {0};
  const file_writer_options options = {0};
  assert_int_equal(container_writer_open(other, &options, &writer, &err), ELLM_OK);
  uint32_t record;
  const uint16_t good[3] = {0x3f80, 0x4000, 0x3f00}, bad[3] = {0x3f80, 0, 0x3f00};
  assert_int_equal(container_writer_columns(writer, "c", bad, 3, &record, &err), ELLM_ERR_INPUT);
  assert_int_equal(container_writer_columns(writer, "c", good, 0, &record, &err), ELLM_ERR_INPUT);
  assert_int_equal(container_writer_columns(writer, "c", good, 3, &record, &err), ELLM_OK);
  assert_int_equal(record, 0);
  container_tensor tensor = {.name = "w",
                             .n_dims = 2,
                             .shape = {3, 3},
                             .n_elements = 9,
                             .storage = CONTAINER_CODED,
                             .columns_record = 1,
                             .quant = {.bits = 4,
                                       .scheme = ELLM_SCHEME_SYMMETRIC,
                                       .scales = {.step = 1, .zero = 8, .columns = good}}};
  const int32_t codes[9] = {8, 9, 8, 7, 8, 30, 8, 8, 8};
  assert_int_equal(sample_write_tensor(writer, &tensor, codes, ELLM_PREFER_SIZE, &err), ELLM_ERR_INTERNAL);
  container_writer_abort(writer);
  assert_int_equal(container_writer_open(other, &options, &writer, &err), ELLM_OK);
  tensor.quant.scales = (quant_scales){.step = 1, .zero = 8, .rows = bad};
  assert_int_equal(sample_write_tensor(writer, &tensor, codes, ELLM_PREFER_SIZE, &err), ELLM_ERR_INPUT);
  container_writer_abort(writer);
  assert_false(file_exists(other));
}

/* Each byte in turn is wrong: something must say so. */
static void test_every_byte(void **state) {
  (void)state;
  uint8_t *copy = copy_of_sample();
  for (size_t i = 0; i < sample_size; i++) {
    ellm_error err = {0};
    copy[i] ^= (uint8_t)(1 + i % 255);
    if (read_bytes(copy, sample_size, &err) != ELLM_ERR_INPUT)
      fail_msg("byte %zu of %zu may be changed unnoticed", i, sample_size);
    assert_true(strstr(err.message, "memory.ellm") != NULL);
    copy[i] = sample[i];
  }
  free(copy);
}

static void test_every_length(void **state) {
  (void)state;
  for (size_t n = 0; n < sample_size; n++) {
    uint8_t *cut = malloc(n > 0 ? n : 1); /* of that size exactly, for the sanitizers */
    assert_non_null(cut);
    memcpy(cut, sample, n);
    assert_int_equal(read_bytes(cut, n, NULL), ELLM_ERR_INPUT);
    free(cut);
  }
  uint8_t *copy = copy_of_sample();
  assert_int_equal(read_bytes(copy, sample_size, NULL), ELLM_OK);
  assert_int_equal(read_bytes(copy, sample_size + 1, NULL), ELLM_ERR_INPUT);
  assert_int_equal(read_bytes(copy, sample_size + 64, NULL), ELLM_ERR_INPUT);
  free(copy);
}

/* Every 32-bit field of the directory and of the coded heads takes nasty
 * values, with all checksums made right: never a crash (sanitizers), and
 * whatever opens can be read to its end. */
static void test_hostile_fields(void **state) {
  (void)state;
  static const uint32_t nasty[] = {0, 1, 7, 48, 0x7FFFFFFF, 0x80000000, 0xFFFFFFC0, 0xFFFFFFFF};
  uint64_t directory = load_u64(sample + 16);
  size_t refused = 0, taken = 0;
  uint8_t *copy = copy_of_sample();
  for (size_t at = 64; at + 4 <= sample_size; at += 4) {
    for (size_t k = 0; k < sizeof nasty / sizeof *nasty; k++) {
      memcpy(copy, sample, sample_size);
      store_u32(copy + at, nasty[k]);
      sample_reseal(copy, sample_size);
      ellm_error err = {0};
      ellm_status status = read_bytes(copy, sample_size, &err);
      assert_true(status == ELLM_OK || status == ELLM_ERR_INPUT);
      if (at >= directory) status == ELLM_OK ? taken++ : refused++;
    }
  }
  assert_true(refused > taken);
  free(copy);
}

/* Padding that is not zero is refused though its checksum is right. */
static void test_padding(void **state) {
  (void)state;
  uint64_t directory = load_u64(sample + 16), tails = 0;
  uint8_t *copy = copy_of_sample();
  for (uint64_t p = directory + 8; p < sample_size; p += load_u32(sample + p + 4)) {
    const uint8_t *record = sample + p;
    uint64_t payload = load_u32(record) == RECORD_CODED ? load_u64(record + 72) : 0;
    uint64_t end = load_u64(record + 16) + load_u64(record + 24);
    for (uint64_t at = load_u64(record + 16) + load_u64(record + 32) + payload; at < end; at++, tails++) {
      ellm_error err = {0};
      memcpy(copy, sample, sample_size);
      copy[at] = 1;
      sample_reseal(copy, sample_size);
      assert_int_equal(read_bytes(copy, sample_size, &err), ELLM_ERR_INPUT);
      assert_non_null(strstr(err.message, "padding"));
    }
  }
  assert_true(tails > 0);
  free(copy);
}

/* ------------------------------------------- directories written by hand */

typedef struct hand_record {
  uint32_t type, flags;
  const char *name;
  uint32_t name_bytes;
  uint64_t offset, bytes;
} hand_record;

/* A file of asset-like records over zero sections of 64 bytes. */
static uint8_t *by_hand(const hand_record *records, uint32_t n, uint64_t sections, size_t *size) {
  uint8_t *data = calloc(64 + sections + 8 + n * 2048, 1), *p = data + 64 + sections;
  assert_non_null(data);
  store_u32(p, n);
  p += 8;
  for (uint32_t i = 0; i < n; i++) {
    const hand_record *r = &records[i];
    size_t bytes = (48 + r->name_bytes + 7) & ~(size_t)7;
    store_u32(p, r->type);
    store_u32(p + 4, (uint32_t)bytes);
    store_u32(p + 8, r->flags);
    store_u32(p + 12, r->name_bytes);
    store_u64(p + 16, r->offset);
    store_u64(p + 24, r->bytes);
    store_u64(p + 32, r->bytes);
    memcpy(p + 48, r->name, r->name_bytes);
    p += bytes;
  }
  *size = (size_t)(p - data);
  format_header header = {.major = 1, .directory_offset = 64 + sections, .directory_bytes = *size - 64 - sections};
  format_header_store(&header, data);
  sample_reseal(data, *size);
  return data;
}

static ellm_status open_by_hand(const hand_record *records, uint32_t n, uint64_t sections, ellm_error *err) {
  size_t size;
  uint8_t *data = by_hand(records, n, sections, &size);
  ellm_status status = read_bytes(data, size, err);
  free(data);
  return status;
}

static void test_unknown_records(void **state) {
  (void)state;
  ellm_error err = {0};
  const hand_record optional[] = {{1, 1, "a", 1, 64, 64}, {99, 0, "new", 3, 128, 64}, {1, 1, "b", 1, 192, 64}};
  assert_int_equal(open_by_hand(optional, 3, 192, &err), ELLM_OK);
  const hand_record required[] = {{1, 1, "a", 1, 64, 64}, {99, 1, "new", 3, 128, 64}};
  assert_int_equal(open_by_hand(required, 2, 128, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "required type 99"));
}

static void test_bad_directories(void **state) {
  (void)state;
  ellm_error err = {0};
  const hand_record good[] = {{1, 1, "a", 1, 64, 64}, {1, 1, "b", 1, 128, 64}};
  assert_int_equal(open_by_hand(good, 2, 128, &err), ELLM_OK);
  assert_int_equal(open_by_hand(NULL, 0, 0, &err), ELLM_OK);
  static const struct { const char *what; hand_record second; uint64_t sections; } cases[] = {
      {"twice", {1, 1, "a", 1, 128, 64}, 128},
      {"overlap", {1, 1, "b", 1, 64, 64}, 128},
      {"gap", {1, 1, "b", 1, 192, 64}, 192},
      {"beyond", {1, 1, "b", 1, 128, 128}, 128},
      {"bytes between", {1, 1, "b", 1, 128, 64}, 192},
      {"unaligned", {1, 1, "b", 1, 128, 63}, 128},
      {"wraps", {1, 1, "b", 1, 128, UINT64_MAX - 63}, 128},
      {"NUL", {1, 1, "b\0c", 3, 128, 64}, 128},
      {"control", {1, 1, "b\n", 2, 128, 64}, 128},
      {"slash", {1, 1, "../b", 4, 128, 64}, 128},
      {"parent", {1, 1, "..", 2, 128, 64}, 128},
      {"hidden", {1, 1, ".b", 2, 128, 64}, 128},
      {"UTF-8", {1, 1, "\xC0\x80", 2, 128, 64}, 128},
      {"surrogate", {1, 1, "\xED\xA0\x80", 3, 128, 64}, 128},
      {"no name", {1, 1, "", 0, 128, 64}, 128},
      {"flags", {1, 3, "b", 1, 128, 64}, 128},
      {"optional asset", {1, 0, "b", 1, 128, 64}, 128},
      {"metadata with a section", {4, 0, "b", 1, 128, 64}, 128},
      {"type 0", {0, 1, "b", 1, 128, 64}, 128},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const hand_record records[] = {good[0], cases[i].second};
    err.message[0] = '\0';
    if (open_by_hand(records, 2, cases[i].sections, &err) != ELLM_ERR_INPUT) fail_msg("accepted: %s", cases[i].what);
    assert_true(err.message[0] != '\0');
  }
}

static void test_versions(void **state) {
  (void)state;
  uint8_t *copy = copy_of_sample();
  ellm_error err = {0};
  store_u16(copy + 10, 7); /* a later minor version is read */
  store_u64(copy + 56, hash64(copy, 56));
  assert_int_equal(read_bytes(copy, sample_size, &err), ELLM_OK);
  store_u16(copy + 8, 2);
  store_u64(copy + 56, hash64(copy, 56));
  assert_int_equal(read_bytes(copy, sample_size, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "version 2.7"));
  memset(copy, 0, 64);
  assert_int_equal(read_bytes(copy, sample_size, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "never finished"));
  free(copy);
}

/* ---------------------------------------------------------------- writing */

static void test_existing_output(void **state) {
  (void)state;
  ellm_error err = {0};
  assert_int_equal(sample_write(path, false, &err), ELLM_ERR_EXISTS);
  assert_int_equal(sample_write(path, true, &err), ELLM_OK);
  uint8_t *again;
  size_t size;
  assert_int_equal(file_read_all(path, 1 << 24, &again, &size, &err), ELLM_OK);
  assert_int_equal(size, sample_size);
  assert_memory_equal(again, sample, size);
  free(again);
}

/* The disk is full at each of many lengths: an error, and nothing left behind. */
static void test_full_disk(void **state) {
  (void)state;
  char other[80], partial[96];
  snprintf(other, sizeof other, "%s/full.ellm", folder);
  snprintf(partial, sizeof partial, "%s.partial", other);
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_IGN);
  for (size_t limit = 0; limit < sample_size; limit += 61) {
    struct rlimit less = {.rlim_cur = limit, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &less);
    ellm_error err = {0};
    ellm_status status = sample_write(other, false, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ELLM_ERR_IO);
    assert_false(file_exists(other));
    assert_false(file_exists(partial));
  }
}

static void test_bad_names(void **state) {
  (void)state;
  char other[80];
  snprintf(other, sizeof other, "%s/names.ellm", folder);
  container_writer *writer;
  ellm_error err = {0};
  const file_writer_options options = {0};
  assert_int_equal(container_writer_open(other, &options, &writer, &err), ELLM_OK);
  assert_int_equal(container_writer_asset(writer, "a/b", "x", 1, &err), ELLM_ERR_INPUT);
  assert_int_equal(container_writer_asset(writer, "tab\there", "x", 1, &err), ELLM_ERR_INPUT);
  container_writer_abort(writer);
  assert_false(file_exists(other));
}

/* A second run adopts what the first one wrote, up to what was damaged. */
static void test_adopt(void **state) {
  (void)state;
  char other[80], partial[96];
  snprintf(other, sizeof other, "%s/adopt.ellm", folder);
  snprintf(partial, sizeof partial, "%s.partial", other);
  ellm_error err = {0};
  container_writer *writer;
  file_writer_options options = {.keep_partial = true};
  uint8_t codes[SAMPLE_ROWS * SAMPLE_COLUMNS], records[2][512];
  size_t bytes[2];
  sample_codes(codes, sizeof codes, 4, 1);
  assert_int_equal(container_writer_open(other, &options, &writer, &err), ELLM_OK);
  for (int i = 0; i < 2; i++) {
    char name[8] = {'w', (char)('0' + i), 0};
    assert_int_equal(sample_write_coded(writer, name, SAMPLE_ROWS, SAMPLE_COLUMNS, 4, codes, ELLM_PREFER_SIZE, &err),
                     ELLM_OK);
    const uint8_t *record = container_writer_last_record(writer, &bytes[i]);
    memcpy(records[i], record, bytes[i]);
  }
  /* A record of a type that nobody knows, of the first 64 bytes of that section: they are there, but it has no name. */
  uint8_t unknown[FORMAT_RECORD_FIXED] = {99};
  store_u32(unknown + 4, sizeof unknown);
  store_u32(unknown + 12, 100);
  store_u64(unknown + 16, load_u64(records[0] + 16));
  store_u64(unknown + 24, FORMAT_ALIGN);
  store_u64(unknown + 32, FORMAT_ALIGN);
  /* The buffered tail of the file must not matter to what is adopted. */
  static const uint8_t identity[16];
  container_writer *again;
  options.resume = true;
  for (int damage = 0; damage < 2; damage++) {
    options.overwrite = true;
    assert_int_equal(container_writer_commit(writer, identity, NULL, &err), ELLM_OK);
    assert_int_equal(rename(other, partial), 0);
    uint8_t first[FORMAT_ALIGN];
    FILE *f = fopen(partial, "r+b");
    assert_int_equal(fseek(f, (long)load_u64(records[0] + 16), SEEK_SET), 0);
    assert_int_equal(fread(first, 1, sizeof first, f), sizeof first);
    store_u64(unknown + 40, hash64(first, sizeof first));
    if (damage) {
      fseek(f, (long)load_u64(records[1] + 16) + 100, SEEK_SET);
      fputc(0x5A, f);
      fputc(0xA5, f);
    }
    fclose(f);
    assert_int_equal(container_writer_open(other, &options, &again, &err), ELLM_OK);
    container_tensor tensor;
    bool adopted = true;
    assert_int_equal(container_writer_adopt(again, unknown, sizeof unknown, NULL, &adopted, &err), ELLM_OK);
    assert_false(adopted);
    assert_int_equal(container_writer_adopt(again, records[0], bytes[0], &tensor, &adopted, &err), ELLM_OK);
    assert_true(adopted);
    assert_string_equal(tensor.name, "w0");
    assert_int_equal(tensor.book.bits, 4);
    assert_int_equal(container_writer_adopt(again, records[1], bytes[1], &tensor, &adopted, &err), ELLM_OK);
    assert_int_equal(adopted, !damage);
    if (damage)
      assert_int_equal(sample_write_coded(again, "w1", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, codes, ELLM_PREFER_SIZE, &err),
                       ELLM_OK);
    writer = again;
  }
  assert_int_equal(container_writer_commit(writer, identity, NULL, &err), ELLM_OK);
  ellm_file *file;
  assert_int_equal(ellm_file_open(other, &file, &err), ELLM_OK);
  assert_int_equal(ellm_file_tensor_count(file), 2);
  check_codes(file, "w0", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, 1);
  check_codes(file, "w1", SAMPLE_ROWS, SAMPLE_COLUMNS, 4, 1);
  ellm_file_close(file);
  unlink(other);
}

static void test_hash(void **state) {
  (void)state;
  /* Published test values of XXH3 for empty input. */
  uint8_t sum[16];
  char hex[33];
  assert_true(hash64("", 0) == UINT64_C(0x2D06800538D394C2));
  hash128("", 0, sum);
  hash_hex(sum, hex);
  assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
  uint8_t data[1000];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
  hash_stream *hash = hash_stream_create();
  for (size_t i = 0; i < sizeof data; i += 125) hash_stream_add(hash, data + i, 125);
  assert_true(hash_stream_value(hash) == hash64(data, sizeof data));
  hash_stream_free(hash);
}

/* Files of both versions are, byte for byte, what they have always been. `container_test_file FOLDER` writes them
 * anew, for a change of the format that is meant. */
#define GOLDEN ENTROLLM_SOURCE_DIR "/tests/golden/container"
static void check_golden(const char *name) {
  char golden[512];
  uint8_t *want;
  size_t size;
  ellm_error err = {0};
  snprintf(golden, sizeof golden, GOLDEN "/%s", name);
  if (file_read_all(golden, 1 << 24, &want, &size, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(size, sample_size);
  assert_memory_equal(want, sample, size);
  free(want);
}

static void test_golden(void **state) {
  (void)state;
  check_golden("plain.ellm");
}

static void test_golden_scaled(void **state) {
  (void)state;
  check_golden("scaled.ellm");
}

static void test_golden_example(void **state) {
  (void)state;
  check_golden("example.ellm"); /* tests/convert/test_read_ellm.py compares it with docs/FORMAT.md */
}

static void test_golden_exact(void **state) {
  (void)state;
  check_golden("exact.ellm");
}

static void test_golden_fields(void **state) {
  (void)state;
  check_golden("fields.ellm");
}

static void test_golden_part(void **state) {
  (void)state;
  check_golden("part.ellm");
}

/* Codes come back with their patches; a book, or patches, that break a rule are named. */
static void test_fields(void **state) {
  (void)state;
  static const char *const names[] = {"two", "three", "four", "five", "six"};
  ellm_file *file;
  ellm_error err = {0};
  uint8_t tiles[CODER_MAX_CODES + CODER_SLACK], codes[FIELDS_ROWS * FIELDS_COLUMNS], back[FIELDS_ROWS * FIELDS_COLUMNS];
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  assert_int_equal(container_open_memory(sample, sample_size, "fields", &file, &err), ELLM_OK);
  assert_int_equal(load_u16(sample + 10), 1); /* minor version */
  for (int width = CODER_FIELDS_LEAST; width <= CODER_FIELDS_MOST; width++) {
    const container_tensor *t = container_find(file, names[width - 2]);
    coder_patches patches;
    ellm_tensor_info info;
    container_tensor_describe(t, &info);
    assert_string_equal(info.layout, "fields");
    assert_true(info.raw_bits == width && info.bits == 8 && info.outliers > 0 && t->geometry.n_blocks == 1);
    assert_int_equal(container_decode_block(file, t, 0, coder_decode_block_scalar, scratch, tiles, &patches, &err),
                     ELLM_OK);
    assert_int_equal(coder_patches_places(&patches), info.outliers);
    assert_true(coder_patch_codes(&patches, 8, tiles));
    const coder_block block = coder_geometry_block(&t->geometry, 0);
    coder_untile_block(&block, tiles, back, FIELDS_COLUMNS);
    sample_fields_codes(width, codes);
    assert_memory_equal(back, codes, (size_t)t->n_elements);

    container_block coded;
    const uint8_t *data;
    size_t bytes;
    uint8_t copy[CODER_MAX_BLOCK_BYTES];
    assert_int_equal(container_block_at(file, t, 0, &data, &bytes, NULL, &err), ELLM_OK);
    memcpy(copy, data, bytes);
    assert_true(container_block_from(t, 0, copy, bytes, &coded));
    store_u16(copy, UINT16_MAX); /* more patches than there are bytes */
    assert_false(container_block_from(t, 0, copy, bytes, &coded));
    store_u16(copy, (uint16_t)(patches.n - 1)); /* one fewer: the fields do not begin there */
    assert_false(container_block_from(t, 0, copy, bytes, &coded) &&
                 coder_decode_block_scalar(&t->book, &block, coded.data, coded.bytes, scratch, tiles));
    store_u16(copy, (uint16_t)patches.n);
    memset(copy + 2, 0xff, 2); /* beyond the block, and out of order */
    assert_false(container_block_from(t, 0, copy, bytes, &coded));
  }
  ellm_file_close(file);
  ellm_aligned_free(scratch);
}

/* The elements come back, put together from codes and rests. */
static void test_exact(void **state) {
  (void)state;
  static const char *const names[] = {"b.weight", "h.weight", "f.weight", "w.weight"};
  ellm_file *file;
  ellm_error err = {0};
  ellm_tensor_info info;
  uint8_t tiles[CODER_MAX_CODES + CODER_SLACK];
  coder_scratch *scratch = ellm_aligned_calloc(1, sizeof *scratch);
  assert_int_equal(container_open_memory(sample, sample_size, "exact", &file, &err), ELLM_OK);
  assert_int_equal(load_u16(sample + 10), 1); /* minor version */
  for (size_t i = 0; i < 4; i++) {
    const container_tensor *t = container_find(file, names[i]);
    uint32_t bits[EXACT_ROWS * EXACT_COLUMNS];
    const size_t size = ellm_dtype_size(t->dtype);
    container_block coded;
    sample_exact_bits(t->dtype, t->exact.omitted, bits);
    assert_true(t->exact.used && t->exact.omitted == (i == 3 ? 2u : 0u) && t->geometry.n_blocks == 1);
    assert_int_equal(container_decode_block(file, t, 0, coder_decode_block_scalar, scratch, tiles, NULL, &err), ELLM_OK);
    assert_int_equal(container_checked_block(file, t, 0, &coded, &err), ELLM_OK);
    const coder_block block = coder_geometry_block(&t->geometry, 0);
    for (uint32_t place = 0; place < coder_block_codes(&block); place++) {
      uint32_t r, c, rest = 0;
      coder_patch_where(&block, place, &r, &c);
      for (unsigned p = 0; p < t->exact.planes; p++)
        rest |= (uint32_t)coded.rests[p * coder_block_codes(&block) + place] << 8 * (p + t->exact.omitted);
      if (r >= block.rows || c >= block.columns) assert_int_equal(rest, 0);
      else assert_int_equal(exact_bits(size, tiles[place], rest), bits[r * EXACT_COLUMNS + c]);
    }
    assert_true(ellm_file_tensor(file, i, &info) && info.exact && !info.kept && info.step == 0);
    assert_true(info.entropy > 8.0 * t->exact.planes && info.entropy < 8.0 * t->exact.planes + 4);
  }
  ellm_file_close(file);
  ellm_aligned_free(scratch);
}

/* A field of the first record set to what it must not be, checksums made right. */
static void test_bad_exact(void **state) {
  (void)state;
  static const struct { size_t at; uint8_t value; } wrong[] = {
      {48, 3}, {50, 7}, {51, 1}, {52, 254}, {52, 0}, {53, 1}, {53, 4}, {54, 1}, {55, 2}, {56, 1}, {59, 0x80}};
  uint8_t *data = malloc(sample_size);
  const size_t record = (size_t)load_u64(sample + 16) + 8;
  for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
    ellm_file *file = NULL;
    ellm_error err = {0};
    memcpy(data, sample, sample_size);
    if (i > 0) data[record + wrong[i - 1].at] = wrong[i - 1].value;
    sample_reseal(data, sample_size);
    const ellm_status status = container_open_memory(data, sample_size, "wrong", &file, &err);
    if (status != (i == 0 ? ELLM_OK : ELLM_ERR_INPUT)) fail_msg("field %zu: %s", i, err.message);
    ellm_file_close(file);
  }
  /* rests that the block has no room for: the type says 32 bits; then the block ends before them */
  ellm_file *file = NULL;
  ellm_error err = {0};
  memcpy(data, sample, sample_size);
  data[record + 48] = ELLM_F32;
  sample_reseal(data, sample_size);
  assert_int_equal(container_open_memory(data, sample_size, "wrong", &file, &err), ELLM_OK);
  assert_int_equal(sample_read_all(file, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "rests"));
  ellm_file_close(file);
  free(data);
}

/* A part says what it is and has the blocks of its row groups, with the bytes of the whole; others are named. */
static void test_part(void **state) {
  (void)state;
  static const uint64_t stored[] = {3, 0, 5};
  char other[80];
  ellm_file *file, *whole;
  ellm_error err = {0};
  ellm_part_info info;
  ellm_totals totals, of_whole;
  snprintf(other, sizeof other, "%s/whole.ellm", folder);
  assert_int_equal(sample_write_sections(other, false, sample_whole_sections, &err), ELLM_OK);
  assert_int_equal(ellm_file_open(other, &whole, &err), ELLM_OK);
  assert_int_equal(ellm_file_open(path, &file, &err), ELLM_OK);
  assert_int_equal(load_u16(sample + 10), 2);
  assert_null(container_part_of(whole));
  assert_false(ellm_file_part(whole, &info));
  assert_int_equal(container_need_whole(whole, &err), ELLM_OK);
  assert_true(ellm_file_part(file, &info));
  assert_true(info.number == 2 && info.n_parts == 3 && info.shares[0] == 2 && info.shares[2] == 1);
  assert_true(info.whole_bytes == 4711 && strcmp(info.whole, "01020300000000000000000000000000") == 0);
  assert_int_equal(container_need_whole(file, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "part 2 of 3 of model 010203"));
  for (size_t i = 0; i < 3; i++) {
    const container_tensor *t = container_tensor_at(file, i), *all = container_tensor_at(whole, i);
    uint64_t n = 0;
    assert_int_equal(container_stored_blocks(t), stored[i]);
    for (uint64_t b = 0; b < t->geometry.n_blocks; b++) {
      const uint8_t *data, *want;
      size_t bytes, wanted;
      container_block block;
      assert_int_equal(container_block_at(whole, all, b, &want, &wanted, NULL, &err), ELLM_OK);
      const ellm_status status = container_checked_block(file, t, b, &block, &err);
      assert_int_equal(status, container_has_block(t, b) ? ELLM_OK : ELLM_ERR_INPUT);
      if (status != ELLM_OK) {
        assert_non_null(strstr(err.message, "is in another part"));
        continue;
      }
      assert_int_equal(container_stored_block(t, n++), b);
      assert_int_equal(container_block_at(file, t, b, &data, &bytes, NULL, &err), ELLM_OK);
      assert_int_equal(bytes, wanted);
      assert_memory_equal(data, want, bytes);
    }
    assert_int_equal(n, stored[i]);
    assert_memory_equal(t->quant.scales.rows, all->quant.scales.rows, 2 * PART_ROWS);
  }
  ellm_file_totals(file, &totals);
  ellm_file_totals(whole, &of_whole);
  assert_int_equal(totals.weights, (2 * 16 + 6 + PART_ROWS) * PART_COLUMNS);
  assert_int_equal(of_whole.weights, 3 * PART_ROWS * PART_COLUMNS);
  assert_true(totals.entropy > 0.5 * of_whole.entropy && totals.entropy < 2 * of_whole.entropy);
  ellm_file_close(file);
  ellm_file_close(whole);
  unlink(other);
}

/* The record of name `name` in a copy of the sample. */
static uint8_t *record_named(uint8_t *data, const char *name, size_t fields) {
  uint8_t *p = data + load_u64(data + 16) + 8;
  while (strncmp((const char *)p + 48 + fields, name, strlen(name)) != 0) p += load_u32(p + 4);
  return p;
}

/* Parts that cannot be, though every checksum is right. */
static void test_bad_parts(void **state) {
  (void)state;
  static const struct { bool part; size_t at; uint32_t value; } cases[] = {
      {true, 48, 0},  {true, 48, 4},  {true, 52, 1},  {true, 52, 1025}, {true, 84, 0},  {false, 68, 4}, {false, 112, 1},
      {false, 112, 4}, {false, 116, 1}, {false, 120, 3}, {false, 128, 3}, {false, 132, 6}, {false, 136, 1}};
  uint8_t *copy = copy_of_sample();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ellm_error err = {0};
    memcpy(copy, sample, sample_size);
    uint8_t *record = cases[i].part ? record_named(copy, "part", 32 + 3 * 4) : record_named(copy, "up.weight", 96);
    assert_int_equal(load_u32(record + 4) > cases[i].at, true);
    store_u32(record + cases[i].at, cases[i].value);
    sample_reseal(copy, sample_size);
    if (read_bytes(copy, sample_size, &err) != ELLM_ERR_INPUT) fail_msg("case %zu is taken", i);
  }
  /* a file with some row groups that says not what part it is: its record becomes an optional one that nobody knows */
  memcpy(copy, sample, sample_size);
  uint8_t *record = record_named(copy, "part", 32 + 3 * 4);
  store_u32(record, 99);
  store_u32(record + 8, 0);
  sample_reseal(copy, sample_size);
  ellm_error err = {0};
  assert_int_equal(read_bytes(copy, sample_size, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "is no part"));
  free(copy);
}

static int write_golden(const char *to) {
  char plain[512], scaled[512], example[512], exact[512], fields[512], part[512];
  ellm_error err = {0};
  snprintf(plain, sizeof plain, "%s/plain.ellm", to);
  snprintf(scaled, sizeof scaled, "%s/scaled.ellm", to);
  snprintf(example, sizeof example, "%s/example.ellm", to);
  snprintf(exact, sizeof exact, "%s/exact.ellm", to);
  snprintf(fields, sizeof fields, "%s/fields.ellm", to);
  snprintf(part, sizeof part, "%s/part.ellm", to);
  const bool good = sample_write_sections(plain, true, sample_sections, &err) == ELLM_OK &&
                    sample_write_sections(scaled, true, sample_scaled_sections, &err) == ELLM_OK &&
                    sample_write_sections(example, true, sample_example_sections, &err) == ELLM_OK &&
                    sample_write_sections(exact, true, sample_exact_sections, &err) == ELLM_OK &&
                    sample_write_sections(fields, true, sample_fields_sections, &err) == ELLM_OK &&
                    sample_write_sections(part, true, sample_part_sections, &err) == ELLM_OK;
  if (!good) fprintf(stderr, "%s\n", err.message);
  return good ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc > 1) return write_golden(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hash),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_golden),
      cmocka_unit_test(test_every_byte),
      cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_hostile_fields),
      cmocka_unit_test(test_padding),
      cmocka_unit_test(test_unknown_records),
      cmocka_unit_test(test_bad_directories),
      cmocka_unit_test(test_versions),
      cmocka_unit_test(test_existing_output),
      cmocka_unit_test(test_full_disk),
      cmocka_unit_test(test_bad_names),
      cmocka_unit_test(test_adopt),
  };
  const struct CMUnitTest scaled[] = {
      cmocka_unit_test(test_golden_scaled), cmocka_unit_test(test_scales),
      cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_hostile_fields), cmocka_unit_test(test_padding),
      cmocka_unit_test(test_bad_scales),    cmocka_unit_test(test_bad_patches),
      cmocka_unit_test(test_refused_scales),
  };
  const int failed = cmocka_run_group_tests_name("container file", tests, setup, teardown);
  const struct CMUnitTest example[] = {
      cmocka_unit_test(test_golden_example),
      cmocka_unit_test(test_every_byte),
      cmocka_unit_test(test_every_length),
  };
  const struct CMUnitTest exact[] = {
      cmocka_unit_test(test_golden_exact), cmocka_unit_test(test_exact),
      cmocka_unit_test(test_every_byte),   cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_hostile_fields), cmocka_unit_test(test_padding),
      cmocka_unit_test(test_bad_exact),
  };
  const struct CMUnitTest fields[] = {
      cmocka_unit_test(test_golden_fields), cmocka_unit_test(test_fields),
      cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_hostile_fields), cmocka_unit_test(test_padding),
  };
  const struct CMUnitTest part[] = {
      cmocka_unit_test(test_golden_part),   cmocka_unit_test(test_part),
      cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_every_length),
      cmocka_unit_test(test_hostile_fields), cmocka_unit_test(test_padding),
      cmocka_unit_test(test_bad_parts),
  };
  return failed + cmocka_run_group_tests_name("container file with scales", scaled, setup_scaled, teardown) +
         cmocka_run_group_tests_name("the example of docs/FORMAT.md", example, setup_example, teardown) +
         cmocka_run_group_tests_name("container file without loss", exact, setup_exact, teardown) +
         cmocka_run_group_tests_name("a part of a model", part, setup_part, teardown) +
         cmocka_run_group_tests_name("container file with fields", fields, setup_fields, teardown);
}
