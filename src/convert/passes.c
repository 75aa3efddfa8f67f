/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes over the elements of a matrix, on all threads. A pass works in chunks of HASH_CHUNK bytes. Each chunk is read,
 * its checksum kept, and range or counts of bit patterns are gathered in the thread's own memory and merged at the end.
 * Sums of integers and extremes do not depend on the order, so neither do results; the digest of a tensor is that of
 * its chunks' checksums in order. passes.h says which passes there are.
 */
#include "convert/passes.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/hash.h"
#include "quant/exact.h"

enum { CHUNKS_PER_THREAD = 8 }; /* of a batch between two looks at the progress callback */

ellm_status pass_report(const pass_progress *progress, double share_done, ellm_error *err) {
  double share = progress->from + (progress->to - progress->from) * share_done;
  return progress_report(progress->meter, progress->stage, progress->tensor,
                         progress->base + (uint64_t)(share * (double)progress->bytes), err);
}

bool pass_takes_matrix(const source_tensor *tensor) {
  return tensor->n_dims == 2 && tensor->n_elements > 0 && tensor->dtype <= ELLM_BF16;
}

/* -------------------------------------------------------------------- scan */

typedef struct scan_job {
  const tensor_source *input;
  const source_tensor *tensor;
  convert_workers *workers;
  uint64_t first_chunk;
  uint8_t *sums;            /* 8 bytes a chunk */
  bool range, patterns, exact; /* what to look for */
} scan_job;

static uint64_t chunk_count(const source_tensor *tensor) {
  return tensor->bytes / HASH_CHUNK + (tensor->bytes % HASH_CHUNK != 0);
}

static size_t chunk_bytes(const source_tensor *tensor, uint64_t chunk) {
  uint64_t left = tensor->bytes - chunk * HASH_CHUNK;
  return left < HASH_CHUNK ? (size_t)left : HASH_CHUNK;
}

static ellm_status allocate_sums(const source_tensor *tensor, uint8_t **sums, ellm_error *err) {
  size_t bytes = (size_t)chunk_count(tensor) * 8;
  *sums = malloc(bytes + 8);
  return *sums != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "chunk checksums");
}

/* A chunk and its checksum. */
static ellm_status read_chunk(const tensor_source *input, const source_tensor *tensor, uint64_t chunk, uint8_t *data,
                              size_t *bytes, uint8_t *sums, ellm_error *err) {
  *bytes = chunk_bytes(tensor, chunk);
  ELLM_TRY(source_read(input, tensor, chunk * HASH_CHUNK, data, *bytes, err));
  store_u64(sums + 8 * chunk, hash64(data, *bytes));
  return ELLM_OK;
}

/* Keep the widest range and the first bad element. */
static void merge_range(quant_range *into, const quant_range *from) {
  if (from->lo < into->lo) into->lo = from->lo;
  if (from->hi > into->hi) into->hi = from->hi;
  if (from->bad && (!into->bad || from->bad_index < into->bad_index)) {
    into->bad = true;
    into->bad_index = from->bad_index;
    into->bad_value = from->bad_value;
  }
}

static ellm_status count_patterns(convert_worker *worker, size_t n) {
  const size_t bytes = QUANT_PATTERNS * sizeof *worker->patterns;
  if (worker->patterns == NULL) worker->patterns = malloc(bytes);
  if (worker->patterns == NULL) return ellm_fail_memory(&worker->error, bytes, "counts");
  if (!worker->has_patterns) memset(worker->patterns, 0, bytes);
  worker->has_patterns = true;
  quant_count_patterns(worker->raw, n, worker->patterns);
  return ELLM_OK;
}

static void count_exact(convert_worker *worker, size_t size, size_t n) {
  uint32_t rests = worker->rests;
  uint64_t *counts = worker->statistics.codes;
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = exact_load(size, worker->raw + i * size);
    counts[exact_code(size, bits)]++;
    rests |= exact_rest(size, bits);
  }
  worker->rests = rests;
}

