/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ellm_decompress: a dequantized Hugging Face folder. Safetensors headers are
 * known before any data; the weights follow, a batch of strips at a time. A new
 * folder is written beside its place and renamed when whole; into an existing
 * one (overwrite) each file goes through a file_writer, all committed at the end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_writer.h"
#include "base/sized.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/assets.h"
#include "container/container.h"
#include "base/progress.h"
#include "convert/strips.h"
#include "convert/workers.h"
#include "kernels/exact.h"
#include "kernels/kernels.h"
#include "json/json.h"

enum { STRIPS_PER_THREAD = 4 };
static const uint64_t shard_limit = UINT64_C(5000000000);
static const char index_name[] = "model.safetensors.index.json";

typedef struct shard {
  size_t first, last;       /* tensors [first, last) */
  uint64_t data_bytes;
  uint64_t data_offset;     /* of the data in the file */
  file_writer *writer;
  char name[64];
} shard;

typedef struct decompress_job {
  const ellm_file *file;
  int dtype;                /* -1: the source's */
  bool overwrite;
  char *target;             /* out_dir without slashes at its end */
  char *folder;             /* written into */
  int lock;                 /* on it, or -1 */
  bool temporary;           /* it is to be renamed */
  convert_workers workers;
  progress_meter meter;
  uint64_t done;            /* output bytes of finished tensors */
  shard *shards;
  size_t n_shards;
  file_writer **assets;     /* one an asset and one for the index */
  size_t n_assets;
  ellm_buffer *outputs;     /* strips on their way to the file */
  size_t n_outputs;
} decompress_job;

/* ----------------------------------------------------------------- elements */

static ellm_dtype output_dtype(const decompress_job *job, const container_tensor *tensor) {
  return job->dtype >= 0 && tensor->dtype <= ELLM_BF16 ? (ellm_dtype)job->dtype : tensor->dtype;
}

static uint64_t output_bytes(const decompress_job *job, const container_tensor *tensor) {
  return tensor->n_elements * ellm_dtype_size(output_dtype(job, tensor));
}

/* A finite value that rounds to infinity becomes the largest finite one if that is within `slack`; else false. */
static bool store_element(ellm_dtype dtype, float value, float slack, uint8_t *out) {
  if (dtype == ELLM_F32) {
    store_u32(out, float_bits(value));
    return true;
  }
  uint16_t half = dtype == ELLM_F16 ? f16_from_float(value) : bf16_from_float(value);
  const uint16_t infinity = dtype == ELLM_F16 ? 0x7c00 : 0x7f80;
  if ((half & 0x7fff) == infinity && isfinite(value)) {
    half--; /* towards 0 */
    const float most = dtype == ELLM_F16 ? float_from_f16(half) : float_from_bf16(half);
    if (fabsf(value - most) > slack) return false;
  }
  store_u16(out, half);
  return true;
}

static ellm_status too_large(const decompress_job *job, const container_tensor *tensor, float value, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: the weight %g is too large for %s", container_path(job->file),
                   tensor->name, (double)value, ellm_dtype_name(output_dtype(job, tensor)));
}

static float load_element(ellm_dtype dtype, const uint8_t *p) {
  if (dtype == ELLM_F32) return float_from_bits(load_u32(p));
  return dtype == ELLM_F16 ? float_from_f16(load_u16(p)) : float_from_bf16(load_u16(p));
}

