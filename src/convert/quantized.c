/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See quantized.h. Rows are taken in units of whole row groups. One pass counts
 * all codes; from the counts follow the widths that come into question. Of these
 * the next pass counts pairs, the book of least size decides, and the last pass
 * codes the blocks, which are written in their order.
 */
#include "convert/quantized.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "container/hash.h"

enum {
  UNIT_CODES = 1 << 17,     /* of a unit, at least a row group */
  UNITS_PER_THREAD = 2,     /* of a batch */
  FARTHEST = 129,           /* codes from here on are counted together: they are outliers at any width */
  WIDTHS = 3,               /* that are weighed */
  /* Codes that may be patched, one in so many: a patch takes 24 bits, so that this many take 1/40 bit a code. */
  CODES_A_PATCH = 1024
};

typedef struct unit_output {
  ellm_buffer data;
  uint32_t *sizes, *checksums; /* [max_blocks] */
  size_t n_blocks;
} unit_output;

typedef struct unit_worker {
  int32_t *codes;           /* of a unit */
  uint8_t *clamped;
  uint64_t counts[2 * FARTHEST + 1];
  coder_statistics of_width[WIDTHS];
} unit_worker;

typedef struct quantized_job {
  convert_workers *workers;
  const quantized_matrix *matrix;
  container_writer *writer;
  container_tensor tensor;
  uint64_t groups_per_unit, n_units, first_unit;
  unit_worker *buffers;     /* [n_threads] */
  unit_output *outputs;     /* [n_outputs] */
  size_t n_outputs, max_blocks;
  uint64_t counts[2 * FARTHEST + 1];
  int widths[WIDTHS], n_widths;
  uint8_t pad[WIDTHS];
} quantized_job;

/* --------------------------------------------------------------------- units */

typedef struct unit { uint64_t first_block, n_blocks, first_row, n_rows; } unit;

static unit unit_at(const quantized_job *job, uint64_t index) {
  const coder_geometry *g = &job->tensor.geometry;
  const uint64_t group_rows = (uint64_t)g->panels_per_block * g->panel_rows, group = index * job->groups_per_unit;
  const uint64_t left = g->row_groups - group, groups = left < job->groups_per_unit ? left : job->groups_per_unit;
  const uint64_t first_row = group * group_rows, rows = groups * group_rows;
  return (unit){.first_block = group * g->column_ranges,
                .n_blocks = groups * g->column_ranges,
                .first_row = first_row,
                .n_rows = rows < g->rows - first_row ? rows : g->rows - first_row};
}

typedef ellm_status (*unit_fn)(quantized_job *job, int thread, const unit *u, size_t item);
typedef struct unit_pass { quantized_job *job; unit_fn fn; } unit_pass;

static void run_unit(void *user, size_t item, int thread) {
  const unit_pass *pass = user;
  quantized_job *job = pass->job;
  convert_worker *worker = &job->workers->each[thread];
  if (worker->status != ELLM_OK) return;
  const uint64_t index = job->first_unit + item;
  const unit u = unit_at(job, index);
  const quantized_matrix *m = job->matrix;
  ellm_status status = m->codes(m->user, u.first_row, (size_t)u.n_rows, job->buffers[thread].codes, &worker->error);
  if (status == ELLM_OK) status = pass->fn(job, thread, &u, item);
  if (status != ELLM_OK) worker_fail(worker, index, status);
}

/* All units, batch by batch; `after` (may be NULL) takes a batch's outputs. */
static ellm_status run_pass(quantized_job *job, unit_fn fn, ellm_status (*after)(quantized_job *, size_t, ellm_error *),
                            ellm_error *err) {
  unit_pass pass = {job, fn};
  for (job->first_unit = 0; job->first_unit < job->n_units;) {
    const uint64_t left = job->n_units - job->first_unit;
    const size_t n = left < job->n_outputs ? (size_t)left : job->n_outputs;
    pool_for(job->workers->pool, n, run_unit, &pass);
    ELLM_TRY(workers_collect(job->workers, err));
    if (after != NULL) ELLM_TRY(after(job, n, err));
    job->first_unit += n;
  }
  return ELLM_OK;
}

