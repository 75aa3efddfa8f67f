/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header (88 bytes): 0 "ELLMREF1", 8 u32 rows, 12 u32 chunks, 16 u32 vocabulary,
 * 20 u32 n_ctx, 24 u64 bos + 1, 32 text[16], 48 model[16], 64 16 zero bytes,
 * 80 u64 checksum of bytes 0..79.
 *
 * Record: 0 f64 log-sum, 8 f32 largest, 12 f32 step, 16 f32 the label's logit,
 * 20 u32 label, 24 top x (u32 id, f32 logit) best first, then u16 codes of all
 * ids, u64 checksum of all before. top = min(64, vocabulary); a code c stands
 * for largest - c * step, 65535 for minus infinity.
 */
#include "eval/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "model/score.h"

enum { ROW_HEAD = 24, MOST_CODE = 65534, MINUS_INFINITY = 65535, MAX_VOCABULARY = 1 << 28 };

/* Of the codes: logits further apart than 65,534 of these (3,277) are no model's. */
static const double MOST_STEP = 0.05;

static const char magic[8] = {'E', 'L', 'L', 'M', 'R', 'E', 'F', '1'};

/* ------------------------------------------------------------------ numbers */

static void store_double(uint8_t *at, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  store_u64(at, bits);
}

static double load_double(const uint8_t *at) {
  uint64_t bits = load_u64(at);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void hex_to_bytes(const char *hex, uint8_t out[16]) {
  for (int i = 0; i < 16; i++) {
    out[i] = 0;
    for (int k = 0; k < 2; k++) {
      char c = hex[2 * i + k];
      out[i] = (uint8_t)(out[i] << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0'));
    }
  }
}

/* ------------------------------------------------------------------- header */

void reference_head_encode(const reference_head *head, uint8_t out[REFERENCE_HEAD_BYTES]) {
  memset(out, 0, REFERENCE_HEAD_BYTES);
  memcpy(out, magic, sizeof magic);
  store_u32(out + 8, head->rows);
  store_u32(out + 12, head->chunks);
  store_u32(out + 16, head->vocab_size);
  store_u32(out + 20, head->n_ctx);
  store_u64(out + 24, (uint64_t)(head->bos + 1));
  hex_to_bytes(head->text, out + 32);
  hex_to_bytes(head->model, out + 48);
  store_u64(out + 80, hash64(out, 80));
}

ellm_status reference_head_decode(const uint8_t data[REFERENCE_HEAD_BYTES], const char *origin, reference_head *head,
                                  ellm_error *err) {
  if (memcmp(data, magic, sizeof magic) != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a file of reference logits", origin);
  if (load_u64(data + 80) != hash64(data, 80))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the header's checksum is wrong", origin);
  *head = (reference_head){.rows = load_u32(data + 8),
                           .chunks = load_u32(data + 12),
                           .vocab_size = load_u32(data + 16),
                           .n_ctx = load_u32(data + 20)};
  uint64_t bos = load_u64(data + 24);
  if (head->rows == 0 || head->chunks == 0 || head->vocab_size == 0 || head->vocab_size > MAX_VOCABULARY ||
      head->rows >= head->n_ctx || bos > UINT32_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the header makes no sense (rows %u, chunks %u, vocabulary %u, ctx %u)",
                     origin, (unsigned)head->rows, (unsigned)head->chunks, (unsigned)head->vocab_size,
                     (unsigned)head->n_ctx);
  head->bos = (int64_t)bos - 1;
  hash_hex(data + 32, head->text);
  hash_hex(data + 48, head->model);
  return ELLM_OK;
}

/* --------------------------------------------------------------------- rows */

static uint32_t top_count(uint32_t vocab_size) { return vocab_size < REFERENCE_TOP ? vocab_size : REFERENCE_TOP; }

uint64_t reference_record_bytes(uint32_t vocab_size) {
  return ROW_HEAD + 8 * (uint64_t)top_count(vocab_size) + 2 * (uint64_t)vocab_size + 8;
}

/* The largest logits, best first, equal ones by lower id: insertion into a short sorted list. */
static uint32_t find_top(const float *row, uint32_t vocab_size, uint32_t ids[REFERENCE_TOP]) {
  uint32_t n = 0, most = top_count(vocab_size);
  for (uint32_t id = 0; id < vocab_size; id++) {
    if (n == most && !(row[id] > row[ids[n - 1]])) continue;
    uint32_t at = n < most ? n++ : n - 1;
    for (; at > 0 && row[id] > row[ids[at - 1]]; at--) ids[at] = ids[at - 1];
    ids[at] = id;
  }
  return n;
}

bool reference_row_encode(const float *row, uint32_t vocab_size, double log_sum, uint32_t label, uint8_t *record) {
  float least = INFINITY, largest = -INFINITY;
  for (uint32_t i = 0; i < vocab_size; i++) {
    if (isnan(row[i]) || row[i] == INFINITY) return false;
    if (row[i] > largest) largest = row[i];
    if (row[i] < least && row[i] != -INFINITY) least = row[i];
  }
  if (largest == -INFINITY || label >= vocab_size) return false;
  uint32_t ids[REFERENCE_TOP], n = find_top(row, vocab_size, ids);
  double range = (double)largest - (double)least;
  float step = (float)(range / MOST_CODE);
  if (!((double)step <= MOST_STEP)) return false;
  store_double(record, log_sum);
  store_u32(record + 8, float_bits(largest));
  store_u32(record + 12, float_bits(step));
  store_u32(record + 16, float_bits(row[label]));
  store_u32(record + 20, label);
  uint8_t *at = record + ROW_HEAD;
  for (uint32_t i = 0; i < n; i++, at += 8) {
    store_u32(at, ids[i]);
    store_u32(at + 4, float_bits(row[ids[i]]));
  }
  for (uint32_t i = 0; i < vocab_size; i++, at += 2) {
    double code = step > 0 ? ((double)largest - (double)row[i]) / (double)step + 0.5 : 0;
    store_u16(at, row[i] == -INFINITY ? MINUS_INFINITY : code < MOST_CODE ? (uint16_t)code : MOST_CODE);
  }
  store_u64(at, hash64(record, (size_t)(at - record)));
  return true;
}

bool reference_row_decode(const uint8_t *record, uint32_t vocab_size, float *row, double *log_sum,
                          float *label_logit) {
  const uint64_t bytes = reference_record_bytes(vocab_size);
  const uint32_t n = top_count(vocab_size), label = load_u32(record + 20);
  if (load_u64(record + bytes - 8) != hash64(record, (size_t)(bytes - 8)) || label >= vocab_size) return false;
  *log_sum = load_double(record);
  const double largest = (double)float_from_bits(load_u32(record + 8));
  const double step = (double)float_from_bits(load_u32(record + 12));
  *label_logit = float_from_bits(load_u32(record + 16));
  /* A checksum can be made by anyone: the numbers must be those of a row of logits, too. */
  if (!isfinite(*log_sum) || !isfinite(largest) || !(step >= 0 && step <= MOST_STEP) ||
      !((double)*label_logit <= largest))
    return false;
  const uint8_t *top = record + ROW_HEAD, *codes = top + 8 * (size_t)n;
  const float last = float_from_bits(load_u32(top + 8 * (size_t)(n - 1) + 4)); /* no other logit is larger */
  for (uint32_t i = 0; i < vocab_size; i++) {
    uint16_t code = load_u16(codes + 2 * (size_t)i);
    float value = code == MINUS_INFINITY ? -INFINITY : (float)(largest - code * step);
    row[i] = value > last ? last : value;
  }
  row[label] = *label_logit;
  double before = largest;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t id = load_u32(top + 8 * (size_t)i);
    if (id >= vocab_size) return false;
    row[id] = float_from_bits(load_u32(top + 8 * (size_t)i + 4));
    if (i == 0 ? (double)row[id] != largest : !((double)row[id] <= before)) return false;
    before = (double)row[id];
  }
  const double rounding = step + 1e-5 * (1 + fabs(largest)); /* of a logit, more than there is */
  return fabs(score_log_sum_exp(row, vocab_size) - *log_sum) <= rounding;
}

uint32_t reference_row_label(const uint8_t *record) { return load_u32(record + 20); }

/* -------------------------------------------------------------------- files */

ellm_status reference_open(const char *path, reference_file *file, ellm_error *err) {
  uint8_t head[REFERENCE_HEAD_BYTES];
  ELLM_TRY(file_reader_open(path, &file->reader, err));
  ellm_status status = file->reader.size < sizeof head
                           ? ellm_fail(err, ELLM_ERR_INPUT, "%s: not a file of reference logits", path)
                           : file_reader_read(&file->reader, 0, head, sizeof head, err);
  if (status == ELLM_OK) status = reference_head_decode(head, path, &file->head, err);
  if (status == ELLM_OK) { /* rows < 2^32, chunks < 2^32: divide rather than multiply */
    uint64_t record = reference_record_bytes(file->head.vocab_size), body = file->reader.size - sizeof head;
    if (body % record != 0 || body / record / file->head.rows != file->head.chunks ||
        body / record % file->head.rows != 0)
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: %llu bytes are not %u chunks of %u rows", path,
                         (unsigned long long)file->reader.size, (unsigned)file->head.chunks,
                         (unsigned)file->head.rows);
  }
  if (status != ELLM_OK) file_reader_close(&file->reader);
  return status;
}

void reference_close(reference_file *file) { file_reader_close(&file->reader); }

ellm_status reference_read(const reference_file *file, uint32_t chunk, uint32_t first, uint32_t n, uint8_t *records,
                           ellm_error *err) {
  const uint64_t record = reference_record_bytes(file->head.vocab_size);
  if (chunk >= file->head.chunks || first > file->head.rows || n > file->head.rows - first)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: rows %u of chunk %u asked for", file->reader.path, (unsigned)first,
                     (unsigned)chunk);
  uint64_t offset = REFERENCE_HEAD_BYTES + ((uint64_t)chunk * file->head.rows + first) * record;
  return file_reader_read(&file->reader, offset, records, (size_t)(n * record), err);
}

bool reference_is_file(const char *path) {
  file_reader reader;
  char start[sizeof magic];
  if (file_is_directory(path) || file_reader_open(path, &reader, NULL) != ELLM_OK) return false;
  bool is = reader.size >= sizeof start && file_reader_read(&reader, 0, start, sizeof start, NULL) == ELLM_OK &&
            memcmp(start, magic, sizeof start) == 0;
  file_reader_close(&reader);
  return is;
}