/* n elements of the tensor's type as those of the output's. */
static ellm_status convert(const decompress_job *job, const container_tensor *tensor, const uint8_t *from, size_t n,
                           uint8_t *to, ellm_error *err) {
  const ellm_dtype dtype = output_dtype(job, tensor);
  const size_t from_size = ellm_dtype_size(tensor->dtype), to_size = ellm_dtype_size(dtype);
  if (dtype == tensor->dtype) memcpy(to, from, n * to_size);
  for (size_t i = 0; dtype != tensor->dtype && i < n; i++) {
    const float value = load_element(tensor->dtype, from + i * from_size);
    if (!store_element(dtype, value, 0, to + i * to_size)) return too_large(job, tensor, value, err);
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------ tensors */

typedef struct matrix_decoding {
  decompress_job *job;
  const container_tensor *tensor;
  strip_plan plan;
  uint64_t first_strip;
  size_t size;              /* of an output element */
  uint8_t elements[256][4]; /* of every code, where it stands for one weight wherever it is */
  bool by_place;            /* rows or columns have scales of their own, or codes have patches */
} matrix_decoding;

static void expand(const matrix_decoding *m, const uint8_t *codes, size_t n, uint8_t *out) {
  if (m->size == 2) {
    for (size_t i = 0; i < n; i++) memcpy(out + 2 * i, m->elements[codes[i]], 2);
  } else {
    for (size_t i = 0; i < n; i++) memcpy(out + 4 * i, m->elements[codes[i]], 4);
  }
}

/* The weight of a code at a place of the matrix; false if it is too large for the output. */
static bool store_weight(const matrix_decoding *m, int32_t code, uint64_t row, uint64_t column, uint8_t *out,
                         float *value) {
  const quant_scales *scales = &m->tensor->quant.scales;
  *value = quant_weight(scales, code, row, column);
  const float slack = fabsf(quant_weight(scales, scales->zero + 1, row, column));
  return store_element(output_dtype(m->job, m->tensor), *value, slack, out);
}

/* The patches of a block: its codes are in a strip's. */
static bool expand_patches(const matrix_decoding *m, const strip *s, uint64_t index, const coder_patches *patches,
                           const uint8_t *codes, uint8_t *out, float *value) {
  const coder_block block = coder_geometry_block(&m->tensor->geometry, index);
  int32_t difference = 0;
  for (uint32_t i = 0; i < patches->n; i++) {
    const coder_patch patch = coder_patch_at(patches, i);
    uint32_t row, column;
    difference += patch.difference;
    if (i + 1 < patches->n && coder_patch_at(patches, i + 1).place == patch.place) continue; /* a part of it */
    coder_patch_where(&block, patch.place, &row, &column);
    const size_t at = (size_t)((block.first_row - s->first_row + row) * s->columns +
                               (block.first_column - s->first_column) + column);
    if (!store_weight(m, codes[at] + difference, block.first_row + row, block.first_column + column,
                      out + at * m->size, value))
      return false;
    difference = 0;
  }
  return true;
}

static ellm_status expand_by_place(const matrix_decoding *m, const strip *s, const uint8_t *codes, uint8_t *out,
                                   ellm_error *err) {
  float value;
  size_t i = 0;
  for (uint64_t row = s->first_row; row < s->first_row + s->rows; row++)
    for (uint64_t column = s->first_column; column < s->first_column + s->columns; column++, i++)
      if (!store_weight(m, codes[i], row, column, out + i * m->size, &value))
        return too_large(m->job, m->tensor, value, err);
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    container_block block;
    ELLM_TRY(container_checked_block(m->job->file, m->tensor, s->first_block + b, &block, err));
    if (!expand_patches(m, s, s->first_block + b, &block.patches, codes, out, &value))
      return too_large(m->job, m->tensor, value, err);
  }
  return ELLM_OK;
}

/* The elements of a block that is stored exactly, among those of its strip. The source's type; another one follows. */
static ellm_status join_block(const matrix_decoding *m, convert_worker *worker, const strip *s, uint64_t index,
                              const coder_block *block, uint8_t *out) {
  const container_tensor *t = m->tensor;
  const size_t size = ellm_dtype_size(t->dtype);
  const size_t at = (size_t)((block->first_row - s->first_row) * s->columns + (block->first_column - s->first_column));
  container_block coded;
  ELLM_TRY(container_checked_block(m->job->file, t, index, &coded, &worker->error));
  exact_join_block(block, t->dtype, &t->exact, worker->tiles, coded.rests, out + at * size,
                   (size_t)s->columns * size);
  return ELLM_OK;
}

/* A strip of such a matrix: elements as they were into worker->raw, as they are asked for into out. */
static ellm_status join_strip(const matrix_decoding *m, convert_worker *worker, const strip *s, uint8_t *out) {
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    const uint64_t index = s->first_block + b;
    const coder_block block = coder_geometry_block(&m->tensor->geometry, index);
    ELLM_TRY(container_decode_block(m->job->file, m->tensor, index, kernels_best()->decode_block, worker->scratch,
                                    worker->tiles, NULL, &worker->error));
    ELLM_TRY(join_block(m, worker, s, index, &block, worker->raw));
  }
  return convert(m->job, m->tensor, worker->raw, (size_t)(s->rows * s->columns), out, &worker->error);
}

