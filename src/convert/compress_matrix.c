/* SPDX-License-Identifier: Apache-2.0 */
/* See compress_matrix.h. */
#include "convert/compress_matrix.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/scratch_file.h"
#include "coder/raw_bits.h"
#include "container/hash.h"
#include "kernels/kernels.h"

enum { STRIPS_PER_THREAD = 4 }; /* of a batch */

/* Shares of a matrix's progress: where each pass ends. */
static const double scan_end = 0.2, count_end = 0.35, gather_end = 0.5, measure_end = 0.75;

struct strip_output {
  ellm_buffer data;
  uint32_t *sizes, *checksums; /* one a block */
  size_t n_blocks, capacity;
};

typedef struct matrix_job {
  matrix_writer *shared;
  strip_quantizer quantizer;
  container_tensor tensor;
  coder_statistics statistics;
  coder_alternatives alternatives; /* of tensor.book */
  strip_plan plan;
  uint64_t done;               /* source bytes of the tensors before */
  uint64_t first_strip;        /* of the batch */
  uint8_t pad;
  bool stored;                 /* all codes are in the scratch file */
  coder_codebook plain;        /* how they are there, */
  size_t stride;               /* bytes from block to block, */
  size_t at_once;              /* and the blocks of one reading or writing */
} matrix_job;

/* ------------------------------------------------------------------- passes */

typedef ellm_status (*strip_fn)(matrix_job *m, convert_worker *worker, const strip *s, size_t item);

typedef struct strip_pass { matrix_job *m; strip_fn fn; } strip_pass;

static void run_strip(void *user, size_t item, int thread) {
  const strip_pass *pass = user;
  matrix_job *m = pass->m;
  convert_worker *worker = &m->shared->workers->each[thread];
  if (worker->status != ELLM_OK) return;
  strip s = strip_plan_at(&m->plan, m->first_strip + item);
  ellm_status status = m->stored ? ELLM_OK
                                 : strip_quantize(&m->quantizer, &s, worker->raw, worker->codes, &worker->error);
  if (status == ELLM_OK) status = pass->fn(m, worker, &s, item);
  if (status != ELLM_OK) worker_fail(worker, m->first_strip + item, status);
}

/* All strips, batch by batch; `after` (may be NULL) runs on this thread after each batch. */
static ellm_status run_pass(matrix_job *m, strip_fn fn, ellm_status (*after)(matrix_job *, size_t, ellm_error *),
                            double from, double to, const char *stage, ellm_error *err) {
  matrix_writer *shared = m->shared;
  strip_pass pass = {m, fn};
  const pass_progress progress = {.meter = shared->meter,
                                  .stage = stage,
                                  .tensor = m->tensor.name,
                                  .base = m->done,
                                  .from = from,
                                  .to = to,
                                  .bytes = m->quantizer.tensor->bytes};
  for (m->first_strip = 0; m->first_strip < m->plan.n_strips;) {
    uint64_t n = m->plan.n_strips - m->first_strip;
    if (n > shared->n_outputs) n = shared->n_outputs;
    pool_for(shared->workers->pool, (size_t)n, run_strip, &pass);
    ELLM_TRY(workers_collect(shared->workers, err));
    if (after != NULL) ELLM_TRY(after(m, (size_t)n, err));
    m->first_strip += n;
    ELLM_TRY(pass_report(&progress, (double)m->first_strip / (double)m->plan.n_strips, err));
  }
  return ELLM_OK;
}

/* The codes of block b of the strip, in tile order. */
static coder_block tile_block(const matrix_job *m, const strip *s, uint64_t b, convert_worker *worker) {
  coder_block block = coder_geometry_block(&m->tensor.geometry, s->first_block + b);
  size_t at = (size_t)((block.first_row - s->first_row) * s->columns + (block.first_column - s->first_column));
  coder_tile_block(&block, worker->codes + at, (size_t)s->columns, m->pad, worker->tiles);
  return block;
}

