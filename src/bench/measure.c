/* SPDX-License-Identifier: Apache-2.0 */
/* The measurements of entrollm.h: kernels on a matrix, decoding of a whole file, a model's time in products. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/sized.h"
#include "bench/matrix.h"
#include "bench/speed.h"
#include "container/reader.h"
#include "model/model.h"

static const double decode_seconds = 0.4; /* of one repetition */

/* ------------------------------------------------------------------ kernels */

void ellm_bench_job_init_sized(ellm_bench_job *given, size_t size) {
  const ellm_bench_job own = {.size = size, .op = ELLM_BENCH_READ, .digits = 2, .tokens = 128, .repeats = 5};
  ellm_sized_init(given, &own, sizeof own);
}

ellm_status ellm_bench_kernel(const ellm_bench_matrix *matrix, const ellm_bench_job *given, ellm_bench_speed *speed,
                              ellm_error *err) {
  ELLM_SIZED(ellm_bench_job, job, given, err);
  const kernel_table *table = job.isa != NULL ? kernels_find(job.isa) : kernels_best();
  if (table == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "this machine has no instruction set '%s'", job.isa);
  if ((unsigned)job.op > ELLM_BENCH_MULTIPLY) return ellm_fail(err, ELLM_ERR_USAGE, "unknown measurement");
  if (job.digits < 1 || job.digits > 2) return ellm_fail(err, ELLM_ERR_USAGE, "%d digits", job.digits);
  const bench_job run = {.coded = &matrix->coded,
                         .table = table,
                         .op = job.op,
                         .digits = (unsigned)job.digits,
                         .tokens = job.op == ELLM_BENCH_MULTIPLY ? job.tokens : 1,
                         .cached = job.cached,
                         .max_blocks = job.max_blocks,
                         .repeats = job.repeats};
  thread_pool *pool = NULL;
  *speed = (ellm_bench_speed){0};
  ELLM_TRY(thread_pool_create(job.threads, &pool, err));
  const ellm_status status = speed_measure(&run, pool, speed, err);
  thread_pool_free(pool);
  return status;
}

/* ----------------------------------------------------------------- decoding */

/* Every block of every coded tensor, and the memory of each thread. */
typedef struct decoding {
  const ellm_file *file;
  const container_tensor **tensors; /* [n_blocks] */
  uint64_t *blocks;                 /* [n_blocks] */
  size_t n_blocks;
  uint64_t weights;
  int threads;
  uint8_t **codes;        /* [threads] */
  coder_scratch *scratch; /* [threads] */
  atomic_bool failed;
} decoding;

static void decode_one(void *user, size_t item, int thread) {
  decoding *d = user;
  const size_t k = item % d->n_blocks;
  if (container_decode_block(d->file, d->tensors[k], d->blocks[k], kernels_best()->decode_block, &d->scratch[thread],
                             d->codes[thread], NULL, NULL) != ELLM_OK)
    atomic_store(&d->failed, true);
}

static void release(decoding *d) {
  for (int i = 0; d->codes != NULL && i < d->threads; i++) ellm_aligned_free(d->codes[i]);
  free(d->codes);
  free(d->tensors);
  free(d->blocks);
  ellm_aligned_free(d->scratch);
}

static ellm_status prepare(decoding *d, ellm_error *err) {
  const size_t n = ellm_file_tensor_count(d->file), threads = (size_t)d->threads;
  ELLM_TRY(container_need_whole(d->file, err));
  for (size_t i = 0; i < n; i++) {
    const container_tensor *t = container_tensor_at(d->file, i);
    if (t->storage == CONTAINER_CODED) d->n_blocks += (size_t)t->geometry.n_blocks;
  }
  if (d->n_blocks == 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: there are no coded weights", container_path(d->file));
  d->tensors = calloc(d->n_blocks, sizeof *d->tensors);
  d->blocks = calloc(d->n_blocks, sizeof *d->blocks);
  d->codes = calloc(threads, sizeof *d->codes);
  d->scratch = ellm_aligned_calloc(threads, sizeof *d->scratch);
  bool memory = d->tensors && d->blocks && d->codes && d->scratch;
  for (size_t i = 0; memory && i < threads; i++)
    memory = (d->codes[i] = ellm_aligned_calloc(1, CODER_MAX_CODES + CODER_SLACK)) != NULL;
  if (!memory)
    return ellm_fail_memory(err, d->n_blocks * (sizeof *d->tensors + sizeof *d->blocks), "the list of blocks");
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    const container_tensor *t = container_tensor_at(d->file, i);
    if (t->storage != CONTAINER_CODED) continue;
    d->weights += t->n_elements;
    for (uint64_t k = 0; k < t->geometry.n_blocks; k++, at++) {
      d->tensors[at] = t;
      d->blocks[at] = k;
    }
  }
  return ELLM_OK;
}

static ellm_status time_decoding(decoding *d, thread_pool *pool, int repeats, ellm_progress_fn progress, void *user,
                                 ellm_bench_speed *speed, ellm_error *err) {
  double rates[ELLM_BENCH_REPEATS];
  double start = clock_seconds();
  pool_for(pool, d->n_blocks, decode_one, d); /* checks every checksum, once */
  const double once = clock_seconds() - start;
  const size_t passes =
      once > 0 && decode_seconds / once < 1e6 ? (size_t)(decode_seconds / once) + 1 : 1;
  for (int i = 0; i < repeats; i++) {
    const ellm_progress step = {"decode", "", (uint64_t)i, (uint64_t)repeats, ELLM_UNIT_ITEMS};
    if (progress != NULL && !progress(user, &step)) return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
    start = clock_seconds();
    pool_for(pool, d->n_blocks * passes, decode_one, d);
    rates[i] = (double)d->weights * (double)passes / (clock_seconds() - start) / 1e9;
  }
  if (atomic_load(&d->failed))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a block is damaged", container_path(d->file));
  *speed = bench_speed_of(rates, repeats);
  return ELLM_OK;
}

ellm_status ellm_bench_decode(const ellm_file *file, int threads, int repeats, ellm_progress_fn progress,
                              void *progress_user, ellm_bench_speed *speed, uint64_t *weights, ellm_error *err) {
  thread_pool *pool = NULL;
  if (repeats < 1 || repeats > ELLM_BENCH_REPEATS) return ellm_fail(err, ELLM_ERR_USAGE, "%d repeats", repeats);
  ELLM_TRY(thread_pool_create(threads, &pool, err));
  decoding d = {.file = file, .threads = thread_pool_size(pool)};
  ellm_status status = prepare(&d, err);
  if (status == ELLM_OK) status = time_decoding(&d, pool, repeats, progress, progress_user, speed, err);
  if (weights != NULL) *weights = d.weights;
  thread_pool_free(pool);
  release(&d);
  return status;
}

double ellm_bench_product_seconds(const ellm_model *model) { return compute_product_seconds(model->compute); }