/* The output of a strip of n weights; NULL: no memory, told. */
static ellm_buffer *make_room(const matrix_decoding *m, convert_worker *worker, size_t n, size_t item) {
  ellm_buffer *out = &m->job->outputs[item];
  out->size = 0;
  if (!ellm_buffer_reserve(out, n * m->size)) {
    worker_fail(worker, m->first_strip + item, ellm_fail_memory(&worker->error, n * m->size, "weights"));
    return NULL;
  }
  out->size = n * m->size;
  return out;
}

static void decode_exact(const matrix_decoding *m, convert_worker *worker, const strip *s, size_t item) {
  const ellm_buffer *out = make_room(m, worker, (size_t)(s->rows * s->columns), item);
  if (out == NULL) return;
  const ellm_status status = join_strip(m, worker, s, out->data);
  if (status != ELLM_OK) worker_fail(worker, m->first_strip + item, status);
}

static void decode_strip(void *user, size_t item, int thread) {
  const matrix_decoding *m = user;
  convert_worker *worker = &m->job->workers.each[thread];
  if (worker->status != ELLM_OK) return;
  strip s = strip_plan_at(&m->plan, m->first_strip + item);
  if (m->tensor->exact.used) {
    decode_exact(m, worker, &s, item);
    return;
  }
  for (uint64_t b = 0; b < s.n_blocks; b++) {
    ellm_status status = container_decode_block(m->job->file, m->tensor, s.first_block + b,
                                                kernels_best()->decode_block, worker->scratch, worker->tiles,
                                                NULL, &worker->error);
    if (status != ELLM_OK) {
      worker_fail(worker, m->first_strip + item, status);
      return;
    }
    coder_block block = coder_geometry_block(&m->tensor->geometry, s.first_block + b);
    size_t at = (size_t)((block.first_row - s.first_row) * s.columns + (block.first_column - s.first_column));
    coder_untile_block(&block, worker->tiles, worker->codes + at, (size_t)s.columns);
  }
  size_t n = (size_t)(s.rows * s.columns);
  ellm_buffer *out = make_room(m, worker, n, item);
  if (out == NULL) return;
  if (m->by_place) {
    const ellm_status status = expand_by_place(m, &s, worker->codes, out->data, &worker->error);
    if (status != ELLM_OK) worker_fail(worker, m->first_strip + item, status);
    return;
  }
  expand(m, worker->codes, n, out->data);
}

static ellm_status write_strip(const matrix_decoding *m, file_writer *writer, uint64_t offset, uint64_t index,
                               const ellm_buffer *out, ellm_error *err) {
  strip s = strip_plan_at(&m->plan, index);
  uint64_t columns = m->tensor->shape[1];
  if (s.columns == columns)
    return file_writer_write_at(writer, offset + s.first_row * columns * m->size, out->data, out->size, err);
  size_t run = (size_t)s.columns * m->size;
  for (uint64_t r = 0; r < s.rows; r++)
    ELLM_TRY(file_writer_write_at(writer, offset + ((s.first_row + r) * columns + s.first_column) * m->size,
                                  out->data + r * run, run, err));
  return ELLM_OK;
}