/* The codes of a unit, around a zero, as far as they are between two stored codes. */
static void clamp(const quantized_job *job, int32_t zero, int32_t least_code, int32_t most_code, const unit *u,
                  const int32_t *codes, uint8_t *clamped) {
  const size_t n = (size_t)(u->n_rows * job->matrix->columns);
  const int32_t least = least_code - zero, most = most_code - zero;
  for (size_t i = 0; i < n; i++) {
    const int32_t code = codes[i] < least ? least : codes[i] > most ? most : codes[i];
    clamped[i] = (uint8_t)(code + zero);
  }
}

static coder_block tile_block(const quantized_job *job, const unit *u, uint64_t b, uint8_t pad, const uint8_t *clamped,
                              uint8_t *tiles, size_t *first) {
  const coder_block block = coder_geometry_block(&job->tensor.geometry, u->first_block + b);
  *first = (size_t)((block.first_row - u->first_row) * job->matrix->columns + block.first_column);
  coder_tile_block(&block, clamped + *first, (size_t)job->matrix->columns, pad, tiles);
  return block;
}

/* ------------------------------------------------------------ width and book */

static ellm_status count_unit(quantized_job *job, int thread, const unit *u, size_t item) {
  (void)item;
  unit_worker *w = &job->buffers[thread];
  const size_t n = (size_t)(u->n_rows * job->matrix->columns);
  for (size_t i = 0; i < n; i++) {
    const int32_t code = w->codes[i];
    w->counts[code < -FARTHEST ? 0 : code > FARTHEST ? 2 * FARTHEST : code + FARTHEST]++;
  }
  return ELLM_OK;
}

/* Counts of stored codes at a width; returns how many codes do not fit. */
static uint64_t counts_at(const quantized_job *job, int bits, uint64_t counts[256]) {
  const int zero = 1 << (bits - 1);
  uint64_t outliers = 0;
  memset(counts, 0, 256 * sizeof *counts);
  for (int code = -FARTHEST; code <= FARTHEST; code++) {
    const uint64_t n = job->counts[code + FARTHEST];
    const bool fits = code >= -zero && code < zero;
    counts[fits ? code + zero : code < 0 ? 0 : 2 * zero - 1] += n;
    if (!fits) outliers += n;
  }
  return outliers;
}

/* Widths from the least with few patches up; one that all codes fit is the last. */
static void find_widths(quantized_job *job) {
  const uint64_t allowed = job->tensor.n_elements / CODES_A_PATCH;
  uint64_t counts[256];
  job->n_widths = 0;
  for (int bits = 2; bits <= 8 && job->n_widths < WIDTHS; bits++) {
    const uint64_t outliers = counts_at(job, bits, counts);
    if (outliers > allowed && bits < 8) continue;
    job->pad[job->n_widths] = coder_pad(counts);
    job->widths[job->n_widths++] = bits;
    if (outliers == 0) break;
  }
}

static ellm_status count_pairs(quantized_job *job, int thread, const unit *u, size_t item) {
  (void)item;
  unit_worker *w = &job->buffers[thread];
  uint8_t *tiles = job->workers->each[thread].tiles;
  for (int k = 0; k < job->n_widths; k++) {
    const int32_t zero = 1 << (job->widths[k] - 1);
    clamp(job, zero, 0, 2 * zero - 1, u, w->codes, w->clamped);
    for (uint64_t b = 0; b < u->n_blocks; b++) {
      size_t first;
      const coder_block block = tile_block(job, u, b, job->pad[k], w->clamped, tiles, &first);
      coder_statistics_add_pairs(&w->of_width[k], &block, job->widths[k], tiles);
    }
  }
  return ELLM_OK;
}

