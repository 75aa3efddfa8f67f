/* SPDX-License-Identifier: Apache-2.0 */
/* See token_run.h. Row groups are dealt to threads as in model/matrix.c (base/dealing.h). */
#include "bench/token_run.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dealing.h"
#include "base/memory.h"
#include "coder/patches.h"
#include "kernels/patches.h"

enum { CACHED_BLOCKS = 8, CACHED_TURNS = 3 };
static const double CACHED_SECONDS = 0.001; /* of a turn, at least */

typedef struct worker {
  kernel_scratch *scratch;
  int32_t *sums;
} worker;

struct token_run {
  const token_plan *plan;
  const kernel_table *table;
  unsigned digits;
  worker *workers;
  int n_workers;
  float *x, *y;                /* of the widest input, of the highest product */
  void *memory;                /* of `activations` */
  kernel_activations activations;
  /* the product at work */
  const coded_sample *coded;
  const plan_product *product;
  dealing groups;
  atomic_bool damaged;
};

static void prepare_product(token_run *r, const plan_product *product) {
  r->product = product;
  const size_t columns = r->coded->coded[product->first].geometry.columns;
  kernel_activations_init(&r->activations, r->memory, columns, 1, r->digits);
  r->table->quantize_activations(r->x, NULL, &r->activations, 0);
}

static bool multiply_block(token_run *r, worker *w, const bench_coded *c, uint64_t index, const coder_block *block,
                           float *y) {
  const uint8_t *data = c->data + c->offset[index];
  size_t bytes = (size_t)(c->offset[index + 1] - c->offset[index]);
  coder_patches patches = {0};
  if (c->patched && !coder_patches_take(&data, &bytes, &patches)) return false;
  if (!r->table->dot_block(&c->book, block, data, bytes, w->scratch, &r->activations, 0, w->sums)) return false;
  if (patches.n > 0) kernel_patch_sums(&patches, block, &r->activations, 0, w->sums);
  r->table->dot_finish(w->sums, block, &r->activations, 0, &(quant_scales){.step = 1, .zero = c->book.pad}, block->rows,
                       y);
  return true;
}

static bool multiply_group(token_run *r, worker *w, const bench_coded *c, uint64_t group, float *y) {
  const uint64_t ranges = c->geometry.column_ranges;
  for (uint64_t range = 0; range < ranges; range++) {
    const coder_block block = coder_geometry_block_at(&c->geometry, group, range);
    if (range == 0) memset(y + block.first_row, 0, block.rows * sizeof *y);
    if (!multiply_block(r, w, c, group * ranges + range, &block, y + block.first_row)) return false;
  }
  return true;
}

/* An item a thread: one that does not wake up is not waited for. */
static void run_item(void *user, size_t item, int thread) {
  (void)item;
  token_run *r = user;
  uint64_t first, end;
  while (dealing_take(&r->groups, &first, &end)) {
    uint64_t before = 0, rows = 0; /* of the matrices passed */
    for (size_t i = r->product->first; i < r->product->first + r->product->n && first < end; i++) {
      const bench_coded *c = &r->coded->coded[i];
      for (; first < end && first < before + c->geometry.row_groups; first++)
        if (!multiply_group(r, &r->workers[thread], c, first - before, r->y + rows)) atomic_store(&r->damaged, true);
      before += c->geometry.row_groups;
      rows += c->geometry.rows;
    }
  }
}

static double run_product(token_run *r, const plan_product *product, thread_pool *pool) {
  uint64_t weights = 0, n_groups = 0;
  const double start = clock_seconds();
  prepare_product(r, product);
  for (size_t i = product->first; i < product->first + product->n; i++) {
    const coder_geometry *g = &r->coded->coded[i].geometry;
    n_groups += g->row_groups;
    weights += g->rows * g->columns;
  }
  dealing_begin(&r->groups, n_groups, weights, thread_pool_size(pool));
  pool_for(pool, (size_t)thread_pool_size(pool), run_item, r);
  return clock_seconds() - start;
}

static ellm_status finish(token_run *r, ellm_error *err) {
  return atomic_load(&r->damaged) ? ellm_fail(err, ELLM_ERR_INPUT, "%s: a block is damaged",
                                              source_path(r->plan->source))
                                  : ELLM_OK;
}

ellm_status token_run_once(token_run *r, const coded_sample *coded, thread_pool *pool, double *seconds,
                           ellm_error *err) {
  r->coded = coded;
  *seconds = 0;
  for (size_t i = 0; i < r->plan->n_products; i++) {
    const plan_product *product = &r->plan->products[i];
    *seconds += product->per_token * run_product(r, product, pool);
  }
  return finish(r, err);
}