static ellm_status write_coded(decompress_job *job, const container_tensor *tensor, file_writer *writer,
                               uint64_t offset, ellm_error *err) {
  ellm_dtype dtype = output_dtype(job, tensor);
  matrix_decoding *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "a tensor");
  m->job = job;
  m->tensor = tensor;
  m->size = ellm_dtype_size(dtype);
  ellm_status status = ELLM_OK;
  const quant_scales *scales = &tensor->quant.scales;
  m->by_place = scales->rows != NULL || scales->columns != NULL || scales->outliers != 0;
  for (int q = 0; !m->by_place && !tensor->exact.used && q < 1 << tensor->quant.bits && status == ELLM_OK; q++) {
    float value = quant_weight(scales, q, 0, 0);
    if (!store_element(dtype, value, fabsf(scales->step), m->elements[q]))
      status = too_large(job, tensor, value, err);
  }
  strip_plan_init(&m->plan, &tensor->geometry, job->workers.strip_codes, job->n_outputs);
  while (status == ELLM_OK && m->first_strip < m->plan.n_strips) {
    uint64_t n = m->plan.n_strips - m->first_strip < job->n_outputs ? m->plan.n_strips - m->first_strip
                                                                    : job->n_outputs;
    pool_for(job->workers.pool, (size_t)n, decode_strip, m);
    status = workers_collect(&job->workers, err);
    for (uint64_t i = 0; status == ELLM_OK && i < n; i++)
      status = write_strip(m, writer, offset, m->first_strip + i, &job->outputs[i], err);
    m->first_strip += n;
    double share = (double)m->first_strip / (double)m->plan.n_strips;
    if (status == ELLM_OK)
      status = progress_report(&job->meter, "decompress", tensor->name,
                               job->done + (uint64_t)(share * (double)output_bytes(job, tensor)), err);
  }
  free(m);
  return status;
}

static ellm_status write_kept(decompress_job *job, const container_tensor *tensor, file_writer *writer, uint64_t offset,
                              ellm_error *err) {
  const uint8_t *data;
  ELLM_TRY(container_kept(job->file, tensor, &data, err));
  ellm_dtype dtype = output_dtype(job, tensor);
  size_t from = ellm_dtype_size(tensor->dtype), to = ellm_dtype_size(dtype);
  uint8_t *piece = job->workers.each[0].raw;
  uint64_t step = job->workers.raw_bytes / 8;
  for (uint64_t i = 0; i < tensor->n_elements; i += step) {
    size_t n = tensor->n_elements - i < step ? (size_t)(tensor->n_elements - i) : (size_t)step;
    const uint8_t *source = data + i * from;
    if (dtype != tensor->dtype) {
      ELLM_TRY(convert(job, tensor, source, n, piece, err));
      source = piece;
    }
    ELLM_TRY(file_writer_write_at(writer, offset + i * to, source, n * to, err));
    ELLM_TRY(progress_report(&job->meter, "decompress", tensor->name, job->done + i * to, err));
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------- headers */

/* Cut the tensors into files of at most shard_limit, in their order. */
static ellm_status plan_shards(decompress_job *job, ellm_error *err) {
  size_t n = ellm_file_tensor_count(job->file);
  job->shards = calloc(n + 1, sizeof *job->shards);
  if (job->shards == NULL) return ellm_fail_memory(err, n * sizeof *job->shards, "shards");
  job->n_shards = 1;
  for (size_t i = 0; i < n; i++) {
    uint64_t bytes = output_bytes(job, container_tensor_at(job->file, i));
    shard *s = &job->shards[job->n_shards - 1];
    if (s->last > s->first && s->data_bytes + bytes > shard_limit) {
      s = &job->shards[job->n_shards++];
      s->first = i;
    }
    s->last = i + 1;
    s->data_bytes += bytes;
  }
  for (size_t k = 0; k < job->n_shards; k++) {
    if (job->n_shards == 1) snprintf(job->shards[k].name, sizeof job->shards[k].name, "model.safetensors");
    else
      snprintf(job->shards[k].name, sizeof job->shards[k].name, "model-%05zu-of-%05zu.safetensors", k + 1,
               job->n_shards);
  }
  return ELLM_OK;
}

/* The JSON text of root, which is taken over. Read back once: jansson leaves out pieces where memory fails while it
 * writes. malloc'ed; NULL: no memory. */
static char *dump(json_t *root, size_t flags) {
  char *text = root != NULL ? json_text(root, flags) : NULL;
  json_t *again = text != NULL ? json_loads(text, 0, NULL) : NULL;
  if (again == NULL || !json_equal(root, again)) {
    free(text);
    text = NULL;
  }
  json_decref(again);
  json_decref(root);
  return text;
}

/* The header's JSON text, spaces to a multiple of 8 behind it; malloc'ed, NULL: no memory. */
static char *header_text(const decompress_job *job, const shard *s, size_t *bytes) {
  json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
  uint64_t at = 0;
  for (size_t i = s->first; root != NULL && i < s->last; i++) {
    const container_tensor *tensor = container_tensor_at(job->file, i);
    uint64_t end = at + output_bytes(job, tensor);
    json_t *shape = json_array();
    for (int d = 0; d < tensor->n_dims; d++) json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
    json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", ellm_dtype_name(output_dtype(job, tensor)), "shape",
                              shape, "data_offsets", (json_int_t)at, (json_int_t)end);
    bool whole = entry != NULL && json_array_size(shape) == (size_t)tensor->n_dims;
    if (json_object_set_new(root, tensor->name, entry) != 0 || !whole) {
      json_decref(root);
      root = NULL;
    }
    at = end;
  }
  char *text = dump(root, JSON_COMPACT);
  if (text == NULL) return NULL;
  size_t length = strlen(text), padded = (length + 7) & ~(size_t)7;
  char *out = malloc(padded + 1);
  if (out != NULL) {
    memset(out, ' ', padded);
    memcpy(out, text, length);
    out[padded] = '\0';
    *bytes = padded;
  }
  free(text);
  return out;
}

static char *index_text(const decompress_job *job) {
  uint64_t total = 0;
  json_t *map = json_object();
  for (size_t k = 0; k < job->n_shards; k++) {
    total += job->shards[k].data_bytes;
    for (size_t i = job->shards[k].first; i < job->shards[k].last; i++)
      if (json_object_set_new(map, container_tensor_at(job->file, i)->name, json_string(job->shards[k].name)) != 0) {
        json_decref(map);
        return NULL;
      }
  }
  return dump(json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map),
              JSON_INDENT(2));
}

