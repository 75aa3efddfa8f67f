/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that read, and which of them is the fastest. See read.h. */
#include "bench/read.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/pages.h"
#include "base/sized.h"
#include "bench/speed.h"
#include "kernels/tables.h"

enum { LINE = 64, KI = 1024, MI = 1 << 20, CACHED_BYTES = 128 * KI, COLUMNS = 4096, FINALISTS = 3 };
enum { MOST_PASSES = 1 << 20 };
static const double SHORTEST = 0.015; /* seconds a turn */

/* ------------------------------------------------------------------- loops */

typedef enum where { NOWHERE, FIRST_CACHE, SECOND_CACHE, NO_CACHE } where; /* prefetches go to */

KERNEL_INLINE void prefetch(const uint8_t *p, where to) {
  if (to == FIRST_CACHE) __builtin_prefetch(p, 0, 3);
  else if (to == SECOND_CACHE) __builtin_prefetch(p, 0, 2);
  else if (to == NO_CACHE) __builtin_prefetch(p, 0, 0);
}

/* Sums so many that adding takes less time than any memory. Streams lie one after the other, a part of the bytes each. */
KERNEL_INLINE uint64_t read_all(const uint8_t *data, size_t bytes, size_t streams, where to, size_t ahead) {
  uint64_t sum[LINE / 8] = {0}, all = 0;
  const size_t part = bytes / streams / LINE * LINE;
  for (size_t i = 0; i < part; i += LINE) {
    for (size_t s = 0; s < streams; s++) {
      const uint8_t *line = data + s * part + i;
      uint64_t word[LINE / 8];
      prefetch(line + ahead, to);
      memcpy(word, line, sizeof word);
      KERNEL_UNROLL(8)
      for (int j = 0; j < LINE / 8; j++) sum[j] += word[j];
    }
  }
  for (int j = 0; j < LINE / 8; j++) all += sum[j];
  return all;
}

#define READ(name, streams, to, ahead) \
  static uint64_t name(const uint8_t *data, size_t bytes) { return read_all(data, bytes, streams, to, ahead); }
READ(plain_1, 1, NOWHERE, 0)
READ(plain_2, 2, NOWHERE, 0)
READ(plain_4, 4, NOWHERE, 0)
READ(first_1k, 1, FIRST_CACHE, 1 * KI)
READ(first_2k, 1, FIRST_CACHE, 2 * KI)
READ(first_4k, 1, FIRST_CACHE, 4 * KI)
READ(second_4k, 1, SECOND_CACHE, 4 * KI)
READ(second_8k, 1, SECOND_CACHE, 8 * KI)
READ(second_16k, 1, SECOND_CACHE, 16 * KI)
READ(past_1k, 1, NO_CACHE, 1 * KI)
READ(past_2k, 1, NO_CACHE, 2 * KI)
READ(past_4k, 1, NO_CACHE, 4 * KI)
READ(first_2, 2, FIRST_CACHE, 1 * KI)
READ(first_4, 4, FIRST_CACHE, 512)
READ(second_4, 4, SECOND_CACHE, 4 * KI)

typedef struct read_loop { const char *name; uint64_t (*read)(const uint8_t *data, size_t bytes); } read_loop;

/* NULL: the product of plain codes with one token, by the kernel of this machine. */
static const read_loop loops[] = {{"no prefetch", plain_1},
                                  {"2 streams", plain_2},
                                  {"4 streams", plain_4},
                                  {"prefetch 1 KiB ahead", first_1k},
                                  {"prefetch 2 KiB ahead", first_2k},
                                  {"prefetch 4 KiB ahead", first_4k},
                                  {"second-level prefetch 4 KiB ahead", second_4k},
                                  {"second-level prefetch 8 KiB ahead", second_8k},
                                  {"second-level prefetch 16 KiB ahead", second_16k},
                                  {"non-temporal prefetch 1 KiB ahead", past_1k},
                                  {"non-temporal prefetch 2 KiB ahead", past_2k},
                                  {"non-temporal prefetch 4 KiB ahead", past_4k},
                                  {"2 streams, prefetch 1 KiB ahead", first_2},
                                  {"4 streams, prefetch 512 B ahead", first_4},
                                  {"4 streams, second-level prefetch 4 KiB ahead", second_4},
                                  {"product of plain codes", NULL}};