/* Codes that are beyond the range of a book. */
static uint64_t outliers_of(const quantized_job *job, const coder_codebook *book, int zero) {
  uint64_t outliers = 0;
  for (int code = -FARTHEST; code <= FARTHEST; code++)
    if (code + zero < coder_least_code(book) || code + zero > coder_most_code(book))
      outliers += job->counts[code + FARTHEST];
  return outliers;
}

/* The width whose book, with its patches, costs least. */
static ellm_status choose(quantized_job *job, coder_aim aim, double *bytes, ellm_error *err) {
  container_tensor *tensor = &job->tensor;
  double least = 0, least_cost = 0;
  for (int k = 0; k < job->n_widths; k++) {
    coder_statistics all = {0};
    coder_choice choice;
    double patches;
    const int bits = job->widths[k], zero = 1 << (bits - 1);
    for (int i = 0; i < job->workers->n_threads; i++) coder_statistics_merge(&all, &job->buffers[i].of_width[k]);
    counts_at(job, bits, all.codes);
    const coder_codes codes = {&all, &tensor->geometry, bits, zero, job->pad[k]};
    ELLM_TRY(coder_choose(&codes, aim, &choice, err));
    const uint64_t outliers = outliers_of(job, &choice.book, zero);
    const double cost =
        choice.cost + coder_patches_cost(aim, outliers - choice.outliers, &tensor->geometry, &patches);
    if (k > 0 && cost >= least_cost) continue;
    least_cost = cost;
    least = choice.bytes + patches;
    coder_clip_counts(&choice.book, all.codes);
    tensor->book = choice.book;
    tensor->quant.bits = bits;
    tensor->quant.scales.zero = zero;
    tensor->quant.scales.outliers = outliers;
    tensor->entropy_bits = coder_entropy_bits(all.codes, 256);
    tensor->huffman_bits = coder_huffman_bits(all.codes, 256);
  }
  if (bytes != NULL) *bytes = least + (tensor->quant.scales.rows != NULL ? 2.0 * (double)tensor->shape[0] : 0);
  return ELLM_OK;
}

static ellm_status plan(quantized_job *job, coder_aim aim, double *bytes, ellm_error *err) {
  ELLM_TRY(run_pass(job, count_unit, NULL, err));
  for (int i = 0; i < job->workers->n_threads; i++)
    for (int c = 0; c <= 2 * FARTHEST; c++) job->counts[c] += job->buffers[i].counts[c];
  find_widths(job);
  if (job->tensor.geometry.panel_rows == CODER_PANEL_ROWS) ELLM_TRY(run_pass(job, count_pairs, NULL, err));
  return choose(job, aim, bytes, err);
}

/* --------------------------------------------------------------------- blocks */

/* The patches of a block, its whole codes beginning at `codes`. */
static size_t find_patches(const quantized_job *job, const coder_block *block, const int32_t *codes,
                           const uint8_t *tiles, coder_patch *patches) {
  const int32_t zero = job->tensor.quant.scales.zero, least = coder_least_code(&job->tensor.book),
                most = coder_most_code(&job->tensor.book);
  size_t n = 0;
  for (uint32_t place = 0; place < coder_block_codes(block); place++) {
    if (tiles[place] != least && tiles[place] != most) continue; /* within its range */
    uint32_t row, column;
    coder_patch_where(block, place, &row, &column);
    if (row >= block->rows || column >= block->columns) continue;
    const int32_t code = codes[(size_t)row * job->matrix->columns + column];
    const int32_t difference = code - (tiles[place] - zero);
    if (difference != 0) patches[n++] = (coder_patch){place, difference};
  }
  return n;
}

static ellm_status too_far(const quantized_job *job, const coder_block *block, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT,
                   "tensor %s: codes in rows %llu to %llu lie too far out: a coarser step is expected",
                   job->matrix->name, (unsigned long long)block->first_row,
                   (unsigned long long)(block->first_row + block->rows - 1));
}