/* --------------------------------------------------------------------- files */

static ellm_status open_writer(const decompress_job *job, const char *name, file_writer **writer, ellm_error *err) {
  char *path = path_join(job->folder, name);
  if (path == NULL) return ellm_fail_memory(err, strlen(name), "a path");
  const file_writer_options options = {.overwrite = job->overwrite};
  ellm_status status = file_writer_open(path, &options, writer, err);
  free(path);
  return status;
}

static ellm_status write_shard(decompress_job *job, shard *s, ellm_error *err) {
  ELLM_TRY(open_writer(job, s->name, &s->writer, err));
  size_t bytes = 0;
  char *text = header_text(job, s, &bytes);
  if (text == NULL) return ellm_fail_memory(err, (s->last - s->first) * 128, "a safetensors header");
  uint8_t length[8];
  store_u64(length, bytes);
  ellm_status status = file_writer_append(s->writer, length, sizeof length, err);
  if (status == ELLM_OK) status = file_writer_append(s->writer, text, bytes, err);
  free(text);
  uint64_t offset = 8 + bytes;
  for (size_t i = s->first; status == ELLM_OK && i < s->last; i++) {
    const container_tensor *tensor = container_tensor_at(job->file, i);
    status = (tensor->storage == CONTAINER_CODED ? write_coded : write_kept)(job, tensor, s->writer, offset, err);
    offset += output_bytes(job, tensor);
    job->done += output_bytes(job, tensor);
  }
  return status;
}

static bool is_weight_file(const char *name) {
  size_t length = strlen(name), suffix = sizeof ".safetensors" - 1;
  return strcmp(name, index_name) == 0 || (length >= suffix && strcmp(name + length - suffix, ".safetensors") == 0);
}

static ellm_status write_small(decompress_job *job, const char *name, const void *data, size_t bytes, ellm_error *err) {
  file_writer **writer = &job->assets[job->n_assets];
  ELLM_TRY(open_writer(job, name, writer, err));
  job->n_assets++;
  return file_writer_append(*writer, data, bytes, err);
}

/* The one subfolder that assets are in. */
static bool is_template(const char *name) {
  return strncmp(name, ASSET_TEMPLATES_FOLDER "/", sizeof ASSET_TEMPLATES_FOLDER) == 0;
}

static bool has_templates(const decompress_job *job) {
  for (size_t i = 0; i < ellm_file_asset_count(job->file); i++)
    if (is_template(container_asset_name(job->file, i))) return true;
  return false;
}

