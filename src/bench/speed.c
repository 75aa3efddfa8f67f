/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring kernels on a matrix in memory. Only whole passes over a thread's blocks are timed. */
#include "bench/speed.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "coder/patches.h"
#include "kernels/patches.h"
#include "kernels/tables.h"

enum { CACHED_BLOCKS = 8, MOST_PASSES = 1000000 };
enum { READ_AHEAD = 2048 }; /* bytes */
static const double SHORTEST = 0.02; /* seconds a repetition */

typedef struct worker {
  kernel_scratch *scratch;
  int32_t *sums;
  float *y;           /* rows of a block, of each token */
  size_t y_stride;
} worker;

typedef struct speed_run {
  const bench_job *job;
  kernel_activations x;
  worker *workers;
  int passes;
  _Atomic uint64_t weights, check;
  atomic_bool damaged;
} speed_run;

static uint64_t word_at(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* Eight sums, so that adding takes less time than any memory. */
static uint64_t sum_words(const uint8_t *data, size_t bytes) {
  uint64_t sum[8] = {0};
  for (size_t i = 0; i + sizeof sum <= bytes; i += sizeof sum) {
    __builtin_prefetch(data + i + READ_AHEAD);
    KERNEL_UNROLL(8)
    for (int j = 0; j < 8; j++) sum[j] += word_at(data + i + 8 * j);
  }
  uint64_t all = 0;
  for (int j = 0; j < 8; j++) all += sum[j];
  return all;
}

static bool multiply_block(const speed_run *run, worker *w, const coder_block *block, const coder_patches *patches,
                           const uint8_t *data, size_t bytes) {
  const bench_job *job = run->job;
  const coder_codebook *book = &job->coded->book;
  const quant_scales scales = {.step = 1, .zero = book->pad};
  if (block->first_column == 0) memset(w->y, 0, job->tokens * w->y_stride * sizeof(float));
  return job->table->multiply_block(book, block, data, bytes, patches, w->scratch, &run->x, 0, job->tokens, &scales, w->y,
                                    w->y_stride);
}

static bool work_block(speed_run *run, worker *w, uint64_t index, uint64_t *check) {
  const bench_job *job = run->job;
  const bench_coded *coded = job->coded;
  const coder_block block = coder_geometry_block(&coded->geometry, index);
  const uint8_t *data = coded->data + coded->offset[index];
  size_t bytes = (size_t)(coded->offset[index + 1] - coded->offset[index]);
  coder_patches patches = {0};
  if (job->op == ELLM_BENCH_READ) {
    *check += sum_words(data, bytes);
    return true;
  }
  if (coded->patched && !coder_patches_take(&data, &bytes, &patches)) return false;
  switch (job->op) {
    case ELLM_BENCH_DECODE:
      return job->table->decode_block(&coded->book, &block, data, bytes, &w->scratch->coder, w->scratch->codes);
    case ELLM_BENCH_MULTIPLY: return multiply_block(run, w, &block, &patches, data, bytes);
    default:
      if (block.first_column == 0) memset(w->y, 0, block.rows * sizeof(float));
      if (!job->table->dot_block(&coded->book, &block, data, bytes, w->scratch, &run->x, 0, w->sums)) return false;
      if (patches.n > 0) kernel_patch_sums(&patches, &block, &run->x, 0, w->sums);
      job->table->dot_finish(w->sums, &block, &run->x, 0, &(quant_scales){.step = 1, .zero = coded->book.pad},
                             block.rows, w->y);
      return true;
  }
}

static void run_thread(void *user, int thread, int n_threads) {
  speed_run *run = user;
  const coder_geometry *g = &run->job->coded->geometry;
  const uint64_t groups = g->row_groups, ranges = g->column_ranges;
  uint64_t first = groups * (uint64_t)thread / (uint64_t)n_threads * ranges;
  uint64_t end = groups * (uint64_t)(thread + 1) / (uint64_t)n_threads * ranges;
  if (run->job->cached && end - first > CACHED_BLOCKS) end = first + CACHED_BLOCKS;
  if (run->job->max_blocks > 0 && end - first > run->job->max_blocks) end = first + run->job->max_blocks;
  uint64_t weights = 0, check = 0;
  for (int pass = 0; pass < run->passes; pass++)
    for (uint64_t i = first; i < end; i++) {
      const coder_block block = coder_geometry_block(g, i);
      if (!work_block(run, &run->workers[thread], i, &check)) atomic_store(&run->damaged, true);
      weights += (uint64_t)block.rows * block.columns;
    }
  atomic_fetch_add(&run->weights, weights);
  atomic_fetch_add(&run->check, check);
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

ellm_bench_speed bench_speed_of(double *rates, int n) {
  qsort(rates, (size_t)n, sizeof *rates, by_value);
  return (ellm_bench_speed){.median = rates[n / 2], .least = rates[0], .most = rates[n - 1]};
}

static double run_once(speed_run *run, thread_pool *pool) {
  atomic_store(&run->weights, 0);
  const double start = clock_seconds();
  pool_run(pool, run_thread, run);
  return clock_seconds() - start;
}

static void measure(speed_run *run, thread_pool *pool, ellm_bench_speed *speed) {
  double results[ELLM_BENCH_REPEATS];
  const int repeats = run->job->repeats;
  run->passes = 1;
  for (int warm_up = 0; warm_up < 8; warm_up++) { /* a thread that wakes late makes one pass look long */
    const double time = run_once(run, pool);
    if (time >= SHORTEST) break;
    const double factor = SHORTEST / (time > 1e-6 ? time : 1e-6) * 1.2;
    run->passes = factor * run->passes < MOST_PASSES ? (int)(factor * run->passes) + 1 : MOST_PASSES;
  }
  for (int repeat = 0; repeat < repeats; repeat++) {
    const double time = run_once(run, pool);
    results[repeat] = (double)atomic_load(&run->weights) / time * 1e-9;
  }
  *speed = bench_speed_of(results, repeats);
}

static bool worker_init(worker *w, size_t n_tokens, const coder_geometry *geometry) {
  w->y_stride = (size_t)geometry->panels_per_block * geometry->panel_rows;
  w->scratch = ellm_aligned_calloc(1, sizeof *w->scratch);
  w->sums = ellm_aligned_calloc(KERNEL_MAX_SUMS, sizeof *w->sums);
  w->y = ellm_aligned_calloc(n_tokens * w->y_stride, sizeof *w->y);
  return w->scratch && w->sums && w->y;
}

static void worker_free(worker *w) {
  ellm_aligned_free(w->scratch);
  ellm_aligned_free(w->sums);
  ellm_aligned_free(w->y);
}

ellm_status speed_measure(const bench_job *job, thread_pool *pool, ellm_bench_speed *speed, ellm_error *err) {
  const size_t n_threads = (size_t)thread_pool_size(pool), columns = job->coded->geometry.columns;
  const size_t n_tokens = job->op == ELLM_BENCH_MULTIPLY ? job->tokens : 1;
  if (job->repeats < 1 || job->repeats > ELLM_BENCH_REPEATS || job->digits < 1 || job->digits > 2 || n_tokens < 1 ||
      n_tokens > ELLM_BENCH_TOKENS)
    return ellm_fail(err, ELLM_ERR_USAGE, "%d repeats, %u digits, %zu tokens", job->repeats, job->digits, n_tokens);
  speed_run run = {.job = job, .workers = calloc(n_threads, sizeof(worker))};
  void *memory = ellm_aligned_calloc(1, kernel_activations_bytes(columns, n_tokens, job->digits));
  float *x = ellm_aligned_calloc(columns, sizeof(float));
  bool good = run.workers && memory && x;
  for (size_t i = 0; good && i < n_threads; i++)
    good = worker_init(&run.workers[i], n_tokens, &job->coded->geometry);
  if (good) {
    uint64_t state = 2;
    kernel_activations_init(&run.x, memory, columns, n_tokens, job->digits);
    for (size_t token = 0; token < n_tokens; token++) {
      for (size_t i = 0; i < columns; i++) x[i] = (float)(bench_random(&state) - 0.5);
      job->table->quantize_activations(x, NULL, &run.x, token);
    }
    measure(&run, pool, speed);
  }
  for (size_t i = 0; run.workers && i < n_threads; i++) worker_free(&run.workers[i]);
  free(run.workers);
  ellm_aligned_free(memory);
  ellm_aligned_free(x);
  if (!good) return ellm_fail_memory(err, n_threads * sizeof(kernel_scratch), "a measurement");
  if (atomic_load(&run.damaged)) return ellm_fail(err, ELLM_ERR_INPUT, "a block is damaged");
  return ELLM_OK;
}