static ellm_status encode_block(quantized_job *job, int thread, const coder_block *block, const int32_t *codes,
                                unit_output *out) {
  convert_worker *worker = &job->workers->each[thread];
  const quant_params *quant = &job->tensor.quant;
  size_t patch_bytes = 0;
  const size_t bytes = coder_encode_block(worker->encoder, &job->tensor.book, block, worker->tiles, worker->block);
  if (bytes == CODER_NOT_CODABLE)
    return ellm_fail(&worker->error, ELLM_ERR_INTERNAL, "tensor %s: a block cannot be coded", job->matrix->name);
  const size_t at = out->data.size;
  if (quant->scales.outliers > 0) {
    const size_t n = find_patches(job, block, codes, worker->tiles, worker->patches);
    patch_bytes = coder_patches_bytes(worker->patches, n);
    if (patch_bytes > CODER_MAX_BLOCK_BYTES - bytes) return too_far(job, block, &worker->error);
    if (!ellm_buffer_reserve(&out->data, patch_bytes)) return ellm_fail_memory(&worker->error, patch_bytes, "patches");
    coder_patches_store(worker->patches, n, out->data.data + at);
    const coder_patches patches = {out->data.data + at + CODER_PATCHES_HEAD,
                                   (uint32_t)((patch_bytes - CODER_PATCHES_HEAD) / CODER_PATCH_BYTES)};
    if (!coder_patches_valid(&patches, block, &job->tensor.book, quant->scales.zero))
      return too_far(job, block, &worker->error);
    out->data.size += patch_bytes;
  }
  if (!ellm_buffer_append(&out->data, worker->block, bytes))
    return ellm_fail_memory(&worker->error, bytes, "coded blocks");
  out->sizes[out->n_blocks] = (uint32_t)(patch_bytes + bytes);
  out->checksums[out->n_blocks++] = container_block_checksum(out->data.data + at, patch_bytes + bytes);
  return ELLM_OK;
}

static ellm_status encode_unit(quantized_job *job, int thread, const unit *u, size_t item) {
  unit_worker *w = &job->buffers[thread];
  unit_output *out = &job->outputs[item];
  out->data.size = 0;
  out->n_blocks = 0;
  const coder_codebook *book = &job->tensor.book;
  clamp(job, job->tensor.quant.scales.zero, coder_least_code(book), coder_most_code(book), u, w->codes, w->clamped);
  for (uint64_t b = 0; b < u->n_blocks; b++) {
    size_t first;
    const coder_block block =
        tile_block(job, u, b, job->tensor.book.pad, w->clamped, job->workers->each[thread].tiles, &first);
    ELLM_TRY(encode_block(job, thread, &block, w->codes + first, out));
  }
  return ELLM_OK;
}

static ellm_status write_units(quantized_job *job, size_t n, ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    const unit_output *out = &job->outputs[i];
    const uint8_t *data = out->data.data;
    for (size_t b = 0; b < out->n_blocks; data += out->sizes[b++])
      ELLM_TRY(container_writer_block(job->writer, data, out->sizes[b], out->checksums[b], err));
  }
  return ELLM_OK;
}

/* ----------------------------------------------------------------- the whole */

static void release(quantized_job *job) {
  for (int i = 0; job->buffers != NULL && i < job->workers->n_threads; i++) {
    free(job->buffers[i].codes);
    free(job->buffers[i].clamped);
  }
  for (size_t i = 0; job->outputs != NULL && i < job->n_outputs; i++) {
    ellm_buffer_free(&job->outputs[i].data);
    free(job->outputs[i].sizes);
    free(job->outputs[i].checksums);
  }
  free(job->buffers);
  free(job->outputs);
}