static ellm_status make_templates_folder(const decompress_job *job, ellm_error *err) {
  if (!has_templates(job)) return ELLM_OK;
  char *path = path_join(job->folder, ASSET_TEMPLATES_FOLDER);
  if (path == NULL) return ellm_fail_memory(err, strlen(job->folder), "a path");
  const ellm_status status = directory_create(path, err);
  free(path);
  return status;
}

static ellm_status write_assets(decompress_job *job, ellm_error *err) {
  ELLM_TRY(make_templates_folder(job, err));
  size_t n = ellm_file_asset_count(job->file);
  job->assets = calloc(n + 1, sizeof *job->assets);
  if (job->assets == NULL) return ellm_fail_memory(err, n * sizeof *job->assets, "assets");
  for (size_t i = 0; i < n; i++) {
    const char *name = container_asset_name(job->file, i);
    size_t bytes = 0;
    const void *data = ellm_file_asset(job->file, name, &bytes);
    if (is_weight_file(name))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: asset %s: the name of a file of weights", container_path(job->file),
                       name);
    ELLM_TRY(write_small(job, name, data, bytes, err));
  }
  if (job->n_shards == 1) return ELLM_OK;
  char *text = index_text(job);
  if (text == NULL) return ellm_fail_memory(err, ellm_file_tensor_count(job->file) * 128, "the shard index");
  ellm_status status = write_small(job, index_name, text, strlen(text), err);
  free(text);
  return status;
}

static ellm_status commit_files(decompress_job *job, ellm_error *err) {
  for (size_t i = 0; i < job->n_assets; i++) {
    file_writer *writer = job->assets[i];
    job->assets[i] = NULL;
    ELLM_TRY(file_writer_commit(writer, err));
  }
  for (size_t k = 0; k < job->n_shards; k++) {
    file_writer *writer = job->shards[k].writer;
    job->shards[k].writer = NULL;
    ELLM_TRY(file_writer_commit(writer, err));
  }
  return ELLM_OK;
}

/* -------------------------------------------------------------------- folder */

/* Call fn for every entry of a folder but "." and ".."; false where it cannot be read. */
static bool for_entries(const char *folder, void (*fn)(void *user, const char *folder, const char *name), void *user) {
  DIR *dir = opendir(folder);
  if (dir == NULL) return false;
  errno = 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) fn(user, folder, entry->d_name);
  const int code = errno;
  closedir(dir);
  errno = code;
  return code == 0;
}

static void count_entry(void *user, const char *folder, const char *name) {
  (void)folder;
  (void)name;
  ++*(size_t *)user;
}

/* A file, or the folder of templates with its files. */
static void remove_entry(void *user, const char *folder, const char *name) {
  (void)user;
  char *path = path_join(folder, name);
  if (path != NULL && unlink(path) != 0 && strcmp(name, ASSET_TEMPLATES_FOLDER) == 0) {
    for_entries(path, remove_entry, NULL);
    rmdir(path);
  }
  free(path);
}

/* Lies in a folder while it is being written: a checkpoint that somebody keeps under such a name has none. */
static const char marker_name[] = "entrollm-unfinished" PARTIAL_ENDING;

/* Weights of an earlier model, which would be read together with ours, and the marker of a run that was killed as it
 * ended. */
static void remove_stale(void *user, const char *folder, const char *name) {
  const decompress_job *job = user;
  if (strcmp(name, marker_name) == 0) remove_entry(NULL, folder, name);
  if (strncmp(name, "model", 5) != 0 || !is_weight_file(name)) return;
  if (strcmp(name, index_name) == 0 && job->n_shards > 1) return;
  for (size_t k = 0; k < job->n_shards; k++)
    if (strcmp(name, job->shards[k].name) == 0) return;
  remove_entry(NULL, folder, name);
}

/* A name that this run writes as well, whole or on its way. */
static bool is_ours(const decompress_job *job, const char *name) {
  char stem[256];
  size_t length = strlen(name);
  if (length >= sizeof stem) return false;
  memcpy(stem, name, length + 1);
  if (path_is_partial(name)) stem[length - (sizeof PARTIAL_ENDING - 1)] = '\0';
  return is_weight_file(stem) || ellm_file_asset(job->file, stem, NULL) != NULL ||
         (strcmp(stem, ASSET_TEMPLATES_FOLDER) == 0 && has_templates(job));
}

