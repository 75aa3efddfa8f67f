/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring kernels on a matrix in memory. Only whole passes over a thread's blocks are timed. */
#include "kernels/speed.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "coder/cost.h"
#include "coder/encode.h"
#include "kernels/tables.h"

enum { COLUMNS = 4096, DISTINCT_BLOCKS = 256, CACHED_BLOCKS = 8, MOST_PASSES = 1000000 };
enum { READ_AHEAD = 2048 }; /* bytes */
static const double SHORTEST = 0.02; /* seconds a repetition */

/* ------------------------------------------------------------------- matrices */

typedef struct normal_source { uint64_t state; double step; int zero, last; } normal_source;

static double random_unit(uint64_t *state) { /* splitmix64 (S. Vigna, public domain) */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static void normal_codes(normal_source *source, uint8_t *codes, size_t n) {
  for (size_t i = 0; i < n; i++) { /* Box and Muller */
    const double radius = sqrt(-2.0 * log(random_unit(&source->state)));
    const double value = radius * cos(6.283185307179586 * random_unit(&source->state)) / source->step;
    const long code = lrint(value) + source->zero;
    codes[i] = (uint8_t)(code < 0 ? 0 : code > source->last ? source->last : code);
  }
}

static double entropy_of(const uint64_t counts[256]) {
  double total = 0, bits = 0;
  for (int i = 0; i < 256; i++) total += (double)counts[i];
  for (int i = 0; i < 256; i++)
    if (counts[i] > 0) bits -= (double)counts[i] * log2((double)counts[i] / total);
  return bits / total;
}

/* Encodes the first blocks and repeats them. codes: the first blocks' codes in tile order. */
static ellm_status encode_blocks(kernel_coded *coded, const uint8_t *codes, size_t n_distinct, ellm_error *err) {
  coder_encoder *encoder = NULL;
  uint8_t *data = coded->owned[0];
  uint64_t *offset = coded->owned[1];
  ELLM_TRY(coder_encoder_create(&encoder, err));
  for (size_t i = 0; i < coded->geometry.n_blocks; i++) {
    if (i < n_distinct) {
      const coder_block block = coder_geometry_block(&coded->geometry, i);
      const size_t bytes =
          coder_encode_block(encoder, &coded->book, &block, codes + i * CODER_MAX_CODES, data + offset[i]);
      if (bytes == CODER_NOT_CODABLE) {
        coder_encoder_free(encoder);
        return ellm_fail(err, ELLM_ERR_INTERNAL, "a block cannot be coded by its own book");
      }
      offset[i + 1] = offset[i] + bytes;
    } else {
      const size_t from = i % n_distinct, bytes = (size_t)(offset[from + 1] - offset[from]);
      memcpy(data + offset[i], data + offset[from], bytes);
      offset[i + 1] = offset[i] + bytes;
    }
  }
  coder_encoder_free(encoder);
  return ELLM_OK;
}

static ellm_status code_normal(kernel_coded *coded, double step, int bits, ellm_prefer prefer, ellm_code code,
                               uint8_t *codes, coder_statistics *stats, ellm_error *err) {
  const size_t n_blocks = coded->geometry.n_blocks,
               n_distinct = n_blocks < DISTINCT_BLOCKS ? n_blocks : DISTINCT_BLOCKS;
  normal_source source = {.state = 1, .step = step, .zero = 1 << (bits - 1), .last = (1 << bits) - 1};
  double estimate;
  coder_geometry distinct; /* the book is chosen for the blocks that are counted */
  coder_geometry_init(&distinct, n_distinct * CODER_MAX_CODES / COLUMNS, COLUMNS);
  memset(stats, 0, sizeof *stats);
  for (size_t i = 0; i < n_distinct; i++) {
    const coder_block block = coder_geometry_block(&coded->geometry, i);
    normal_codes(&source, codes + i * CODER_MAX_CODES, coder_block_codes(&block));
    coder_count_codes(codes + i * CODER_MAX_CODES, coder_block_codes(&block), stats->codes);
    coder_statistics_add_pairs(stats, &block, bits, codes + i * CODER_MAX_CODES);
  }
  coded->entropy = entropy_of(stats->codes);
  ELLM_TRY(coder_choose(stats, &distinct, bits, (uint8_t)source.zero, prefer, code, &coded->book, &estimate, NULL,
                        err));
  return encode_blocks(coded, codes, n_distinct, err);
}

ellm_status kernel_coded_normal(kernel_coded *coded, double step, int bits, ellm_prefer prefer, ellm_code code,
                                size_t n_codes, ellm_error *err) {
  memset(coded, 0, sizeof *coded);
  const uint64_t panels = (n_codes + COLUMNS * CODER_PANEL_ROWS - 1) / (COLUMNS * CODER_PANEL_ROWS);
  if (!coder_geometry_init(&coded->geometry, (panels > 0 ? panels : 1) * CODER_PANEL_ROWS, COLUMNS))
    return ellm_fail(err, ELLM_ERR_USAGE, "too many codes: %zu", n_codes);
  const size_t n_blocks = coded->geometry.n_blocks,
               n_distinct = n_blocks < DISTINCT_BLOCKS ? n_blocks : DISTINCT_BLOCKS;
  /* no coded block of these is larger than plain bytes by more than a little; the encoder wants room for the largest */
  coded->owned[0] = ellm_aligned_calloc(n_blocks + 8, CODER_MAX_CODES + CODER_MAX_CODES / 8);
  coded->owned[1] = ellm_aligned_calloc(n_blocks + 1, sizeof(uint64_t));
  uint8_t *codes = ellm_aligned_calloc(n_distinct, CODER_MAX_CODES);
  coder_statistics *stats = malloc(sizeof *stats);
  ellm_status status = ELLM_OK;
  if (!coded->owned[0] || !coded->owned[1] || !codes || !stats)
    status = ellm_fail_memory(err, n_blocks * CODER_MAX_CODES, "a coded matrix");
  else
    status = code_normal(coded, step, bits, prefer, code, codes, stats, err);
  coded->data = coded->owned[0];
  coded->offset = coded->owned[1];
  ellm_aligned_free(codes);
  free(stats);
  if (status != ELLM_OK) kernel_coded_free(coded);
  return status;
}

void kernel_coded_free(kernel_coded *coded) {
  ellm_aligned_free(coded->owned[0]);
  ellm_aligned_free(coded->owned[1]);
  memset(coded, 0, sizeof *coded);
}

const char *kernel_coded_layout(const kernel_coded *coded) {
  switch (coded->book.kind) {
    case CODER_HUFFMAN: return "huffman";
    case CODER_LEVELS: return "tuples";
    default: return coded->book.bits > 4 ? "plain8" : "plain4";
  }
}

double kernel_coded_bits(const kernel_coded *coded) {
  const double weights = (double)coded->geometry.rows * (double)coded->geometry.columns;
  return 8.0 * (double)(coded->offset[coded->geometry.n_blocks] - coded->offset[0]) / weights;
}

/* ---------------------------------------------------------------- measurements */

typedef struct worker {
  kernel_scratch *scratch;
  int32_t *sums;
  float *y;           /* rows of a block, of each token */
  size_t y_stride;
} worker;

typedef struct speed_run {
  const kernel_speed_job *job;
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

static bool multiply_block(const speed_run *run, worker *w, const coder_block *block, const uint8_t *data,
                           size_t bytes) {
  const kernel_speed_job *job = run->job;
  const coder_codebook *book = &job->coded->book;
  const quant_scales scales = {.step = 1, .zero = book->pad};
  if (block->first_column == 0) memset(w->y, 0, job->tokens * w->y_stride * sizeof(float));
  return job->table->multiply_block(book, block, data, bytes, &(coder_patches){.n = 0}, w->scratch, &run->x, 0,
                                    job->tokens, &scales, w->y, w->y_stride);
}

static bool work_block(speed_run *run, worker *w, uint64_t index, uint64_t *check) {
  const kernel_speed_job *job = run->job;
  const kernel_coded *coded = job->coded;
  const coder_block block = coder_geometry_block(&coded->geometry, index);
  const uint8_t *data = coded->data + coded->offset[index];
  const size_t bytes = (size_t)(coded->offset[index + 1] - coded->offset[index]);
  switch (job->op) {
    case KERNEL_READ: *check += sum_words(data, bytes); return true;
    case KERNEL_DECODE:
      return job->table->decode_block(&coded->book, &block, data, bytes, &w->scratch->coder, w->scratch->codes);
    case KERNEL_MULTIPLY: return multiply_block(run, w, &block, data, bytes);
    default:
      if (block.first_column == 0) memset(w->y, 0, block.rows * sizeof(float));
      if (!job->table->dot_block(&coded->book, &block, data, bytes, w->scratch, &run->x, 0, w->sums)) return false;
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

static double run_once(speed_run *run, thread_pool *pool) {
  atomic_store(&run->weights, 0);
  const double start = clock_seconds();
  pool_run(pool, run_thread, run);
  return clock_seconds() - start;
}

static void measure(speed_run *run, thread_pool *pool, kernel_speed *speed) {
  double results[KERNEL_SPEED_REPEATS];
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
  qsort(results, (size_t)repeats, sizeof results[0], by_value);
  *speed = (kernel_speed){.median = results[repeats / 2], .min = results[0], .max = results[repeats - 1]};
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

ellm_status kernel_speed_measure(const kernel_speed_job *job, thread_pool *pool, kernel_speed *speed, ellm_error *err) {
  const size_t n_threads = (size_t)thread_pool_size(pool), columns = job->coded->geometry.columns;
  const size_t n_tokens = job->op == KERNEL_MULTIPLY ? job->tokens : 1;
  if (job->repeats < 1 || job->repeats > KERNEL_SPEED_REPEATS || job->digits < 1 || job->digits > 2 || n_tokens < 1 ||
      n_tokens > KERNEL_SPEED_TOKENS)
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
      for (size_t i = 0; i < columns; i++) x[i] = (float)(random_unit(&state) - 0.5);
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
