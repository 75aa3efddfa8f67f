/* SPDX-License-Identifier: Apache-2.0 */
#include "model/matrix.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
  CHUNK_TILES = CODER_MAX_CODES / CODER_TILE, /* tiles expanded to floats at a time: 64 KiB */
  TILE_SUMS = CODER_TILE_COLUMNS * CODER_PANEL_ROWS,
  ITEM_WEIGHTS = 65536                        /* weights that a thread takes at a time, at least */
};

typedef struct worker {
  kernel_scratch scratch;
  float chunk[CHUNK_TILES * CODER_TILE];
  uint8_t expanded[CHUNK_TILES * CODER_TILE];
  float sums[MATRIX_MAX_TOKENS * TILE_SUMS];
  int32_t integers[KERNEL_MAX_SUMS];
  const float *x[MATRIX_MAX_TOKENS];
  uint64_t failed_group; /* UINT64_MAX: none */
  ellm_error error;
} worker;

struct compute {
  thread_pool *pool;
  const kernel_table *kernels;
  worker **workers; /* one a thread */
  double product_seconds;
};

ellm_status compute_create(int n_threads, compute **out, ellm_error *err) {
  *out = NULL;
  compute *c = calloc(1, sizeof *c);
  if (c == NULL) return ellm_fail_memory(err, sizeof *c, "threads");
  c->kernels = kernels_best();
  ellm_status status = thread_pool_create(n_threads, &c->pool, err);
  if (status == ELLM_OK) {
    const size_t n = (size_t)thread_pool_size(c->pool);
    c->workers = calloc(n, sizeof *c->workers);
    for (size_t i = 0; i < n && c->workers != NULL && status == ELLM_OK; i++) {
      c->workers[i] = ellm_aligned_calloc(1, sizeof **c->workers);
      if (c->workers[i] == NULL) status = ellm_fail_memory(err, sizeof **c->workers, "scratch memory of a thread");
    }
    if (c->workers == NULL) status = ellm_fail_memory(err, n * sizeof *c->workers, "threads");
  }
  if (status != ELLM_OK) {
    compute_free(c);
    return status;
  }
  *out = c;
  return ELLM_OK;
}

void compute_free(compute *c) {
  if (c == NULL) return;
  if (c->workers != NULL)
    for (int i = 0; i < thread_pool_size(c->pool); i++) ellm_aligned_free(c->workers[i]);
  free(c->workers);
  thread_pool_free(c->pool);
  free(c);
}

thread_pool *compute_pool(compute *c) { return c->pool; }
const kernel_table *compute_kernels(const compute *c) { return c->kernels; }
double compute_product_seconds(const compute *c) { return c->product_seconds; }

/* --------------------------------------------------------- one group of rows */

typedef struct job {
  const compute *c;
  const matrix_product *product;
  const kernel_activations *activations; /* NULL: the float product */
  const weight_matrix *matrix;
  float *y;           /* of the matrix's first row, first token */
  worker *w;
} job;

/* A block's bytes and the book that they are coded with. */
static ellm_status block_bytes(const weight_matrix *m, uint64_t index, const coder_codebook **book,
                               const uint8_t **data, size_t *bytes, ellm_error *err) {
  const expanded_matrix *e = m->expanded;
  if (e == NULL) {
    *book = &m->coded->book;
    return container_checked_block(m->file, m->coded, index, data, bytes, err);
  }
  *book = &e->book;
  *data = e->data + e->offset[index];
  *bytes = (size_t)(e->offset[index + 1] - e->offset[index]);
  return ELLM_OK;
}

/* Its codes to w->scratch.codes. */
static ellm_status decode_block(const compute *c, const weight_matrix *m, uint64_t index, const coder_block *block,
                                worker *w, ellm_error *err) {
  const coder_codebook *book;
  const uint8_t *data;
  size_t bytes;
  ELLM_TRY(block_bytes(m, index, &book, &data, &bytes, err));
  if (!c->kernels->decode_block(book, block, data, bytes, &w->scratch.coder, w->scratch.codes))
    return container_undecodable(m->file, m->coded, index, err);
  return ELLM_OK;
}

/* The four partial sums of each output, in the order that the kernels fix. */
static void finish_sums(const job *j, const float *sums, uint64_t first_row, size_t n_rows) {
  for (size_t t = 0; t < j->product->n_tokens; t++, sums += TILE_SUMS) {
    float *y = j->y + t * j->product->y_stride + first_row;
    for (size_t r = 0; r < n_rows; r++)
      y[r] = (sums[r] + sums[16 + r]) + (sums[32 + r] + sums[48 + r]);
    if (j->matrix->bias != NULL) j->c->kernels->add(j->matrix->bias + first_row, y, n_rows);
  }
}

