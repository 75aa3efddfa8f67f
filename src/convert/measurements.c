/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of measurements has a key, the ids of the text, mean squares and chances, curves, and a checksum over all. The
 * key is text, a line for each thing that the measurements depend on: so a file that does not fit is refused by the
 * first line that differs, in words.
 */
#include "convert/measurements.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/file_writer.h"
#include "base/memory.h"
#include "container/hash.h"
#include "source/identity.h"

enum { MOST_BYTES = 1 << 30, MOST_KEY = 1 << 20 };
static const char magic[8] = "ELLMpln2";

/* ------------------------------------------------------------------------ key */

/* Digest of the small files that decide what the model writes, as hex digits. */
static bool files_digest(const tensor_source *input, char hex[33]) {
  ellm_buffer all = {0};
  bool fits = true;
  for (size_t i = 0; fits && i < source_asset_count(input); i++) {
    const char *name = source_asset_name(input, i);
    size_t bytes = 0;
    uint8_t digest[16] = {0};
    if (!asset_is_needed(name)) continue;
    const void *data = source_asset(input, name, &bytes);
    if (data != NULL) hash128(data, bytes, digest);
    fits = ellm_buffer_append(&all, name, strlen(name) + 1) && ellm_buffer_append(&all, digest, sizeof digest);
  }
  uint8_t digest[16];
  hash128(all.data, all.size, digest);
  hash_hex(digest, hex);
  ellm_buffer_free(&all);
  return fits;
}

/* Digest of the patterns of tensors that are kept, in their order. */
static bool globs_digest(const ellm_compress_options *options, char hex[33]) {
  ellm_buffer all = {0};
  bool fits = true;
  for (size_t i = 0; fits && i < options->n_keep; i++)
    fits = ellm_buffer_append(&all, options->keep[i], strlen(options->keep[i]) + 1);
  uint8_t digest[16];
  hash128(all.data, all.size, digest);
  hash_hex(digest, hex);
  ellm_buffer_free(&all);
  return fits;
}

/* Digest of a calibration text that was given; "-" where the model writes its own. */
static ellm_status text_digest(const ellm_compress_options *options, char hex[33], ellm_error *err) {
  uint8_t *text = NULL, digest[16];
  size_t bytes = 0;
  strcpy(hex, "-");
  if (options->calibrate != ELLM_CALIBRATE_FILE) return ELLM_OK;
  ELLM_TRY(file_read_all(options->calibrate_file, MOST_BYTES, &text, &bytes, err));
  hash128(text, bytes, digest);
  hash_hex(digest, hex);
  free(text);
  return ELLM_OK;
}

static ellm_status make_key(tensor_source *input, const ellm_compress_options *options, bool full, char **out,
                            ellm_error *err) {
  static const char *const calibrations[] = {"self", "self", "text", "none"};
  char source[33], files[33], text[33], globs[33];
  ellm_buffer key = {0};
  ELLM_TRY(source_identity(input, options->threads, options->progress, options->progress_user, source, err));
  ELLM_TRY(text_digest(options, text, err));
  const bool none = options->calibrate == ELLM_CALIBRATE_NONE;
  const bool fits =
      files_digest(input, files) && globs_digest(options, globs) &&
      ellm_buffer_print(&key,
                        "program version=%s\nsource=%s\nconfiguration and tokenizer=%s\n--calibrate=%s\n"
                        "calibration text=%s\n--effort=%s\nsequences=%zu\nlength of sequences=%zu\n--keep=%s\n",
                        ellm_version(), source, files, calibrations[options->calibrate], text,
                        none ? "none" : full ? "full" : "quick", options->calibration_sequences,
                        options->calibration_length, globs) &&
      ellm_buffer_append(&key, "", 1);
  if (!fits) {
    ellm_buffer_free(&key);
    return ellm_fail_memory(err, key.size, "the key of a plan");
  }
  *out = (char *)key.data;
  return ELLM_OK;
}

/* The first line in which two keys differ: its name, and both values. */
static ellm_status fail_key(const char *path, const char *have, const char *want, ellm_error *err) {
  while (*have != '\0' && *want != '\0') {
    const size_t h = strcspn(have, "\n"), w = strcspn(want, "\n");
    const size_t name = strcspn(want, "=\n");
    if (h != w || memcmp(have, want, h) != 0) {
      if (h < name + 1 || memcmp(have, want, name + 1) != 0) break;
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: this plan is of another %.*s: %.*s, here it is %.*s", path, (int)name,
                       want, (int)(h - name - 1), have + name + 1, (int)(w - name - 1), want + name + 1);
    }
    have += h + (have[h] == '\n');
    want += w + (want[w] == '\n');
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: this plan is of another version of the program", path);
}

/* -------------------------------------------------------------------- reading */