enum { N_LOOPS = sizeof loops / sizeof *loops, PLACES = 2 * N_LOOPS };

/* --------------------------------------------------------------- measuring */

/* Bytes to read, which are plain codes as well. */
typedef struct place { ellm_pages pages; bench_coded coded; bool huge; } place;

typedef struct reading {
  const ellm_bench_read_options *options;
  thread_pool *pool;
  place places[2];
  size_t n_places, bytes; /* of a pass */
  const uint8_t *data;    /* what is read at the moment, */
  const read_loop *loop;  /* how, */
  int passes;             /* and how often */
  _Atomic uint64_t check; /* keeps the sums alive */
} reading;

static void read_share(void *user, int thread, int n_threads) {
  reading *r = user;
  const size_t share = r->bytes / (size_t)n_threads / LINE * LINE;
  uint64_t sum = 0;
  for (int pass = 0; pass < r->passes; pass++) sum += r->loop->read(r->data + (size_t)thread * share, share);
  atomic_fetch_add(&r->check, sum);
}

static double seconds_of(reading *r) {
  const double start = clock_seconds();
  pool_run(r->pool, read_share, r);
  return clock_seconds() - start;
}

/* GB/s of a turn. */
static ellm_status rate(reading *r, const place *at, const read_loop *loop, double *gbytes, ellm_error *err) {
  if (loop->read == NULL) {
    ellm_bench_speed speed;
    const bench_job job = {.coded = &at->coded, .table = kernels_best(), .op = ELLM_BENCH_DOT, .digits = 1, .tokens = 1,
                           .cached = r->options->cached, .repeats = 1};
    ELLM_TRY(speed_measure(&job, r->pool, &speed, err));
    *gbytes = speed.median; /* a byte a weight */
    return ELLM_OK;
  }
  r->data = at->pages.memory;
  r->loop = loop;
  r->passes = 1;
  double time = seconds_of(r); /* to warm up, and to know how long it takes */
  while (time < SHORTEST && r->passes < MOST_PASSES) {
    const double more = 1.1 * SHORTEST / (time > 1e-6 ? time : 1e-6);
    r->passes = more * r->passes < MOST_PASSES ? (int)(more * r->passes) + 1 : MOST_PASSES;
    time = seconds_of(r);
  }
  *gbytes = (double)(r->bytes * (size_t)r->passes) / time / 1e9;
  return ELLM_OK;
}