/* sums += chunk times the columns from `column` on of every token. */
static void multiply_chunk(const job *j, size_t n_tiles, uint64_t column) {
  worker *w = j->w;
  for (size_t t = 0; t < j->product->n_tokens; t++) w->x[t] = j->product->x + t * j->product->x_stride + column;
  j->c->kernels->tiles_multiply(w->chunk, n_tiles, w->x, j->product->n_tokens, w->sums);
}

static void zero_sums(const job *j) { memset(j->w->sums, 0, j->product->n_tokens * TILE_SUMS * sizeof *j->w->sums); }

/* Tiles of a matrix of fewer than 16 rows, to 64 bytes each: rows that are not there are `zero`, weight 0. */
static const uint8_t *full_tiles(worker *w, const uint8_t *codes, size_t n_tiles, uint32_t panel_rows, int zero) {
  if (panel_rows == CODER_PANEL_ROWS) return codes;
  memset(w->expanded, zero, n_tiles * CODER_TILE);
  for (size_t t = 0; t < n_tiles; t++)
    memcpy(w->expanded + t * CODER_TILE, codes + t * 4 * panel_rows, (size_t)4 * panel_rows);
  return w->expanded;
}

static ellm_status float_coded_group(const job *j, uint64_t group, ellm_error *err) {
  const container_tensor *tensor = j->matrix->coded;
  const coder_geometry *geometry = &tensor->geometry;
  worker *w = j->w;
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const uint64_t index = group * geometry->column_ranges + range;
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    ELLM_TRY(decode_block(j->c, j->matrix, index, &block, w, err));
    for (uint32_t p = 0; p < block.panels; p++) {
      const uint8_t *codes = w->scratch.codes + (size_t)p * block.tiles * 4 * block.panel_rows;
      if (range == 0) zero_sums(j);
      for (size_t tile = 0; tile < block.tiles; tile += CHUNK_TILES) {
        const size_t n = block.tiles - tile < CHUNK_TILES ? block.tiles - tile : CHUNK_TILES;
        j->c->kernels->tiles_from_codes(
            full_tiles(w, codes + tile * 4 * block.panel_rows, n, block.panel_rows, tensor->quant.scales.zero), n,
            &tensor->quant.scales, w->chunk);
        multiply_chunk(j, n, block.first_column + 4 * tile);
      }
      const uint32_t first = p * block.panel_rows, rest = block.rows - first;
      if (range + 1 == geometry->column_ranges)
        finish_sums(j, w->sums, block.first_row + first, rest < block.panel_rows ? rest : block.panel_rows);
    }
  }
  return ELLM_OK;
}

static void raw_group(const job *j, uint64_t group) {
  const weight_matrix *m = j->matrix;
  const size_t element = ellm_dtype_size(m->dtype);
  const uint64_t first = group * CODER_PANEL_ROWS;
  const size_t n_rows = m->rows - first < CODER_PANEL_ROWS ? m->rows - first : CODER_PANEL_ROWS;
  const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
  zero_sums(j);
  for (size_t column = 0; column < m->columns; column += 4 * CHUNK_TILES) {
    const size_t n = m->columns - column < 4 * CHUNK_TILES ? m->columns - column : 4 * CHUNK_TILES;
    for (size_t r = 0; r < n_rows; r++) rows[r] = m->data + ((first + r) * m->columns + column) * element;
    j->c->kernels->tiles_from_rows(m->dtype, rows, n_rows, n, j->w->chunk);
    multiply_chunk(j, (n + 3) / 4, column);
  }
  finish_sums(j, j->w->sums, first, n_rows);
}

/* One block, decoded once, with all tokens. */
static ellm_status integer_block_many(const job *j, uint64_t index, const coder_block *block, ellm_error *err) {
  const container_tensor *tensor = j->matrix->coded;
  const kernel_activations *a = j->activations;
  const kernel_table *k = j->c->kernels;
  worker *w = j->w;
  ELLM_TRY(decode_block(j->c, j->matrix, index, block, w, err));
  for (uint32_t p = 0; p < block->panels; p++) {
    const uint8_t *codes = w->scratch.codes + (size_t)p * block->tiles * 4 * block->panel_rows;
    const uint32_t first = p * block->panel_rows, rest = block->rows - first;
    k->multiply_finish(codes, block, a, 0, j->product->n_tokens, &tensor->quant.scales, NULL,
                       rest < block->panel_rows ? rest : block->panel_rows, j->y + block->first_row + first,
                       j->product->y_stride);
  }
  return ELLM_OK;
}