/* ------------------------------------------------- counting, the choice of a book */

static ellm_status count_codes(matrix_job *m, convert_worker *worker, const strip *s, size_t item) {
  (void)m;
  (void)item;
  coder_count_codes(worker->codes, (size_t)(s->rows * s->columns), worker->statistics.codes);
  return ELLM_OK;
}

/* n plain blocks from worker->raw. */
static ellm_status store_codes(matrix_job *m, convert_worker *worker, uint64_t first_block, size_t n) {
  ellm_error why;
  ellm_status status = scratch_file_write(&m->shared->codes, first_block * m->stride, worker->raw, n * m->stride, &why);
  if (status == ELLM_OK) return ELLM_OK;
  return ellm_fail(&worker->error, status, "tensor %s: its codes need %llu bytes until they are coded: %s",
                   m->tensor.name, (unsigned long long)(m->tensor.geometry.n_blocks * m->stride), why.message);
}

/* Pairs into the statistics, codes into the scratch file. */
static ellm_status gather_strip(matrix_job *m, convert_worker *worker, const strip *s, size_t item) {
  (void)item;
  const bool store = !m->shared->options->dry_run;
  for (uint64_t first = 0; first < s->n_blocks; first += m->at_once) {
    size_t n = s->n_blocks - first < m->at_once ? (size_t)(s->n_blocks - first) : m->at_once;
    uint8_t *out = worker->raw; /* the strip's elements are codes by now */
    for (size_t i = 0; i < n; i++, out += m->stride) {
      coder_block block = tile_block(m, s, first + i, worker);
      coder_statistics_add_pairs(&worker->statistics, &block, m->tensor.quant.bits, worker->tiles);
      if (store) coder_encode_block(worker->encoder, &m->plain, &block, worker->tiles, out);
    }
    if (store) ELLM_TRY(store_codes(m, worker, s->first_block + first, n));
  }
  return ELLM_OK;
}

static ellm_status run_count(matrix_job *m, strip_fn fn, double from, double to, ellm_error *err) {
  convert_workers *workers = m->shared->workers;
  for (int i = 0; i < workers->n_threads; i++)
    memset(&workers->each[i].statistics, 0, sizeof workers->each[i].statistics);
  ELLM_TRY(run_pass(m, fn, NULL, from, to, "analyse", err));
  for (int i = 0; i < workers->n_threads; i++) coder_statistics_merge(&m->statistics, &workers->each[i].statistics);
  return ELLM_OK;
}

/* Counts of all codes; the code that pads, which must be known before there are tiles; pairs where they can matter. */
static ellm_status analyse(matrix_job *m, double *progress, ellm_error *err) {
  const coder_geometry *geometry = &m->tensor.geometry;
  *progress = scan_end;
  if (m->quantizer.table != NULL) {
    for (size_t i = 0; i < QUANT_PATTERNS; i++) m->statistics.codes[m->quantizer.table[i]] += m->shared->patterns[i];
  } else {
    ELLM_TRY(run_count(m, count_codes, scan_end, count_end, err));
    *progress = count_end;
  }
  m->pad = coder_pad(m->statistics.codes);
  if (m->shared->options->code == ELLM_CODE_NONE || geometry->panel_rows != CODER_PANEL_ROWS) return ELLM_OK;

  if (!coder_codebook_plain(m->tensor.quant.bits, m->pad, geometry->panel_rows, &m->plain))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "no plain code of %d bits", m->tensor.quant.bits);
  const coder_block largest = coder_geometry_block(geometry, 0);
  m->stride = coder_plain_bytes(m->plain.bits, coder_block_codes(&largest));
  /* the last may want as much room */
  m->at_once = (m->shared->workers->raw_bytes - CODER_MAX_BLOCK_BYTES) / m->stride + 1;
  ELLM_TRY(run_count(m, gather_strip, *progress, gather_end, err));
  m->stored = !m->shared->options->dry_run;
  *progress = gather_end;
  return ELLM_OK;
}