static void scan_chunk(void *user, size_t item, int thread) {
  const scan_job *job = user;
  convert_worker *worker = &job->workers->each[thread];
  if (worker->status != ELLM_OK) return;
  uint64_t chunk = job->first_chunk + item;
  size_t bytes;
  ellm_status status = read_chunk(job->input, job->tensor, chunk, worker->raw, &bytes, job->sums, &worker->error);
  size_t size = ellm_dtype_size(job->tensor->dtype);
  if (status == ELLM_OK && job->patterns) status = count_patterns(worker, bytes / size);
  if (status != ELLM_OK) {
    worker_fail(worker, chunk, status);
    return;
  }
  if (job->exact) count_exact(worker, size, bytes / size);
  if (job->range) {
    quant_range range = QUANT_RANGE_EMPTY;
    quant_range_add(&range, job->tensor->dtype, worker->raw, bytes / size, chunk * HASH_CHUNK / size);
    merge_range(&worker->range, &range);
  }
}

/* All chunks, over the threads. */
static ellm_status scan(scan_job *job, const pass_progress *progress, uint8_t digest[16], ellm_error *err) {
  convert_workers *workers = job->workers;
  uint64_t n_chunks = chunk_count(job->tensor);
  ELLM_TRY(allocate_sums(job->tensor, &job->sums, err));
  ellm_status status = pass_report(progress, 0, err);
  for (job->first_chunk = 0; status == ELLM_OK && job->first_chunk < n_chunks;) {
    uint64_t n = (uint64_t)workers->n_threads * CHUNKS_PER_THREAD;
    if (n > n_chunks - job->first_chunk) n = n_chunks - job->first_chunk;
    pool_for(workers->pool, (size_t)n, scan_chunk, job);
    job->first_chunk += n;
    status = workers_collect(workers, err);
    if (status == ELLM_OK) status = pass_report(progress, (double)job->first_chunk / (double)n_chunks, err);
  }
  if (status == ELLM_OK) hash128(job->sums, (size_t)n_chunks * 8, digest);
  free(job->sums);
  return status;
}

static ellm_status scan_range(scan_job *job, const pass_progress *progress, uint8_t digest[16], quant_range *range,
                              ellm_error *err) {
  convert_workers *workers = job->workers;
  job->range = true;
  *range = QUANT_RANGE_EMPTY;
  for (int i = 0; i < workers->n_threads; i++) workers->each[i].range = QUANT_RANGE_EMPTY;
  ELLM_TRY(scan(job, progress, digest, err));
  for (int i = 0; i < workers->n_threads; i++) merge_range(range, &workers->each[i].range);
  if (!range->bad) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT,
                   "%s: tensor %s: element %llu is %g: weights must be finite and at most 1e30 in magnitude",
                   source_origin(job->input, job->tensor), job->tensor->name,
                   (unsigned long long)range->bad_index, range->bad_value);
}

static ellm_status scan_patterns(scan_job *job, const pass_progress *progress, uint8_t digest[16], quant_range *range,
                                 uint64_t *patterns, ellm_error *err) {
  convert_workers *workers = job->workers;
  job->patterns = true;
  for (int i = 0; i < workers->n_threads; i++) workers->each[i].has_patterns = false;
  ELLM_TRY(scan(job, progress, digest, err));
  memset(patterns, 0, QUANT_PATTERNS * sizeof *patterns);
  for (int i = 0; i < workers->n_threads; i++)
    for (size_t k = 0; workers->each[i].has_patterns && k < QUANT_PATTERNS; k++)
      patterns[k] += workers->each[i].patterns[k];
  *range = QUANT_RANGE_EMPTY;
  quant_range_from_patterns(patterns, job->tensor->dtype, range);
  return ELLM_OK;
}

ellm_status pass_scan(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                      const pass_progress *progress, uint8_t digest[16], quant_range *range, uint64_t *patterns,
                      ellm_error *err) {
  scan_job job = {.input = input, .tensor = tensor, .workers = workers};
  if (range == NULL) return scan(&job, progress, digest, err);
  if (patterns != NULL && tensor->dtype != ELLM_F32) {
    ELLM_TRY(scan_patterns(&job, progress, digest, range, patterns, err));
    if (!range->bad) return ELLM_OK;
    job.patterns = false; /* there is such a weight: look for its place */
    ELLM_TRY(scan_range(&job, progress, digest, range, err));
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s was changed while it was read",
                     source_origin(input, tensor), tensor->name);
  }
  return scan_range(&job, progress, digest, range, err);
}