/* Seconds of a pass over some blocks of a matrix, and their weights. */
static double cached_pass(token_run *r, const bench_coded *c, double *weights) {
  const uint64_t n = c->geometry.n_blocks < CACHED_BLOCKS ? c->geometry.n_blocks : CACHED_BLOCKS;
  *weights = 0;
  const double start = clock_seconds();
  for (uint64_t i = 0; i < n; i++) {
    const coder_block block = coder_geometry_block(&c->geometry, i);
    *weights += (double)block.rows * block.columns;
    if (!multiply_block(r, &r->workers[0], c, i, &block, r->y)) atomic_store(&r->damaged, true);
  }
  return clock_seconds() - start;
}

/* Seconds a weight, the best of some turns: what else the machine does only makes it slower. */
static double cached_matrix(token_run *r, const bench_coded *c) {
  double best = 0, n;
  (void)cached_pass(r, c, &n);
  for (int turn = 0; turn < CACHED_TURNS; turn++) {
    double seconds = 0, weights = 0;
    while (seconds < CACHED_SECONDS) {
      seconds += cached_pass(r, c, &n);
      weights += n;
    }
    if (turn == 0 || seconds / weights < best) best = seconds / weights;
  }
  return best;
}

ellm_status token_run_cached(token_run *r, const coded_sample *coded, double *seconds, ellm_error *err) {
  r->coded = coded;
  *seconds = 0;
  for (size_t i = 0; i < r->plan->n_products; i++) {
    const plan_product *product = &r->plan->products[i];
    prepare_product(r, product);
    for (size_t j = product->first; j < product->first + product->n; j++) {
      const plan_matrix *m = &r->plan->matrices[j];
      *seconds += product->per_token * (double)m->rows * (double)m->columns * cached_matrix(r, &coded->coded[j]);
    }
  }
  return finish(r, err);
}

ellm_status token_run_create(const token_plan *plan, unsigned digits, int most_threads, token_run **run,
                             ellm_error *err) {
  size_t columns = 0, rows = 0;
  for (size_t i = 0; i < plan->n_products; i++) {
    size_t height = 0;
    for (size_t j = plan->products[i].first; j < plan->products[i].first + plan->products[i].n; j++) {
      height += (size_t)plan->matrices[j].rows;
      if (plan->matrices[j].columns > columns) columns = (size_t)plan->matrices[j].columns;
    }
    if (height > rows) rows = height;
  }
  token_run *r = *run = calloc(1, sizeof *r);
  if (r == NULL) return ellm_fail_memory(err, sizeof *r, "a measurement");
  r->plan = plan;
  r->table = kernels_best();
  r->digits = digits;
  r->n_workers = most_threads;
  r->workers = calloc((size_t)most_threads, sizeof *r->workers);
  r->x = ellm_aligned_calloc(columns + 4, sizeof *r->x);
  r->y = ellm_aligned_calloc(rows + CODER_MAX_CODES, sizeof *r->y);
  r->memory = ellm_aligned_calloc(1, kernel_activations_bytes(columns, 1, digits));
  bool good = r->workers && r->x && r->y && r->memory;
  for (int i = 0; good && i < most_threads; i++) {
    r->workers[i].scratch = ellm_aligned_calloc(1, sizeof *r->workers[i].scratch);
    r->workers[i].sums = ellm_aligned_calloc(KERNEL_MAX_SUMS, sizeof *r->workers[i].sums);
    good = r->workers[i].scratch && r->workers[i].sums;
  }
  if (!good) {
    token_run_free(r);
    *run = NULL;
    return ellm_fail_memory(err, (size_t)most_threads * sizeof(kernel_scratch), "a measurement");
  }
  uint64_t state = 2;
  for (size_t i = 0; i < columns; i++) r->x[i] = (float)(bench_random(&state) - 0.5);
  return ELLM_OK;
}

void token_run_free(token_run *run) {
  if (run == NULL) return;
  for (int i = 0; run->workers != NULL && i < run->n_workers; i++) {
    ellm_aligned_free(run->workers[i].scratch);
    ellm_aligned_free(run->workers[i].sums);
  }
  free(run->workers);
  ellm_aligned_free(run->x);
  ellm_aligned_free(run->y);
  ellm_aligned_free(run->memory);
  free(run);
}