/* ----------------------------------------------------------------- encoding */

/* worker->tiles into worker->block. A book has all codes that the first pass counted. */
static ellm_status encode_tiles(matrix_job *m, convert_worker *worker, const coder_codebook *book,
                                const coder_block *block, uint64_t index, size_t *bytes) {
  *bytes = coder_encode_block(worker->encoder, book, block, worker->tiles, worker->block);
  if (*bytes != CODER_NOT_CODABLE) return ELLM_OK;
  return ellm_fail(&worker->error, ELLM_ERR_INPUT, "%s: tensor %s: block %llu was changed while it was read",
                   source_origin(m->shared->input, m->quantizer.tensor), m->tensor.name,
                   (unsigned long long)index);
}

static ellm_status encode_block(matrix_job *m, convert_worker *worker, const coder_block *block, uint64_t index,
                                strip_output *out) {
  size_t bytes, patch_bytes = 0;
  const size_t at = out->data.size;
  if (m->tensor.quant.scales.outliers > 0) {
    const size_t n = coder_clip(&m->tensor.book, worker->tiles, coder_block_codes(block), worker->patches);
    patch_bytes = coder_patches_bytes(worker->patches, n);
    if (!ellm_buffer_reserve(&out->data, patch_bytes)) return ellm_fail_memory(&worker->error, patch_bytes, "patches");
    coder_patches_store(worker->patches, n, out->data.data + at);
    out->data.size += patch_bytes;
  }
  ELLM_TRY(encode_tiles(m, worker, &m->tensor.book, block, index, &bytes));
  if (!ellm_buffer_append(&out->data, worker->block, bytes))
    return ellm_fail_memory(&worker->error, bytes, "coded blocks");
  out->sizes[out->n_blocks] = (uint32_t)(patch_bytes + bytes);
  out->checksums[out->n_blocks++] = container_block_checksum(out->data.data + at, patch_bytes + bytes);
  return ELLM_OK;
}

/* A block of the scratch file, already in worker->raw, into worker->tiles. */
static ellm_status take_block(matrix_job *m, convert_worker *worker, const uint8_t *data, coder_block *block,
                              uint64_t index) {
  *block = coder_geometry_block(&m->tensor.geometry, index);
  size_t bytes = coder_plain_bytes(m->plain.bits, coder_block_codes(block));
  if (kernels_best()->decode_block(&m->plain, block, data, bytes, worker->scratch, worker->tiles)) return ELLM_OK;
  return ellm_fail(&worker->error, ELLM_ERR_IO, "tensor %s: block %llu: the scratch file gives back other codes",
                   m->tensor.name, (unsigned long long)index);
}

/* Block b of the strip into worker->tiles, from the scratch file or from the strip's codes. */
static ellm_status load_block(matrix_job *m, convert_worker *worker, const strip *s, uint64_t b, coder_block *block) {
  if (!m->stored) {
    *block = tile_block(m, s, b, worker);
    return ELLM_OK;
  }
  const uint64_t index = s->first_block + b;
  const size_t left = (size_t)(s->n_blocks - b), n = left < m->at_once ? left : m->at_once;
  if (b % m->at_once == 0)
    ELLM_TRY(scratch_file_read(&m->shared->codes, index * m->stride, worker->raw, n * m->stride, &worker->error));
  return take_block(m, worker, worker->raw + b % m->at_once * m->stride, block, index);
}

static ellm_status encode_strip(matrix_job *m, convert_worker *worker, const strip *s, size_t item) {
  strip_output *out = &m->shared->outputs[item];
  out->data.size = 0;
  out->n_blocks = 0;
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    coder_block block;
    ELLM_TRY(load_block(m, worker, s, b, &block));
    ELLM_TRY(encode_block(m, worker, &block, s->first_block + b, out));
  }
  return ELLM_OK;
}

static const coder_codebook *candidate(const matrix_job *m, unsigned k) {
  return k == 0 ? &m->tensor.book : &m->alternatives.book[k - 1];
}