static ellm_status allocate(quantized_job *job, ellm_error *err) {
  const unit largest = unit_at(job, 0);
  const size_t codes = (size_t)(largest.n_rows * job->matrix->columns);
  job->n_outputs = (size_t)job->workers->n_threads * UNITS_PER_THREAD;
  job->max_blocks = (size_t)largest.n_blocks;
  job->buffers = calloc((size_t)job->workers->n_threads, sizeof *job->buffers);
  job->outputs = calloc(job->n_outputs, sizeof *job->outputs);
  bool good = job->buffers != NULL && job->outputs != NULL;
  for (int i = 0; good && i < job->workers->n_threads; i++) {
    unit_worker *w = &job->buffers[i];
    w->codes = malloc(codes * sizeof *w->codes);
    w->clamped = malloc(codes);
    good = w->codes != NULL && w->clamped != NULL;
  }
  for (size_t i = 0; good && i < job->n_outputs; i++) {
    job->outputs[i].sizes = malloc(job->max_blocks * sizeof(uint32_t));
    job->outputs[i].checksums = malloc(job->max_blocks * sizeof(uint32_t));
    good = job->outputs[i].sizes != NULL && job->outputs[i].checksums != NULL;
  }
  return good ? ELLM_OK : ellm_fail_memory(err, codes * sizeof(int32_t), "codes of a matrix");
}

static ellm_status prepare(quantized_job *job, ellm_error *err) {
  const quantized_matrix *m = job->matrix;
  job->tensor = (container_tensor){.name = m->name,
                                   .dtype = m->dtype,
                                   .n_dims = 2,
                                   .shape = {m->rows, m->columns},
                                   .n_elements = m->rows * m->columns,
                                   .storage = CONTAINER_CODED,
                                   .columns_record = m->columns_record,
                                   .quant = {.scheme = ELLM_SCHEME_SYMMETRIC, .scales = m->scales}};
  coder_geometry *g = &job->tensor.geometry;
  if (!coder_geometry_init(g, m->rows, m->columns))
    return ellm_fail(err, ELLM_ERR_INPUT, "tensor %s: %llu x %llu cannot be cut into blocks", m->name,
                     (unsigned long long)m->rows, (unsigned long long)m->columns);
  const uint64_t group_codes = (uint64_t)g->panels_per_block * g->panel_rows * g->columns;
  job->groups_per_unit = group_codes < UNIT_CODES ? UNIT_CODES / group_codes : 1;
  if (job->groups_per_unit > g->row_groups) job->groups_per_unit = g->row_groups;
  job->n_units = (g->row_groups + job->groups_per_unit - 1) / job->groups_per_unit;
  return allocate(job, err);
}

static ellm_status plan_or_write(quantized_job *job, coder_aim aim, double *bytes, ellm_error *err) {
  ELLM_TRY(prepare(job, err));
  ELLM_TRY(plan(job, aim, bytes, err));
  if (job->writer == NULL) return ELLM_OK;
  ELLM_TRY(container_writer_begin_coded(job->writer, &job->tensor, err));
  ELLM_TRY(run_pass(job, encode_unit, write_units, err));
  return container_writer_end(job->writer, err);
}

static ellm_status start(container_writer *writer, convert_workers *workers, const quantized_matrix *matrix,
                         coder_aim aim, container_tensor *tensor, double *bytes, ellm_error *err) {
  quantized_job *job = calloc(1, sizeof *job);
  if (job == NULL) return ellm_fail_memory(err, sizeof *job, "a matrix");
  job->workers = workers;
  job->matrix = matrix;
  job->writer = writer;
  const ellm_status status = plan_or_write(job, aim, bytes, err);
  if (tensor != NULL) *tensor = job->tensor;
  release(job);
  free(job);
  return status;
}

ellm_status quantized_plan(convert_workers *workers, const quantized_matrix *matrix, coder_aim aim,
                           container_tensor *tensor, double *bytes, ellm_error *err) {
  return start(NULL, workers, matrix, aim, tensor, bytes, err);
}

ellm_status quantized_write(container_writer *writer, convert_workers *workers, const quantized_matrix *matrix,
                            coder_aim aim, container_tensor *tensor, ellm_error *err) {
  return start(writer, workers, matrix, aim, tensor, NULL, err);
}