typedef struct cursor { const uint8_t *at; size_t left; } cursor;

/* The next `count` items of `size` bytes; NULL where there are fewer. */
static const uint8_t *take(cursor *c, uint64_t count, size_t size) {
  if (count > c->left / size) return NULL;
  const uint8_t *from = c->at;
  c->at += count * size;
  c->left -= (size_t)count * size;
  return from;
}

static double load_double(const uint8_t *from) {
  const uint64_t bits = load_u64(from);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Array of at least one byte, so that NULL means no memory. */
static void *array_of(uint64_t count, size_t size) { return malloc((size_t)count * size + 1); }

static bool parse_text(cursor *c, measurements *m, bool *memory) {
  const uint8_t *head = take(c, 3, 4);
  if (head == NULL) return false;
  const uint64_t n = load_u32(head), length = load_u32(head + 8);
  m->watched = load_u32(head + 4);
  if (m->watched > n || (n > 0 && length == 0)) return false;
  const uint8_t *ids = take(c, n * length, 4); /* both below 2^32 */
  const uint8_t *counts = ids != NULL ? take(c, 3, 8) : NULL;
  if (counts == NULL) return false;
  const uint64_t n_squares = load_u64(counts);
  m->tokens = load_u64(counts + 8);
  m->head_tokens = load_u64(counts + 16);
  const uint8_t *sums = take(c, n_squares, 8);
  if (sums == NULL) return false;
  m->text = (corpus){.n = (size_t)n, .length = (size_t)length, .ids = array_of(n * length, sizeof *m->text.ids)};
  m->squares = array_of(n_squares, sizeof *m->squares);
  m->n_squares = (size_t)n_squares;
  *memory = m->text.ids != NULL && m->squares != NULL;
  if (!*memory) return false;
  for (uint64_t i = 0; i < n * length; i++) m->text.ids[i] = load_u32(ids + 4 * i);
  for (uint64_t i = 0; i < n_squares; i++) m->squares[i] = load_double(sums + 8 * i);
  return true;
}

static bool parse_chances(cursor *c, measurements *m, bool *memory) {
  const uint8_t *head = take(c, 2, 8);
  if (head == NULL) return false;
  const uint64_t n = load_u64(head);
  m->chances.positions = load_u64(head + 8);
  const uint8_t *sums = take(c, n, 8);
  if (sums == NULL || (n > 0 && m->chances.positions == 0)) return false;
  m->chances.sum = array_of(n, sizeof *m->chances.sum);
  m->chances.n = (size_t)n;
  *memory = m->chances.sum != NULL;
  if (!*memory) return false;
  for (uint64_t i = 0; i < n; i++) m->chances.sum[i] = load_u64(sums + 8 * i);
  return true;
}

static bool parse_curves(cursor *c, measurements *m, bool *memory) {
  const uint8_t *head = take(c, 1, 4);
  if (head == NULL) return false;
  const uint32_t n = load_u32(head);
  const uint8_t *values = take(c, n, 8 * 3 * PLAN_POINTS);
  if (values == NULL || c->left != 0) return false;
  m->curves = array_of(n, sizeof *m->curves);
  m->n_curves = n;
  *memory = m->curves != NULL;
  if (!*memory) return false;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < PLAN_POINTS; k++, values += 24)
      m->curves[i][k] = (allocation_point){.log2_step = load_double(values),
                                           .bits = load_double(values + 8),
                                           .damage = load_double(values + 16)};
  return true;
}

ellm_status measurements_parse(const uint8_t *data, size_t bytes, const char *origin, measurements *out,
                               ellm_error *err) {
  bool memory = true, whole = bytes >= sizeof magic + 8 && memcmp(data, magic, sizeof magic) == 0;
  if (!whole) return ellm_fail(err, ELLM_ERR_INPUT, "%s: this is not a plan", origin);
  cursor c = {data + sizeof magic, bytes - sizeof magic - 8};
  whole = hash64(data, bytes - 8) == load_u64(data + bytes - 8);
  const uint8_t *head = whole ? take(&c, 1, 4) : NULL;
  const uint32_t key_bytes = head != NULL ? load_u32(head) : 0;
  const uint8_t *key = head != NULL && key_bytes <= MOST_KEY ? take(&c, key_bytes, 1) : NULL;
  whole = key != NULL && memchr(key, '\0', key_bytes) == NULL;
  if (whole) {
    out->key = calloc(1, (size_t)key_bytes + 1);
    if (out->key == NULL) return ellm_fail_memory(err, key_bytes, "a plan");
    memcpy(out->key, key, key_bytes);
    whole = parse_text(&c, out, &memory) && parse_chances(&c, out, &memory) && parse_curves(&c, out, &memory);
  }
  if (!memory) return ellm_fail_memory(err, bytes, "a plan");
  return whole ? ELLM_OK : ellm_fail(err, ELLM_ERR_INPUT, "%s: this plan is damaged", origin);
}