/* The size with the book and with each of its alternatives. */
static ellm_status measure_strip(matrix_job *m, convert_worker *worker, const strip *s, size_t item) {
  (void)item;
  for (uint64_t b = 0; b < s->n_blocks; b++) {
    coder_block block;
    ELLM_TRY(load_block(m, worker, s, b, &block));
    for (unsigned k = 0; k <= m->alternatives.n; k++) {
      size_t bytes;
      ELLM_TRY(encode_tiles(m, worker, candidate(m, k), &block, s->first_block + b, &bytes));
      worker->bytes[k] += bytes;
    }
  }
  return ELLM_OK;
}

/* Take the alternative that makes the matrix smallest, if it does. */
static ellm_status choose_alternative(matrix_job *m, double from, double to, ellm_error *err) {
  convert_workers *workers = m->shared->workers;
  uint64_t least = UINT64_MAX;
  unsigned best = 0;
  for (int i = 0; i < workers->n_threads; i++) memset(workers->each[i].bytes, 0, sizeof workers->each[i].bytes);
  ELLM_TRY(run_pass(m, measure_strip, NULL, from, to, "analyse", err));
  for (unsigned k = 0; k <= m->alternatives.n; k++) {
    uint8_t stored[CODER_BOOK_MAX_BYTES];
    uint64_t bytes = coder_codebook_store(candidate(m, k), stored);
    for (int i = 0; i < workers->n_threads; i++) bytes += workers->each[i].bytes[k];
    if (bytes >= least) continue;
    least = bytes;
    best = k;
  }
  if (best > 0) m->tensor.book = *candidate(m, best);
  return ELLM_OK;
}

static ellm_status write_strips(matrix_job *m, size_t n, ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    const strip_output *out = &m->shared->outputs[i];
    const uint8_t *data = out->data.data;
    for (size_t b = 0; b < out->n_blocks; b++) {
      ELLM_TRY(container_writer_block(m->shared->writer, data, out->sizes[b], out->checksums[b], err));
      data += out->sizes[b];
    }
  }
  return ELLM_OK;
}

static ellm_status reserve_outputs(matrix_writer *shared, size_t blocks, ellm_error *err) {
  for (size_t i = 0; i < shared->n_outputs; i++) {
    strip_output *out = &shared->outputs[i];
    if (out->capacity >= blocks) continue;
    free(out->sizes);
    free(out->checksums);
    out->sizes = malloc(blocks * sizeof *out->sizes);
    out->checksums = malloc(blocks * sizeof *out->checksums);
    out->capacity = out->sizes != NULL && out->checksums != NULL ? blocks : 0;
    if (out->capacity == 0) return ellm_fail_memory(err, blocks * 8, "block tables");
  }
  return ELLM_OK;
}

/* ---------------------------------------------------------------- the whole */

/* The book, and what the directory says of the codes that its blocks hold. */
static ellm_status choose_book(matrix_job *m, ellm_error *err) {
  const ellm_compress_options *options = m->shared->options;
  container_tensor *tensor = &m->tensor;
  coder_choice choice;
  const coder_codes codes = {&m->statistics, &tensor->geometry, tensor->quant.bits, tensor->quant.scales.zero, m->pad};
  ELLM_TRY(coder_choose(&codes, (coder_aim){options->prefer, options->machine, options->code, 0}, &choice, err));
  tensor->book = choice.book;
  tensor->quant.scales.outliers = coder_clip_counts(&choice.book, m->statistics.codes);
  m->alternatives = choice.alternatives;
  tensor->entropy_bits = coder_entropy_bits(m->statistics.codes, 256);
  tensor->huffman_bits = coder_huffman_bits(m->statistics.codes, 256);
  return ELLM_OK;
}