static ellm_status integer_block_one(const job *j, uint64_t index, const coder_block *block, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const kernel_activations *a = j->activations;
  const coder_codebook *book;
  const uint8_t *data;
  size_t bytes;
  ELLM_TRY(block_bytes(m, index, &book, &data, &bytes, err));
  if (!j->c->kernels->dot_block(book, block, data, bytes, &j->w->scratch, a, 0, j->w->integers))
    return container_undecodable(m->file, m->coded, index, err);
  j->c->kernels->dot_finish(j->w->integers, block, a, 0, &m->coded->quant.scales, block->rows,
                            j->y + block->first_row);
  return ELLM_OK;
}

static ellm_status integer_group(const job *j, uint64_t group, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const coder_geometry *geometry = &m->coded->geometry;
  const size_t n_tokens = j->product->n_tokens, stride = j->product->y_stride;
  coder_block block = coder_geometry_block_at(geometry, group, 0);
  for (size_t t = 0; t < n_tokens; t++)
    memset(j->y + t * stride + block.first_row, 0, block.rows * sizeof *j->y);
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const uint64_t index = group * geometry->column_ranges + range;
    block = coder_geometry_block_at(geometry, group, range);
    ELLM_TRY(n_tokens == 1 ? integer_block_one(j, index, &block, err) : integer_block_many(j, index, &block, err));
  }
  for (size_t t = 0; t < n_tokens; t++) {
    float *y = j->y + t * stride + block.first_row;
    const quant_scales scales = quant_scales_from(&m->coded->quant.scales, block.first_row, 0);
    j->c->kernels->scale_rows(y, &scales, block.rows);
    if (m->bias != NULL) j->c->kernels->add(m->bias + block.first_row, y, block.rows);
  }
  return ELLM_OK;
}

/* ----------------------------------------------------------- dealing them out */

/*
 * Row groups of all matrices are numbered through. A thread takes a run of them,
 * half of its even share of what is left: long runs first, because the start of a
 * run waits for memory that nothing has fetched ahead, short ones in the end, so
 * that threads finish together.
 */
typedef struct product_run {
  compute *c;
  const matrix_product *product;
  const kernel_activations *activations;
  uint64_t n_groups, least; /* least: about ITEM_WEIGHTS */
  atomic_uint_fast64_t next;
} product_run;

static uint64_t groups_of(const weight_matrix *m) {
  return m->coded != NULL ? m->coded->geometry.row_groups
                          : ((uint64_t)m->rows + CODER_PANEL_ROWS - 1) / CODER_PANEL_ROWS;
}

static bool take_run(product_run *run, uint64_t *first, uint64_t *end) {
  const uint64_t parts = 2 * (uint64_t)thread_pool_size(run->c->pool);
  uint64_t at = atomic_load_explicit(&run->next, memory_order_relaxed);
  do {
    if (at >= run->n_groups) return false;
    const uint64_t left = run->n_groups - at, share = left / parts > run->least ? left / parts : run->least;
    *first = at;
    *end = share < left ? at + share : run->n_groups;
  } while (!atomic_compare_exchange_weak_explicit(&run->next, &at, *end, memory_order_relaxed, memory_order_relaxed));
  return true;
}

static ellm_status one_group(const job *j, uint64_t group, ellm_error *err) {
  if (j->matrix->coded == NULL) {
    raw_group(j, group);
    return ELLM_OK;
  }
  return j->activations == NULL ? float_coded_group(j, group, err) : integer_group(j, group, err);
}

static ellm_status groups_from(const product_run *run, worker *w, uint64_t first, uint64_t end) {
  const matrix_product *product = run->product;
  job j = {.c = run->c, .product = product, .activations = run->activations, .y = product->y, .w = w};
  uint64_t before = 0; /* groups of the matrices passed */
  for (size_t i = 0; i < product->n_matrices && first < end; i++) {
    j.matrix = product->matrices[i];
    const uint64_t n = groups_of(j.matrix);
    for (; first < end && first < before + n; first++) {
      const ellm_status status = one_group(&j, first - before, &w->error);
      if (status != ELLM_OK) {
        w->failed_group = first;
        return status;
      }
    }
    before += n;
    j.y += j.matrix->rows;
  }
  return ELLM_OK;
}

static void run_worker(void *user, size_t item, int thread) {
  (void)item;
  product_run *run = user;
  worker *w = run->c->workers[thread];
  uint64_t first, end;
  while (w->failed_group == UINT64_MAX && take_run(run, &first, &end))
    if (groups_from(run, w, first, end) != ELLM_OK) return;
}

