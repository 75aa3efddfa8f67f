/* SPDX-License-Identifier: Apache-2.0 */
/* See lossless.h. */
#include "convert/lossless.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "container/hash.h"
#include "container/record.h"
#include "kernels/exact.h"
#include "kernels/kernels.h"

enum {
  STRIPS_PER_THREAD = 4, /* of a batch */
  /* Codes of a block whose rests have 3 bytes: with them and the longest words it is within CODER_MAX_BLOCK_BYTES. */
  WIDE_BLOCK_CODES = CODER_MAX_CODES / 2,
  RANGE_STEP = 256,
  FIXED_BYTES = 192      /* of a coded tensor at least: its record and padding */
};
static const double scan_end = 0.3; /* share of the progress */

typedef struct lossless_output { /* a coded strip on its way to the file */
  ellm_buffer data;
  uint32_t *sizes, *checksums; /* [max_blocks] */
  size_t n_blocks;
} lossless_output;

typedef struct lossless_job {
  matrix_writer *shared;
  const source_tensor *source;
  container_tensor tensor;
  strip_plan plan;
  uint64_t done, first_strip;
  lossless_output *outputs;    /* [n_outputs] */
  uint8_t **elements;          /* [n_threads]: a block, decoded */
  size_t n_outputs;
} lossless_job;

/* -------------------------------------------------------------------- plan */

/* Blocks as ever, but half as large where elements have 32 bits. */
static bool cut(const source_tensor *source, coder_geometry *geometry) {
  if (!coder_geometry_init(geometry, source->shape[0], source->shape[1])) return false;
  if (source->dtype != ELLM_F32) return true;
  const coder_block block = coder_geometry_block(geometry, 0);
  if (coder_block_codes(&block) <= WIDE_BLOCK_CODES) return true;
  uint32_t panels = geometry->panels_per_block / 2, columns = geometry->block_columns;
  if (panels == 0) {
    panels = 1;
    columns = WIDE_BLOCK_CODES / geometry->panel_rows / RANGE_STEP * RANGE_STEP;
  }
  return coder_geometry_from(geometry, source->shape[0], source->shape[1], panels, columns);
}

/* Bytes of the rests of all blocks. */
static double rests_bytes(const container_tensor *tensor) {
  double codes = 0;
  for (uint64_t i = 0; i < tensor->geometry.n_blocks; i++) {
    const coder_block block = coder_geometry_block(&tensor->geometry, i);
    codes += (double)coder_block_codes(&block);
  }
  return codes * tensor->exact.planes;
}

/* Is every block that the book may give within the limits, and do all fit a tensor? */
static bool within_limits(const container_tensor *tensor, double bytes) {
  const coder_codebook *book = &tensor->book;
  const coder_block block = coder_geometry_block(&tensor->geometry, 0);
  size_t longest = 8; /* bits of a code */
  if (book->kind == CODER_HUFFMAN) {
    bool escape = false;
    for (unsigned i = 0; i < book->n_leaves; i++) escape = escape || book->symbol[i] == CODER_ESCAPE;
    longest = (size_t)book->depth + (escape ? 8 : 0) + book->raw_bits;
  }
  const size_t most = coder_block_codes(&block) * (8 * tensor->exact.planes + longest) / 8;
  /* bitmaps are rounded to bytes, lists of raw bits to 64 */
  return most + book->n_nodes + 3 * 64 <= CODER_MAX_BLOCK_BYTES && bytes < (double)UINT32_MAX;
}