static ellm_status code_matrix(matrix_job *m, ellm_error *err) {
  matrix_writer *shared = m->shared;
  container_tensor *tensor = &m->tensor;
  double progress;
  ELLM_TRY(analyse(m, &progress, err));
  ELLM_TRY(choose_book(m, err));
  if (m->alternatives.n > 0) {
    ELLM_TRY(choose_alternative(m, progress, measure_end, err));
    progress = measure_end;
  }
  ELLM_TRY(reserve_outputs(shared, m->plan.max_blocks, err));
  ELLM_TRY(container_writer_begin_coded(shared->writer, tensor, err));
  ELLM_TRY(run_pass(m, encode_strip, write_strips, progress, 1, "encode", err));
  return container_writer_end(shared->writer, err);
}

void compress_take_shape(container_tensor *tensor, const source_tensor *source) {
  *tensor = (container_tensor){
      .name = source->name, .dtype = source->dtype, .n_dims = source->n_dims, .n_elements = source->n_elements};
  memcpy(tensor->shape, source->shape, sizeof tensor->shape);
}

static ellm_status compress(matrix_job *m, const source_tensor *source, uint8_t digest[16], ellm_error *err) {
  matrix_writer *shared = m->shared;
  const pass_progress progress = {.meter = shared->meter,
                                  .stage = "analyse",
                                  .tensor = source->name,
                                  .base = m->done,
                                  .from = 0,
                                  .to = scan_end,
                                  .bytes = source->bytes};
  quant_range range;
  ELLM_TRY(pass_scan(shared->input, source, shared->workers, &progress, digest, &range, shared->patterns, err));
  m->tensor.quant = quant_choose(range.lo, range.hi, shared->options->bits, shared->options->scheme);
  if (!coder_geometry_init(&m->tensor.geometry, source->shape[0], source->shape[1]))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %llu x %llu cannot be cut into blocks",
                     source_path(shared->input), source->name, (unsigned long long)source->shape[0],
                     (unsigned long long)source->shape[1]);
  strip_plan_init(&m->plan, &m->tensor.geometry, shared->workers->strip_codes, shared->n_outputs);
  ELLM_TRY(strip_quantizer_init(&m->quantizer, shared->input, source, &m->tensor.quant, err));
  ellm_status status = code_matrix(m, err);
  strip_quantizer_free(&m->quantizer);
  return status;
}

ellm_status compress_matrix(matrix_writer *shared, const source_tensor *source, uint64_t done, uint8_t digest[16],
                            container_tensor *tensor, ellm_error *err) {
  matrix_job *m = calloc(1, sizeof *m);
  if (m == NULL) return ellm_fail_memory(err, sizeof *m, "statistics");
  m->shared = shared;
  m->done = done;
  compress_take_shape(&m->tensor, source);
  m->tensor.storage = CONTAINER_CODED;
  ellm_status status = compress(m, source, digest, err);
  *tensor = m->tensor;
  free(m);
  return status;
}

ellm_status matrix_writer_open(matrix_writer *shared, const char *out_path, ellm_error *err) {
  shared->n_outputs = (size_t)shared->workers->n_threads * STRIPS_PER_THREAD;
  shared->outputs = calloc(shared->n_outputs, sizeof *shared->outputs);
  shared->patterns = malloc(QUANT_PATTERNS * sizeof *shared->patterns);
  if (shared->outputs == NULL || shared->patterns == NULL)
    return ellm_fail_memory(err, QUANT_PATTERNS * sizeof *shared->patterns, "counts");
  return shared->options->dry_run ? ELLM_OK : scratch_file_open(out_path, &shared->codes, err);
}

void matrix_writer_close(matrix_writer *shared) {
  for (size_t i = 0; shared->outputs != NULL && i < shared->n_outputs; i++) {
    ellm_buffer_free(&shared->outputs[i].data);
    free(shared->outputs[i].sizes);
    free(shared->outputs[i].checksums);
  }
  free(shared->outputs);
  free(shared->patterns);
  scratch_file_close(&shared->codes);
  *shared = (matrix_writer){0};
}