/* Frees what was read; the path stays. */
static void forget(measurements *m) {
  free(m->key);
  corpus_free(&m->text);
  free(m->squares);
  chances_free(&m->chances);
  free(m->curves);
  *m = (measurements){.path = m->path};
}

void measurements_free(measurements *m) {
  forget(m);
  free(m->path);
  m->path = NULL;
}

/* What is there already, if it is of this key. */
static ellm_status read_file(measurements *m, const char *key, ellm_error *err) {
  uint8_t *data = NULL;
  size_t bytes = 0;
  if (!file_exists(m->path)) return ELLM_OK;
  ELLM_TRY(file_read_all(m->path, MOST_BYTES, &data, &bytes, err));
  ellm_status status = measurements_parse(data, bytes, m->path, m, err);
  if (status == ELLM_OK && strcmp(m->key, key) != 0) status = fail_key(m->path, m->key, key, err);
  free(data);
  return status;
}

ellm_status measurements_open(const char *path, tensor_source *input, const ellm_compress_options *options, bool full,
                              bool lenient, measurements *out, ellm_error *err) {
  char *key = NULL;
  *out = (measurements){.path = strdup(path)};
  if (out->path == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  ELLM_TRY(make_key(input, options, full, &key, err));
  ellm_error why;
  const ellm_status status = read_file(out, key, &why);
  if (status != ELLM_OK) forget(out);
  free(out->key);
  out->key = key;
  if (status == ELLM_OK || (lenient && status == ELLM_ERR_INPUT)) return ELLM_OK;
  if (err != NULL) *err = why;
  return status;
}

/* -------------------------------------------------------------------- writing */

static bool add_u32(ellm_buffer *b, uint64_t value) {
  uint8_t bytes[4];
  store_u32(bytes, (uint32_t)value);
  return ellm_buffer_append(b, bytes, sizeof bytes);
}

static bool add_u64(ellm_buffer *b, uint64_t value) {
  uint8_t bytes[8];
  store_u64(bytes, value);
  return ellm_buffer_append(b, bytes, sizeof bytes);
}

static bool add_double(ellm_buffer *b, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return add_u64(b, bits);
}

static bool add_text(ellm_buffer *b, const corpus *text, size_t watched, const squares *s) {
  const size_t n_ids = text->n * text->length, n_squares = text->n > 0 ? s->total : 0;
  bool fits = add_u32(b, text->n) && add_u32(b, watched) && add_u32(b, text->length);
  for (size_t i = 0; fits && i < n_ids; i++) fits = add_u32(b, text->ids[i]);
  fits = fits && add_u64(b, n_squares) && add_u64(b, s->tokens) && add_u64(b, s->head_tokens);
  for (size_t i = 0; fits && i < n_squares; i++) fits = add_double(b, s->sum[i]);
  return fits;
}

static bool add_chances(ellm_buffer *b, const token_chances *c) {
  bool fits = add_u64(b, c->n) && add_u64(b, c->positions);
  for (size_t i = 0; fits && i < c->n; i++) fits = add_u64(b, c->sum[i]);
  return fits;
}

static bool add_curves(ellm_buffer *b, const plan *p, size_t n) {
  bool fits = add_u32(b, n);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; fits && k < PLAN_POINTS; k++) {
      const allocation_point *point = &p->measured[i][k];
      fits = add_double(b, point->log2_step) && add_double(b, point->bits) && add_double(b, point->damage);
    }
  return fits;
}

ellm_status measurements_save(const measurements *m, const corpus *text, size_t watched, const squares *s,
                              const token_chances *chances, const plan *p, size_t n_curves, ellm_error *err) {
  if (m->path == NULL) return ELLM_OK;
  ellm_buffer b = {0};
  const size_t key_bytes = strlen(m->key);
  const bool fits = ellm_buffer_append(&b, magic, sizeof magic) && add_u32(&b, key_bytes) &&
                    ellm_buffer_append(&b, m->key, key_bytes) && add_text(&b, text, watched, s) &&
                    add_chances(&b, chances) && add_curves(&b, p, n_curves) && add_u64(&b, hash64(b.data, b.size));
  const file_writer_options options = {.overwrite = true, .unfinished = true};
  file_writer *file = NULL;
  ellm_status status = fits ? file_writer_open(m->path, &options, &file, err)
                            : ellm_fail_memory(err, b.size, "a plan");
  if (status == ELLM_OK) {
    status = file_writer_append(file, b.data, b.size, err);
    if (status == ELLM_OK) status = file_writer_commit(file, err);
    else file_writer_abort(file);
  }
  ellm_buffer_free(&b);
  return status;
}