/* How the matrix is stored; *smaller is false where that gains nothing. */
static ellm_status plan(lossless_job *job, uint8_t digest[16], bool *smaller, ellm_error *err) {
  matrix_writer *shared = job->shared;
  const source_tensor *source = job->source;
  container_tensor *tensor = &job->tensor;
  const pass_progress progress = {.meter = shared->meter,
                                  .stage = "analyse",
                                  .tensor = source->name,
                                  .base = job->done,
                                  .from = 0,
                                  .to = scan_end,
                                  .bytes = source->bytes};
  coder_statistics stats = {0};
  uint32_t rests;
  double bytes;
  ELLM_TRY(pass_scan_exact(shared->input, source, shared->workers, &progress, digest, stats.codes, &rests, err));
  *smaller = false;
  if (!cut(source, &tensor->geometry)) return ELLM_OK;
  exact_form *form = &tensor->exact;
  form->used = true;
  form->planes = (unsigned)ellm_dtype_size(source->dtype) - 1;
  while (form->planes > 0 && (rests >> 8 * form->omitted & 0xff) == 0) {
    form->omitted++;
    form->planes--;
  }
  tensor->quant.bits = 8;
  tensor->entropy_bits = coder_entropy_bits(stats.codes, 256);
  tensor->huffman_bits = coder_huffman_bits(stats.codes, 256);
  coder_choice choice;
  const coder_codes codes = {&stats, &tensor->geometry, 8, 0, coder_pad(stats.codes)};
  ELLM_TRY(coder_choose(&codes, (coder_aim){.prefer = ELLM_PREFER_SIZE}, &choice, err));
  tensor->book = choice.book;
  bytes = choice.bytes;
  bytes += rests_bytes(tensor);
  *smaller = bytes + FIXED_BYTES < (double)source->bytes && within_limits(tensor, bytes);
  return ELLM_OK;
}

/* ------------------------------------------------------------------- coding */

static ellm_status changed(const lossless_job *job, uint64_t index, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: block %llu was changed while it was read",
                   source_origin(job->shared->input, job->source), job->tensor.name, (unsigned long long)index);
}

/* Does the block at `data` give back its elements? */
static bool gives_back(const lossless_job *job, convert_worker *worker, uint8_t *elements, const coder_block *block,
                       const uint8_t *data, size_t bytes, const uint8_t *source, size_t stride) {
  const container_tensor *t = &job->tensor;
  const size_t rests = t->exact.planes * coder_block_codes(block), row = block->columns * ellm_dtype_size(t->dtype);
  if (!kernels_best()->decode_block(&t->book, block, data + rests, bytes - rests, worker->scratch, worker->tiles))
    return false;
  exact_join_block(block, t->dtype, &t->exact, worker->tiles, data, elements, row);
  for (uint32_t r = 0; r < block->rows; r++)
    if (memcmp(elements + r * row, source + r * stride, row) != 0) return false;
  return true;
}

static ellm_status code_block(const lossless_job *job, int thread, const strip *s, uint64_t index,
                              lossless_output *out) {
  const container_tensor *t = &job->tensor;
  convert_worker *worker = &job->shared->workers->each[thread];
  const coder_block block = coder_geometry_block(&t->geometry, index);
  const size_t size = ellm_dtype_size(t->dtype), stride = (size_t)s->columns * size;
  const uint8_t *source =
      worker->raw + (block.first_row - s->first_row) * stride + (block.first_column - s->first_column) * size;
  const size_t rests = t->exact.planes * coder_block_codes(&block), at = out->data.size;
  if (!ellm_buffer_reserve(&out->data, rests + CODER_MAX_BLOCK_BYTES + CODER_SLACK))
    return ellm_fail_memory(&worker->error, rests + CODER_MAX_BLOCK_BYTES, "coded blocks");
  uint8_t *data = out->data.data + at;
  exact_split_block(&block, t->dtype, &t->exact, source, stride, t->book.pad, worker->tiles, data);
  const size_t coded = coder_encode_block(worker->encoder, &t->book, &block, worker->tiles, data + rests);
  if (coded == CODER_NOT_CODABLE || coded > CODER_MAX_BLOCK_BYTES - rests) return changed(job, index, &worker->error);
  if (!gives_back(job, worker, job->elements[thread], &block, data, rests + coded, source, stride))
    return changed(job, index, &worker->error);
  out->data.size += rests + coded;
  out->sizes[out->n_blocks] = (uint32_t)(rests + coded);
  out->checksums[out->n_blocks++] = container_block_checksum(data, rests + coded);
  return ELLM_OK;
}

static void code_strip(void *user, size_t item, int thread) {
  lossless_job *job = user;
  convert_worker *worker = &job->shared->workers->each[thread];
  if (worker->status != ELLM_OK) return;
  const uint64_t index = job->first_strip + item;
  const strip s = strip_plan_at(&job->plan, index);
  lossless_output *out = &job->outputs[item];
  out->data.size = 0;
  out->n_blocks = 0;
  ellm_status status = strip_read(job->shared->input, job->source, &s, worker->raw, &worker->error);
  for (uint64_t b = 0; b < s.n_blocks && status == ELLM_OK; b++)
    status = code_block(job, thread, &s, s.first_block + b, out);
  if (status != ELLM_OK) worker_fail(worker, index, status);
}