ellm_status pass_scan_exact(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                            const pass_progress *progress, uint8_t digest[16], uint64_t counts[256], uint32_t *rests,
                            ellm_error *err) {
  scan_job job = {.input = input, .tensor = tensor, .workers = workers, .exact = true};
  for (int i = 0; i < workers->n_threads; i++) {
    memset(workers->each[i].statistics.codes, 0, sizeof workers->each[i].statistics.codes);
    workers->each[i].rests = 0;
  }
  ELLM_TRY(scan(&job, progress, digest, err));
  memset(counts, 0, 256 * sizeof *counts);
  *rests = 0;
  for (int i = 0; i < workers->n_threads; i++) {
    for (int q = 0; q < 256; q++) counts[q] += workers->each[i].statistics.codes[q];
    *rests |= workers->each[i].rests;
  }
  return ELLM_OK;
}

ellm_status pass_read(const tensor_source *input, const source_tensor *tensor, convert_workers *workers,
                      const pass_progress *progress, uint8_t digest[16], pass_piece_fn take, void *user,
                      ellm_error *err) {
  uint64_t n_chunks = chunk_count(tensor);
  uint8_t *piece = workers->each[0].raw, *sums;
  ELLM_TRY(allocate_sums(tensor, &sums, err));
  ellm_status status = ELLM_OK;
  for (uint64_t chunk = 0; status == ELLM_OK && chunk < n_chunks; chunk++) {
    size_t bytes;
    status = read_chunk(input, tensor, chunk, piece, &bytes, sums, err);
    if (status == ELLM_OK) status = take(user, piece, bytes, err);
    if (status == ELLM_OK) status = pass_report(progress, (double)(chunk + 1) / (double)n_chunks, err);
  }
  if (status == ELLM_OK) hash128(sums, (size_t)n_chunks * 8, digest);
  free(sums);
  return status;
}

/* ------------------------------------------------------------------- codes */

ellm_status strip_quantizer_init(strip_quantizer *q, const tensor_source *input, const source_tensor *tensor,
                                 const quant_params *params, ellm_error *err) {
  *q = (strip_quantizer){.input = input, .tensor = tensor, .params = *params};
  if (tensor->dtype == ELLM_F32) return ELLM_OK;
  q->table = malloc(QUANT_PATTERNS);
  if (q->table == NULL) return ellm_fail_memory(err, QUANT_PATTERNS, "a code table");
  quant_table(tensor->dtype, params, q->table);
  return ELLM_OK;
}

void strip_quantizer_free(strip_quantizer *q) {
  free(q->table);
  q->table = NULL;
}

ellm_status strip_read(const tensor_source *input, const source_tensor *tensor, const strip *s, uint8_t *raw,
                       ellm_error *err) {
  const uint64_t columns = tensor->shape[1], size = ellm_dtype_size(tensor->dtype);
  const bool whole = s->columns == columns; /* rows are one run of bytes */
  const size_t run = (size_t)((whole ? s->rows * s->columns : s->columns) * size);
  for (uint64_t r = 0; r < (whole ? 1 : s->rows); r++, raw += run)
    ELLM_TRY(source_read(input, tensor, ((s->first_row + r) * columns + s->first_column) * size, raw, run, err));
  return ELLM_OK;
}

ellm_status strip_quantize(const strip_quantizer *q, const strip *s, uint8_t *raw, uint8_t *codes, ellm_error *err) {
  const source_tensor *tensor = q->tensor;
  size_t size = ellm_dtype_size(tensor->dtype);
  uint64_t columns = tensor->shape[1];
  /* Whole rows are one run of bytes. */
  bool whole = s->columns == columns;
  size_t run = whole ? (size_t)(s->rows * s->columns) : (size_t)s->columns;
  for (uint64_t r = 0; r < (whole ? 1 : s->rows); r++) {
    uint64_t offset = ((s->first_row + r) * columns + s->first_column) * size;
    ELLM_TRY(source_read(q->input, tensor, offset, raw, run * size, err));
    if (q->table == NULL) {
      quant_encode_f32(raw, run, &q->params, codes);
    } else {
      const uint8_t *table = q->table;
      for (size_t i = 0; i < run; i++) codes[i] = table[load_u16(raw + 2 * i)];
    }
    codes += run;
  }
  return ELLM_OK;
}