static ellm_status run_product(compute *c, const matrix_product *product, const kernel_activations *activations,
                               ellm_error *err) {
  product_run run = {.c = c, .product = product, .activations = activations};
  uint64_t weights = 0;
  for (size_t i = 0; i < product->n_matrices; i++) {
    run.n_groups += groups_of(product->matrices[i]);
    weights += (uint64_t)product->matrices[i]->rows * product->matrices[i]->columns;
  }
  const uint64_t group_weights = weights / run.n_groups;
  run.least = group_weights < ITEM_WEIGHTS ? ITEM_WEIGHTS / (group_weights + 1) + 1 : 1;
  atomic_init(&run.next, 0);
  const int n = thread_pool_size(c->pool);
  for (int i = 0; i < n; i++) c->workers[i]->failed_group = UINT64_MAX;
  pool_for(c->pool, (size_t)n, run_worker, &run);
  const worker *first = c->workers[0];
  for (int i = 1; i < n; i++)
    if (c->workers[i]->failed_group < first->failed_group) first = c->workers[i];
  if (first->failed_group == UINT64_MAX) return ELLM_OK;
  if (err != NULL) *err = first->error;
  return first->error.status;
}

typedef struct digits_job {
  const compute *c;
  const matrix_product *product;
  const uint16_t *column_scales;
  kernel_activations *a;
} digits_job;

static void digits_of_token(void *user, size_t token, int thread) {
  (void)thread;
  const digits_job *work = user;
  work->c->kernels->quantize_activations(work->product->x + token * work->product->x_stride, work->column_scales, work->a,
                                        token);
}

/* The factors of the columns that activations are multiplied with; of a raw matrix none. */
static const uint16_t *column_scales(const weight_matrix *m) {
  return m->coded != NULL ? m->coded->quant.scales.columns : NULL;
}

/* The product of matrices that share the factors of their columns, with rounded activations. */
static ellm_status run_integer(compute *c, const matrix_product *product, ellm_error *err) {
  kernel_activations a;
  kernel_activations_init(&a, product->scratch, product->matrices[0]->columns, product->n_tokens, product->digits);
  digits_job work = {.c = c, .product = product, .column_scales = column_scales(product->matrices[0]), .a = &a};
  if (product->n_tokens > 1) {
    pool_for(c->pool, product->n_tokens, digits_of_token, &work);
  } else {
    digits_of_token(&work, 0, 0);
  }
  return run_product(c, product, &a, err);
}

ellm_status matrix_multiply(compute *c, const matrix_product *product, ellm_error *err) {
  const double start = clock_seconds();
  matrix_product part = *product;
  ellm_status status = ELLM_OK;
  for (size_t first = 0; first < product->n_matrices && status == ELLM_OK; first += part.n_matrices) {
    bool coded = false;
    size_t n = 0;
    part.matrices = product->matrices + first;
    while (first + n < product->n_matrices && column_scales(part.matrices[n]) == column_scales(part.matrices[0]))
      coded = part.matrices[n++]->coded != NULL || coded;
    part.n_matrices = n;
    status = coded && product->digits > 0 ? run_integer(c, &part, err) : run_product(c, &part, NULL, err);
    for (size_t i = 0; i < n; i++) part.y += part.matrices[i]->rows;
  }
  c->product_seconds += clock_seconds() - start;
  return status;
}

/* ------------------------------------------------------------------ one row */

ellm_status matrix_row(compute *c, const weight_matrix *m, uint32_t row, float *out, ellm_error *err) {
  worker *w = c->workers[0];
  if (row >= m->rows)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "tensor %s has %u rows, row %u was asked for", m->name, m->rows, row);
  if (m->coded == NULL) {
    const size_t element = ellm_dtype_size(m->dtype);
    const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
    for (size_t column = 0; column < m->columns; column += 4 * CHUNK_TILES) {
      const size_t n = m->columns - column < 4 * CHUNK_TILES ? m->columns - column : 4 * CHUNK_TILES;
      rows[0] = m->data + ((uint64_t)row * m->columns + column) * element;
      c->kernels->tiles_from_rows(m->dtype, rows, 1, n, w->chunk);
      for (size_t i = 0; i < n; i++) out[column + i] = w->chunk[i * CODER_PANEL_ROWS];
    }
    return ELLM_OK;
  }
  const coder_geometry *geometry = &m->coded->geometry;
  const uint64_t group_rows = (uint64_t)geometry->panels_per_block * geometry->panel_rows, group = row / group_rows;
  const uint32_t in_group = (uint32_t)(row % group_rows), panel = in_group / geometry->panel_rows,
                 lane = in_group % geometry->panel_rows;
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const uint64_t index = group * geometry->column_ranges + range;
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    ELLM_TRY(decode_block(c, m, index, &block, w, err));
    const uint8_t *tile = w->scratch.codes + (size_t)panel * block.tiles * 4 * block.panel_rows + 4 * lane;
    for (uint32_t column = 0; column < block.columns; column++)
      out[block.first_column + column] =
          quant_weight(&m->coded->quant.scales, tile[(size_t)(column / 4) * 4 * block.panel_rows + column % 4], row,
                       block.first_column + column);
  }
  return ELLM_OK;
}