static ellm_status write_strips(const lossless_job *job, size_t n, ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    const lossless_output *out = &job->outputs[i];
    const uint8_t *data = out->data.data;
    for (size_t b = 0; b < out->n_blocks; data += out->sizes[b++])
      ELLM_TRY(container_writer_block(job->shared->writer, data, out->sizes[b], out->checksums[b], err));
  }
  return ELLM_OK;
}

static ellm_status code_all(lossless_job *job, ellm_error *err) {
  matrix_writer *shared = job->shared;
  const pass_progress progress = {.meter = shared->meter,
                                  .stage = "encode",
                                  .tensor = job->source->name,
                                  .base = job->done,
                                  .from = scan_end,
                                  .to = 1,
                                  .bytes = job->source->bytes};
  ELLM_TRY(container_writer_begin_coded(shared->writer, &job->tensor, err));
  while (job->first_strip < job->plan.n_strips) {
    const uint64_t left = job->plan.n_strips - job->first_strip;
    const size_t n = left < job->n_outputs ? (size_t)left : job->n_outputs;
    pool_for(shared->workers->pool, n, code_strip, job);
    ELLM_TRY(workers_collect(shared->workers, err));
    ELLM_TRY(write_strips(job, n, err));
    job->first_strip += n;
    ELLM_TRY(pass_report(&progress, (double)job->first_strip / (double)job->plan.n_strips, err));
  }
  return container_writer_end(shared->writer, err);
}

static ellm_status allocate(lossless_job *job, ellm_error *err) {
  const convert_workers *workers = job->shared->workers;
  job->n_outputs = (size_t)workers->n_threads * STRIPS_PER_THREAD;
  strip_plan_init(&job->plan, &job->tensor.geometry, workers->strip_codes, job->n_outputs);
  job->outputs = calloc(job->n_outputs, sizeof *job->outputs);
  job->elements = calloc((size_t)workers->n_threads, sizeof *job->elements);
  bool good = job->outputs != NULL && job->elements != NULL;
  for (int i = 0; good && i < workers->n_threads; i++)
    good = (job->elements[i] = malloc(CODER_MAX_BLOCK_BYTES)) != NULL;
  for (size_t i = 0; good && i < job->n_outputs; i++) {
    job->outputs[i].sizes = malloc(job->plan.max_blocks * sizeof(uint32_t));
    job->outputs[i].checksums = malloc(job->plan.max_blocks * sizeof(uint32_t));
    good = job->outputs[i].sizes != NULL && job->outputs[i].checksums != NULL;
  }
  return good ? ELLM_OK : ellm_fail_memory(err, job->n_outputs * job->plan.max_blocks * 8, "coded blocks");
}

static void release(lossless_job *job) {
  for (int i = 0; job->elements != NULL && i < job->shared->workers->n_threads; i++) free(job->elements[i]);
  for (size_t i = 0; job->outputs != NULL && i < job->n_outputs; i++) {
    ellm_buffer_free(&job->outputs[i].data);
    free(job->outputs[i].sizes);
    free(job->outputs[i].checksums);
  }
  free(job->elements);
  free(job->outputs);
}

ellm_status lossless_matrix(matrix_writer *shared, const source_tensor *source, uint64_t done, uint8_t digest[16],
                            container_tensor *tensor, ellm_error *err) {
  lossless_job *job = calloc(1, sizeof *job);
  if (job == NULL) return ellm_fail_memory(err, sizeof *job, "a matrix");
  *job = (lossless_job){.shared = shared, .source = source, .done = done};
  compress_take_shape(&job->tensor, source);
  job->tensor.storage = CONTAINER_CODED;
  bool smaller = false;
  ellm_status status = plan(job, digest, &smaller, err);
  if (status == ELLM_OK && smaller) {
    status = allocate(job, err);
    if (status == ELLM_OK) status = code_all(job, err);
    release(job);
  }
  *tensor = job->tensor;
  if (!smaller) tensor->storage = CONTAINER_KEPT;
  free(job);
  return status;
}