typedef struct leftovers {
  const decompress_job *job;
  size_t n;
  bool foreign, marked;
} leftovers;

static void find_foreign(void *user, const char *folder, const char *name) {
  leftovers *found = user;
  (void)folder;
  found->n++;
  if (strcmp(name, marker_name) == 0) found->marked = true;
  else if (!is_ours(found->job, name)) found->foreign = true;
}

static ellm_status put_marker(const char *folder, ellm_error *err) {
  char *path = path_join(folder, marker_name);
  if (path == NULL) return ellm_fail_memory(err, strlen(folder), "a path");
  int fd;
  do {
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  } while (fd < 0 && errno == EINTR);
  ellm_status status = fd >= 0 ? ELLM_OK : ellm_fail_errno(err, errno, "create", path);
  if (fd >= 0) close(fd);
  free(path);
  return status;
}

/* Empty the folder that a killed run left; one that holds anything else is not touched. */
static ellm_status clear_leftovers(const decompress_job *job, ellm_error *err) {
  if (!file_is_directory(job->folder)) return ELLM_OK;
  leftovers found = {.job = job};
  if (!for_entries(job->folder, find_foreign, &found)) return ellm_fail_errno(err, errno, "read", job->folder);
  if (found.foreign || (found.n > 0 && !found.marked))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s is in the way: it holds files of something else", job->folder);
  for_entries(job->folder, remove_entry, NULL);
  return ELLM_OK;
}

/* Where to write: beside out_dir where that is missing or empty, else into it. */
static ellm_status open_folder(decompress_job *job, const char *out_dir, ellm_error *err) {
  size_t n = 0, length = strlen(out_dir);
  while (length > 1 && out_dir[length - 1] == '/') length--;
  job->target = strndup(out_dir, length);
  if (job->target == NULL) return ellm_fail_memory(err, length + 1, "a path");
  if (path_is_partial(job->target))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: names that end in %s are reserved for unfinished folders", out_dir,
                     PARTIAL_ENDING);
  bool is_directory, there;
  ELLM_TRY(file_look(out_dir, &is_directory, err));
  ELLM_TRY(file_there(out_dir, &there, err));
  if (is_directory) {
    if (!for_entries(out_dir, count_entry, &n)) return ellm_fail_errno(err, errno, "read", out_dir);
  } else if (there) {
    return ellm_fail(err, ELLM_ERR_USAGE, "%s exists and is not a folder", out_dir);
  }
  if (n > 0 && !job->overwrite) return ellm_fail(err, ELLM_ERR_EXISTS, "%s: already exists and is not empty", out_dir);
  job->folder = path_append(job->target, n == 0 ? PARTIAL_ENDING : "");
  if (job->folder == NULL) return ellm_fail_memory(err, strlen(out_dir), "a path");
  if (n > 0) return directory_lock(job->folder, &job->lock, err);
  ELLM_TRY(directory_create(job->folder, err));
  ELLM_TRY(directory_lock(job->folder, &job->lock, err));
  ellm_status status = clear_leftovers(job, err);
  if (status == ELLM_OK) status = put_marker(job->folder, err);
  if (status == ELLM_OK) job->temporary = true;
  else rmdir(job->folder); /* only an empty one goes */
  return status;
}

/* The name comes, then the marker goes, each on the disk before the next: a crash leaves an unfinished folder that the
 * next run knows by its marker, or the whole one, be it with a marker that nobody reads. */
static ellm_status rename_folder(decompress_job *job, int inside, int beside, const char *out_dir, ellm_error *err) {
  char *marker = path_join(job->target, marker_name);
  if (marker == NULL) return ellm_fail_memory(err, strlen(job->target), "a path");
  ellm_status status = directory_sync(inside, job->folder, err);
  if (status == ELLM_OK && rename(job->folder, job->target) != 0)
    status = ellm_fail_errno(err, errno, "create", out_dir);
  if (status == ELLM_OK) {
    job->temporary = false;
    status = directory_sync(beside, out_dir, err);
    const int code = unlink(marker) == 0 ? 0 : errno;
    if (status == ELLM_OK && code != 0) status = ellm_fail_errno(err, code, "remove", marker);
    if (status == ELLM_OK) status = directory_sync(inside, out_dir, err);
  }
  free(marker);
  return status;
}