/* The loops by their first turn, the fastest ones first: indices of PLACES. */
static ellm_status first_turns(reading *r, size_t order[PLACES], size_t *n, ellm_error *err) {
  double rates[PLACES];
  *n = 0;
  for (size_t i = 0; i < r->n_places * N_LOOPS; i++) {
    ELLM_TRY(rate(r, &r->places[i / N_LOOPS], &loops[i % N_LOOPS], &rates[i], err));
    size_t at = (*n)++;
    for (; at > 0 && rates[order[at - 1]] < rates[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  return ELLM_OK;
}

static ellm_status measure(reading *r, ellm_bench_ceiling *ceiling, ellm_error *err) {
  size_t order[PLACES], n;
  double rates[FINALISTS][ELLM_BENCH_REPEATS];
  ELLM_TRY(first_turns(r, order, &n, err));
  if (n > FINALISTS) n = FINALISTS;
  for (int repeat = 0; repeat < r->options->repeats; repeat++) /* in turns: neighbours come and go */
    for (size_t i = 0; i < n; i++)
      ELLM_TRY(rate(r, &r->places[order[i] / N_LOOPS], &loops[order[i] % N_LOOPS], &rates[i][repeat], err));
  *ceiling = (ellm_bench_ceiling){.loop = NULL};
  for (size_t i = 0; i < n; i++) {
    const ellm_bench_speed speed = bench_speed_of(rates[i], r->options->repeats);
    if (ceiling->loop != NULL && speed.median <= ceiling->speed.median) continue;
    ceiling->speed = speed;
    ceiling->loop = loops[order[i] % N_LOOPS].name;
    ceiling->huge_pages = r->places[order[i] / N_LOOPS].huge;
  }
  return ELLM_OK;
}

static ellm_status place_take(place *p, size_t bytes, bool huge, ellm_error *err) {
  const size_t rows = bytes / COLUMNS;
  if (!ellm_pages_take(&p->pages, bytes + CODER_SLACK, huge)) return ellm_fail_memory(err, bytes, "bytes to read");
  p->huge = huge;
  uint8_t *data = p->pages.memory;
  uint64_t state = 3;
  for (size_t i = 0; i < 4 * KI; i++) data[i] = (uint8_t)(256 * bench_random(&state));
  for (size_t at = 4 * KI; at < bytes; at *= 2) memcpy(data + at, data, bytes - at < at ? bytes - at : at);
  bench_coded *c = &p->coded;
  if (!coder_geometry_init(&c->geometry, rows, COLUMNS) ||
      !coder_codebook_plain(8, 0, c->geometry.panel_rows, &c->book))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "no plain codes of %zu rows", rows);
  uint64_t *offset = ellm_aligned_calloc((size_t)c->geometry.n_blocks + 1, sizeof *offset);
  if (offset == NULL) return ellm_fail_memory(err, (size_t)c->geometry.n_blocks * sizeof *offset, "offsets of blocks");
  for (uint64_t i = 0; i < c->geometry.n_blocks; i++) {
    const coder_block block = coder_geometry_block(&c->geometry, i);
    offset[i + 1] = offset[i] + coder_block_codes(&block);
  }
  c->data = data;
  c->offset = c->owned[0] = offset;
  return ELLM_OK;
}

ellm_status read_ceiling(const ellm_bench_read_options *options, thread_pool *pool, ellm_bench_ceiling *ceiling,
                         ellm_error *err) {
  const size_t n_threads = (size_t)thread_pool_size(pool);
  const uint64_t most = (uint64_t)1 << 40; /* a guard against sums that overflow, no more */
  if (options->repeats < 1 || options->repeats > ELLM_BENCH_REPEATS || options->bytes < 1 || options->bytes > most)
    return ellm_fail(err, ELLM_ERR_USAGE, "%d repeats of %llu bytes", options->repeats,
                     (unsigned long long)options->bytes);
  reading *r = calloc(1, sizeof *r);
  if (r == NULL) return ellm_fail_memory(err, sizeof *r, "a measurement");
  *r = (reading){.options = options, .pool = pool};
  const size_t wanted = options->cached ? CACHED_BYTES * n_threads : (size_t)options->bytes;
  r->bytes = (wanted + MI - 1) / MI * MI;
  r->n_places = options->cached ? 1 : 2; /* pages do not matter where caches hold all */
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < r->n_places && status == ELLM_OK; i++)
    status = place_take(&r->places[i], r->bytes, i > 0, err);
  if (options->cached) r->bytes = wanted;
  if (status == ELLM_OK) status = measure(r, ceiling, err);
  for (size_t i = 0; i < r->n_places; i++) {
    ellm_pages_give_back(&r->places[i].pages);
    ellm_aligned_free(r->places[i].coded.owned[0]);
  }
  free(r);
  return status;
}

void ellm_bench_read_options_init_sized(ellm_bench_read_options *given, size_t size) {
  const ellm_bench_read_options own = {.size = size, .bytes = (uint64_t)256 * MI, .repeats = 5};
  ellm_sized_init(given, &own, sizeof own);
}

ellm_status ellm_bench_read(const ellm_bench_read_options *given, ellm_bench_ceiling *ceiling, ellm_error *err) {
  ELLM_SIZED(ellm_bench_read_options, options, given, err);
  thread_pool *pool = NULL;
  *ceiling = (ellm_bench_ceiling){.loop = ""};
  ELLM_TRY(thread_pool_create(options.threads, &pool, err));
  const ellm_status status = read_ceiling(&options, pool, ceiling, err);
  thread_pool_free(pool);
  return status;
}