static ellm_status place_folder(decompress_job *job, const char *out_dir, ellm_error *err) {
  int inside = -1, beside = -1;
  if (!job->temporary) {
    const bool all = for_entries(job->folder, remove_stale, job);
    return all ? ELLM_OK : ellm_fail_errno(err, errno, "read", job->folder);
  }
  char *parent = path_folder(job->target);
  ellm_status status = parent != NULL ? directory_open(parent, &beside, err) : ellm_fail_memory(err, strlen(out_dir), "a path");
  if (status == ELLM_OK) status = directory_open(job->folder, &inside, err);
  if (status == ELLM_OK) status = rename_folder(job, inside, beside, out_dir, err);
  if (beside >= 0) close(beside);
  if (inside >= 0) close(inside);
  free(parent);
  return status;
}

static void release(decompress_job *job) {
  for (size_t i = 0; i < job->n_assets; i++) file_writer_abort(job->assets[i]);
  for (size_t k = 0; k < job->n_shards; k++) file_writer_abort(job->shards[k].writer);
  if (job->temporary) {
    for_entries(job->folder, remove_entry, NULL);
    rmdir(job->folder);
  }
  for (size_t i = 0; job->outputs != NULL && i < job->n_outputs; i++) ellm_buffer_free(&job->outputs[i]);
  if (job->lock >= 0) close(job->lock);
  free(job->outputs);
  free(job->assets);
  free(job->shards);
  free(job->folder);
  free(job->target);
  workers_free(&job->workers);
}

static ellm_status decompress_file(decompress_job *job, const char *out_dir, const ellm_decompress_options *options,
                                   ellm_error *err) {
  ELLM_TRY(workers_create(options->threads, &job->workers, err));
  job->n_outputs = (size_t)job->workers.n_threads * STRIPS_PER_THREAD;
  job->outputs = calloc(job->n_outputs, sizeof *job->outputs);
  if (job->outputs == NULL) return ellm_fail_memory(err, job->n_outputs * sizeof *job->outputs, "buffers");
  ELLM_TRY(plan_shards(job, err));
  uint64_t total = 0;
  for (size_t k = 0; k < job->n_shards; k++) total += job->shards[k].data_bytes;
  progress_start(&job->meter, options->progress, options->progress_user, total);
  ELLM_TRY(open_folder(job, out_dir, err));
  ELLM_TRY(write_assets(job, err));
  for (size_t k = 0; k < job->n_shards; k++) ELLM_TRY(write_shard(job, &job->shards[k], err));
  ELLM_TRY(progress_finish(&job->meter, "decompress", err));
  ELLM_TRY(commit_files(job, err));
  return place_folder(job, out_dir, err);
}

void ellm_decompress_options_init_sized(ellm_decompress_options *given, size_t size) {
  const ellm_decompress_options own = {.size = size, .dtype = -1};
  ellm_sized_init(given, &own, sizeof own);
}

ellm_status ellm_decompress(const char *path, const char *out_dir, const ellm_decompress_options *options,
                            ellm_error *err) {
  ELLM_SIZED(ellm_decompress_options, own, options, err);
  if (own.dtype < -1 || own.dtype > ELLM_BF16)
    return ellm_fail(err, ELLM_ERR_USAGE, "cannot write weights of type %d: F32, F16 or BF16", own.dtype);
  ellm_file *file;
  ELLM_TRY(ellm_file_open(path, &file, err));
  const ellm_status whole = container_need_whole(file, err);
  if (whole != ELLM_OK) {
    ellm_file_close(file);
    return whole;
  }
  decompress_job job = {.file = file, .dtype = own.dtype, .overwrite = own.overwrite, .lock = -1};
  const ellm_status status = decompress_file(&job, out_dir, &own, err);
  release(&job);
  ellm_file_close(file);
  return status;
}
