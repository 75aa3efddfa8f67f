/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of matrices with activations, the only place that multiplies weights. A row group (the panels of a block, or
 * 16 rows of a raw matrix) is the unit of work: one thread computes it for all tokens, so no sum ever crosses threads.
 *
 * There are four kinds of row groups, and matrix_multiply chooses by the matrix and the activations:
 *   raw      rows of F32, F16 or BF16 elements become floats in tiles
 *   exact    coded without loss: blocks are decoded to elements, then as raw
 *   float    codes become weights in tiles, then as raw
 *   integer  codes are multiplied by digits of activations, and the sums are scaled at the end
 * The first three add in one order, so a lossless file gives the bits of its folder.
 *
 * A group is computed block by block along its columns; the sums of a panel stay in the worker until the last block.
 */
#include "model/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dealing.h"
#include "base/memory.h"
#include "base/work_failure.h"
#include "source/finite.h"
#include "kernels/exact.h"
#include "kernels/full_tiles.h"
#include "kernels/patches.h"

enum {
  CHUNK_TILES = CODER_MAX_CODES / CODER_TILE, /* tiles expanded to floats at a time: 64 KiB */
  CHUNK_COLUMNS = CHUNK_TILES * CODER_TILE_COLUMNS,
  TILE_SUMS = CODER_TILE_COLUMNS * CODER_PANEL_ROWS
};

/* Work memory of one thread; nothing is allocated while tokens are computed. */
typedef struct worker {
  kernel_scratch scratch;
  float chunk[CHUNK_TILES * CODER_TILE];
  uint8_t padded[CHUNK_TILES * CODER_TILE]; /* whole tiles of a narrow panel */
  float sums[MATRIX_MAX_TOKENS * TILE_SUMS];
  const float *x[MATRIX_MAX_TOKENS];
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

/* Rows of a row group; the last group may have fewer. */
static uint64_t group_rows(const weight_matrix *m) {
  if (m->data != NULL) return CODER_PANEL_ROWS;
  return (uint64_t)m->coded->geometry.panels_per_block * m->coded->geometry.panel_rows;
}

/* A block's bytes and patches, and the book that it is coded with: those of the file, or, if the matrix was expanded
 * when the model was opened, plain codes in memory. */
static ellm_status take_block(const weight_matrix *m, uint64_t index, const coder_codebook **book,
                              container_block *block, ellm_error *err) {
  const expanded_matrix *e = m->expanded;
  if (e == NULL) {
    *book = &m->coded->book;
    return container_checked_block(m->file, m->coded, index, block, err);
  }
  *book = &e->book;
  *block = (container_block){.data = e->data + e->offset[index],
                             .bytes = (size_t)(e->offset[index + 1] - e->offset[index])};
  if (e->patches != NULL) {
    const uint8_t *patches = e->patches + e->patches_offset[index];
    size_t bytes = (size_t)(e->patches_offset[index + 1] - e->patches_offset[index]);
    if (!coder_patches_take(&patches, &bytes, &block->patches))
      return container_undecodable(m->file, m->coded, index, err);
  }
  return ELLM_OK;
}

/* Its codes to w->scratch.codes. */
static ellm_status decode_parts(const compute *c, const weight_matrix *m, uint64_t index, const coder_block *block,
                                worker *w, container_block *coded, ellm_error *err) {
  const coder_codebook *book;
  ELLM_TRY(take_block(m, index, &book, coded, err));
  if (!c->kernels->decode_block(book, block, coded->data, coded->bytes, &w->scratch.coder, w->scratch.codes))
    return container_undecodable(m->file, m->coded, index, err);
  return ELLM_OK;
}

static ellm_status decode_block(const compute *c, const weight_matrix *m, uint64_t index, const coder_block *block,
                                worker *w, coder_patches *patches, ellm_error *err) {
  container_block coded;
  ELLM_TRY(decode_parts(c, m, index, block, w, &coded, err));
  *patches = coded.patches;
  return ELLM_OK;
}

/* Codes of a panel of a block, among all of the block in tile order. */
static size_t panel_place(const coder_block *block, uint32_t panel) {
  return (size_t)panel * block->tiles * CODER_TILE_COLUMNS * block->panel_rows;
}
static uint32_t panel_rows_left(const coder_block *block, uint32_t panel) {
  const uint32_t rest = block->rows - panel * block->panel_rows;
  return rest < block->panel_rows ? rest : block->panel_rows;
}

/* Adds the four partial sums of each output (columns 0, 1, 2, 3 mod 4) in the fixed order of all kernels, then the
 * bias. */
static void finish_sums(const job *j, const float *sums, uint64_t first_row, size_t n_rows) {
  for (size_t t = 0; t < j->product->n_tokens; t++, sums += TILE_SUMS) {
    float *y = j->y + t * j->product->y_stride + first_row;
    for (size_t r = 0; r < n_rows; r++)
      y[r] = (sums[r] + sums[CODER_PANEL_ROWS + r]) +
             (sums[2 * CODER_PANEL_ROWS + r] + sums[3 * CODER_PANEL_ROWS + r]);
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

/* Whole tiles of a panel: missing rows get the zero code, so their weights are 0. */
static const uint8_t *whole_tiles(worker *w, const coder_block *block, const uint8_t *codes, size_t n_tiles,
                                  const quant_scales *scales) {
  if (block->panel_rows == CODER_PANEL_ROWS) return codes;
  return kernel_full_tiles(codes, n_tiles, block->panel_rows, scales->zero, w->padded);
}

/* The factors of the rows of a panel, 16 readable ones: those that are not there are 1. */
static quant_scales panel_scales(const quant_scales *scales, uint64_t first_row, uint32_t n_rows, uint64_t first_column,
                                 uint16_t rows[CODER_PANEL_ROWS]) {
  quant_scales panel = quant_scales_from(scales, first_row, first_column);
  if (panel.rows == NULL || n_rows == CODER_PANEL_ROWS) return panel;
  for (uint32_t r = 0; r < CODER_PANEL_ROWS; r++) rows[r] = r < n_rows ? panel.rows[r] : QUANT_SCALE_ONE;
  panel.rows = rows;
  return panel;
}

/* Adds the products of a decoded panel to w->sums, chunk by chunk. */
static void float_panel(const job *j, const coder_block *block, uint32_t panel, const coder_patches *patches) {
  worker *w = j->w;
  const size_t place = panel_place(block, panel), tile_codes = CODER_TILE_COLUMNS * block->panel_rows;
  uint16_t rows[CODER_PANEL_ROWS];
  for (size_t tile = 0; tile < block->tiles; tile += CHUNK_TILES) {
    const size_t n = block->tiles - tile < CHUNK_TILES ? block->tiles - tile : CHUNK_TILES;
    const uint64_t column = block->first_column + CODER_TILE_COLUMNS * tile;
    const quant_scales scales = panel_scales(&j->matrix->coded->quant.scales,
                                             block->first_row + panel * block->panel_rows,
                                             panel_rows_left(block, panel), column, rows);
    const size_t first = place + tile * tile_codes;
    const uint8_t *codes = whole_tiles(w, block, w->scratch.codes + first, n, &scales);
    j->c->kernels->tiles_from_codes(codes, n, &scales, w->chunk);
    kernel_patch_tiles(patches, block, (uint32_t)first, n, codes, &scales, w->chunk);
    multiply_chunk(j, n, column);
  }
}

static ellm_status float_coded_group(const job *j, uint64_t group, ellm_error *err) {
  const coder_geometry *geometry = &j->matrix->coded->geometry;
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const uint64_t index = group * geometry->column_ranges + range;
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    coder_patches patches;
    uint32_t from = 0;
    ELLM_TRY(decode_block(j->c, j->matrix, index, &block, j->w, &patches, err));
    for (uint32_t p = 0; p < block.panels; p++) {
      const coder_patches of_panel = kernel_panel_patches(&patches, &block, p, &from);
      if (range == 0) zero_sums(j);
      float_panel(j, &block, p, &of_panel);
      if (range + 1 == geometry->column_ranges)
        finish_sums(j, j->w->sums, block.first_row + p * block.panel_rows, panel_rows_left(&block, p));
    }
  }
  return ELLM_OK;
}

/* NaN and infinity are an error when they are first used. Nobody has looked at the elements of a folder, or of a matrix
 * that is stored exactly, before: that would mean reading the whole model when it is opened. */
static ellm_status check_rows(const weight_matrix *m, uint64_t first, size_t n_rows, ellm_error *err) {
  const size_t element = ellm_dtype_size(m->dtype), n = n_rows * m->columns;
  const uint8_t *data = m->data + first * m->columns * element;
  const size_t end = finite_end(m->dtype, data, n);
  return end == n ? ELLM_OK
                  : finite_fail(m->origin, m->name, m->dtype, first * m->columns + end, data + end * element, err);
}

static ellm_status check_block(const weight_matrix *m, const coder_block *block, const container_block *coded,
                               const uint8_t *codes, ellm_error *err) {
  uint32_t row, column;
  float values[CODER_MAX_CODES];
  if (!exact_find_not_finite(block, m->dtype, codes, &row, &column)) return ELLM_OK;
  exact_row(block, m->dtype, &m->coded->exact, codes, coded->rests, row, values);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element %llu is %g: weights must be finite", m->origin, m->name,
                   (unsigned long long)((block->first_row + row) * m->columns + block->first_column + column),
                   (double)values[column]);
}

/* Row groups of a matrix that is stored exactly: the products of its elements, in the order of a raw matrix. */
static ellm_status exact_group(const job *j, uint64_t group, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const coder_geometry *geometry = &m->coded->geometry;
  worker *w = j->w;
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    container_block coded;
    ELLM_TRY(decode_parts(j->c, m, group * geometry->column_ranges + range, &block, w, &coded, err));
    if (!m->seen[group]) ELLM_TRY(check_block(m, &block, &coded, w->scratch.codes, err));
    for (uint32_t p = 0; p < block.panels; p++) {
      if (range == 0) zero_sums(j);
      for (size_t tile = 0; tile < block.tiles; tile += CHUNK_TILES) {
        const size_t n = block.tiles - tile < CHUNK_TILES ? block.tiles - tile : CHUNK_TILES;
        const size_t first = panel_place(&block, p) + tile * CODER_TILE_COLUMNS * block.panel_rows;
        exact_tiles(&block, m->dtype, &m->coded->exact, w->scratch.codes, coded.rests, first, n, w->chunk);
        multiply_chunk(j, n, block.first_column + CODER_TILE_COLUMNS * tile);
      }
      if (range + 1 == geometry->column_ranges)
        finish_sums(j, w->sums, block.first_row + p * block.panel_rows, panel_rows_left(&block, p));
    }
  }
  m->seen[group] = true;
  return ELLM_OK;
}

static ellm_status raw_group(const job *j, uint64_t group, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const size_t element = ellm_dtype_size(m->dtype);
  const uint64_t first = group * CODER_PANEL_ROWS;
  const size_t n_rows = m->rows - first < CODER_PANEL_ROWS ? m->rows - first : CODER_PANEL_ROWS;
  const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
  if (m->seen != NULL && !m->seen[group]) {
    ELLM_TRY(check_rows(m, first, n_rows, err));
    m->seen[group] = true;
  }
  zero_sums(j);
  for (size_t column = 0; column < m->columns; column += CHUNK_COLUMNS) {
    const size_t n = m->columns - column < CHUNK_COLUMNS ? m->columns - column : CHUNK_COLUMNS;
    for (size_t r = 0; r < n_rows; r++) rows[r] = m->data + ((first + r) * m->columns + column) * element;
    /* the distance to what is read next: the rest of these rows, or the rows after these CODER_PANEL_ROWS */
    const bool last = column + CHUNK_COLUMNS >= m->columns;
    const size_t ahead = (last ? CODER_PANEL_ROWS * (size_t)m->columns - column : CHUNK_COLUMNS) * element;
    j->c->kernels->tiles_from_rows(m->dtype, rows, n_rows, n, (ptrdiff_t)ahead, j->w->chunk);
    multiply_chunk(j, (n + CODER_TILE_COLUMNS - 1) / CODER_TILE_COLUMNS, column);
  }
  finish_sums(j, j->w->sums, first, n_rows);
  return ELLM_OK;
}

/* Decodes one block once and multiplies it by all tokens. */
static ellm_status integer_block_many(const job *j, uint64_t index, const coder_block *block, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const coder_codebook *book;
  container_block coded;
  ELLM_TRY(take_block(m, index, &book, &coded, err));
  if (!j->c->kernels->multiply_block(book, block, coded.data, coded.bytes, &coded.patches, &j->w->scratch,
                                     j->activations, 0, j->product->n_tokens, &m->coded->quant.scales,
                                     j->y + block->first_row, j->product->y_stride))
    return container_undecodable(m->file, m->coded, index, err);
  return ELLM_OK;
}

/* One token: the fused kernel leaves integer sums for each group of columns, which dot_finish scales and adds to y.
 * Patches change the integers before that, because only they are exact. */
static ellm_status integer_block_one(const job *j, uint64_t index, const coder_block *block, ellm_error *err) {
  const weight_matrix *m = j->matrix;
  const kernel_activations *a = j->activations;
  const coder_codebook *book;
  container_block coded;
  ELLM_TRY(take_block(m, index, &book, &coded, err));
  if (!j->c->kernels->dot_block(book, block, coded.data, coded.bytes, &j->w->scratch, a, 0, j->w->scratch.sums))
    return container_undecodable(m->file, m->coded, index, err);
  if (coded.patches.n > 0) kernel_patch_sums(&coded.patches, block, a, 0, j->w->scratch.sums);
  j->c->kernels->dot_finish(j->w->scratch.sums, block, a, 0, &m->coded->quant.scales, block->rows,
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

/* The row groups of all matrices of a product have consecutive numbers, and threads take runs of them (base/dealing.h).
 * So q, k and v, which share an input, are dealt out together, and no thread idles at the end of the smallest. */
typedef struct product_run {
  compute *c;
  const matrix_product *product;
  uint64_t first_row;         /* of the product's first matrix, among all that product->rows is about */
  const kernel_activations *activations;
  dealing groups;
  work_failure failure;       /* by group, counted through all matrices */
} product_run;

static size_t ranges_of(const matrix_product *product) { return product->rows != NULL ? product->rows->n : 1; }

/* Ranges count rows, but work is done in whole row groups. A group that several ranges touch is computed once, for the
 * first of them: each range begins where the span of the one before ends, at the earliest. */
group_span matrix_groups(const matrix_rows *asked, const weight_matrix *m, uint64_t at, size_t range) {
  const uint64_t rows = group_rows(m);
  if (asked == NULL) return (group_span){0, (m->rows + rows - 1) / rows};
  const uint64_t begin = at % asked->period;
  group_span span = {0, 0};
  for (size_t i = 0; i <= range; i++) {
    const row_range wanted = asked->range[i];
    const uint64_t past = wanted.end > begin + m->rows ? m->rows : wanted.end > begin ? wanted.end - begin : 0;
    const uint64_t first = wanted.first > begin ? wanted.first - begin : 0;
    const uint64_t group = first / rows > span.end ? first / rows : span.end;
    const uint64_t end = first < past ? (past + rows - 1) / rows : 0;
    span = (group_span){group < end ? group : span.end, group < end ? end : span.end};
  }
  return span;
}

static ellm_status one_group(const job *j, uint64_t group, ellm_error *err) {
  if (j->matrix->data != NULL) return raw_group(j, group, err);
  if (j->matrix->coded->exact.used) return exact_group(j, group, err);
  return j->activations == NULL ? float_coded_group(j, group, err) : integer_group(j, group, err);
}

static void groups_from(product_run *run, worker *w, uint64_t first, uint64_t end) {
  const matrix_product *product = run->product;
  job j = {.c = run->c, .product = product, .activations = run->activations, .y = product->y, .w = w};
  uint64_t before = 0, at = run->first_row; /* groups of the spans passed; the matrix's first row */
  for (size_t i = 0; i < product->n_matrices && first < end; i++) {
    j.matrix = product->matrices[i];
    for (size_t range = 0; range < ranges_of(product); range++) {
      const group_span span = matrix_groups(product->rows, j.matrix, at, range);
      const uint64_t n = span.end - span.first;
      for (; first < end && first < before + n; first++) {
        ellm_error err;
        if (one_group(&j, span.first + (first - before), &err) != ELLM_OK) {
          work_fail(&run->failure, first, &err);
          return;
        }
      }
      before += n;
    }
    j.y += j.matrix->rows;
    at += j.matrix->rows;
  }
}

static void run_worker(void *user, size_t item, int thread) {
  (void)item;
  product_run *run = user;
  worker *w = run->c->workers[thread];
  uint64_t first, end;
  while (!work_failed_before(&run->failure, UINT64_MAX) && dealing_take(&run->groups, &first, &end))
    groups_from(run, w, first, end);
}

static ellm_status run_product(compute *c, const matrix_product *product, uint64_t first_row,
                               const kernel_activations *activations, ellm_error *err) {
  product_run run = {.c = c, .product = product, .first_row = first_row, .activations = activations};
  uint64_t weights = 0, n_groups = 0, at = first_row;
  for (size_t i = 0; i < product->n_matrices; i++) {
    const weight_matrix *m = product->matrices[i];
    for (size_t range = 0; range < ranges_of(product); range++) {
      const group_span span = matrix_groups(product->rows, m, at, range);
      n_groups += span.end - span.first;
      weights += (span.end - span.first) * group_rows(m) * m->columns;
    }
    at += m->rows;
  }
  if (n_groups == 0) return ELLM_OK;
  const int n = thread_pool_size(c->pool);
  dealing_begin(&run.groups, n_groups, weights, n);
  work_failure_init(&run.failure);
  pool_for(c->pool, (size_t)n, run_worker, &run);
  return work_failure_take(&run.failure, err);
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
  const float *x = work->product->x + token * work->product->x_stride;
  work->c->kernels->quantize_activations(x, work->column_scales, work->a, token);
}

/* The factors of the columns that activations are multiplied with; of a raw matrix none. */
static const uint16_t *column_scales(const weight_matrix *m) {
  return m->coded != NULL ? m->coded->quant.scales.columns : NULL;
}

static bool is_quantized(const weight_matrix *m) { return m->coded != NULL && !m->coded->exact.used; }

/* The product of matrices that share the factors of their columns, with rounded activations. */
static ellm_status run_integer(compute *c, const matrix_product *product, uint64_t first_row, ellm_error *err) {
  kernel_activations a;
  kernel_activations_init(&a, product->scratch, product->matrices[0]->columns, product->n_tokens, product->digits);
  digits_job work = {.c = c, .product = product, .column_scales = column_scales(product->matrices[0]), .a = &a};
  if (product->n_tokens > 1) {
    pool_for(c->pool, product->n_tokens, digits_of_token, &work);
  } else {
    digits_of_token(&work, 0, 0);
  }
  return run_product(c, product, first_row, &a, err);
}

/* Activations are multiplied by the factors of the columns before they are rounded. So matrices that share these
 * factors share the rounded activations and form one part; others are separate products, one after the other. */
ellm_status matrix_multiply(compute *c, const matrix_product *product, ellm_error *err) {
  const double start = clock_seconds();
  matrix_product part = *product;
  uint64_t row = 0;
  ellm_status status = ELLM_OK;
  for (size_t first = 0; first < product->n_matrices && status == ELLM_OK; first += part.n_matrices) {
    bool coded = false;
    size_t n = 0;
    part.matrices = product->matrices + first;
    while (first + n < product->n_matrices && column_scales(part.matrices[n]) == column_scales(part.matrices[0]))
      coded = is_quantized(part.matrices[n++]) || coded;
    part.n_matrices = n;
    status = coded && product->digits > 0 ? run_integer(c, &part, row, err) : run_product(c, &part, row, NULL, err);
    for (size_t i = 0; i < n; i++) row += part.matrices[i]->rows;
    part.y = product->y + row;
  }
  c->product_seconds += clock_seconds() - start;
  return status;
}

/* ------------------------------------------------------------------ one row */

static ellm_status exact_matrix_row(compute *c, const weight_matrix *m, uint32_t row, float *out, ellm_error *err) {
  worker *w = c->workers[0];
  const coder_geometry *geometry = &m->coded->geometry;
  const uint64_t group = row / group_rows(m), in_group = row % group_rows(m);
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    container_block coded;
    ELLM_TRY(decode_parts(c, m, group * geometry->column_ranges + range, &block, w, &coded, err));
    if (!m->seen[group]) ELLM_TRY(check_block(m, &block, &coded, w->scratch.codes, err));
    exact_row(&block, m->dtype, &m->coded->exact, w->scratch.codes, coded.rests, (uint32_t)in_group,
              out + block.first_column);
  }
  return ELLM_OK;
}

static ellm_status coded_row(compute *c, const weight_matrix *m, uint32_t row, float *out, ellm_error *err) {
  worker *w = c->workers[0];
  const quant_scales *scales = &m->coded->quant.scales;
  const coder_geometry *geometry = &m->coded->geometry;
  const uint64_t group = row / group_rows(m);
  const uint32_t in_group = (uint32_t)(row % group_rows(m)), lane = in_group % geometry->panel_rows;
  for (uint64_t range = 0; range < geometry->column_ranges; range++) {
    const uint64_t index = group * geometry->column_ranges + range;
    const coder_block block = coder_geometry_block_at(geometry, group, range);
    coder_patches patches;
    ELLM_TRY(decode_block(c, m, index, &block, w, &patches, err));
    const uint8_t *tiles = w->scratch.codes + panel_place(&block, in_group / geometry->panel_rows);
    int32_t codes[CODER_MAX_CODES];
    for (uint32_t column = 0; column < block.columns; column++)
      codes[column] = tiles[((size_t)(column / CODER_TILE_COLUMNS) * block.panel_rows + lane) * CODER_TILE_COLUMNS +
                            column % CODER_TILE_COLUMNS];
    for (uint32_t i = 0; i < patches.n; i++) {
      const coder_patch patch = coder_patch_at(&patches, i);
      uint32_t patch_row, column;
      coder_patch_where(&block, patch.place, &patch_row, &column);
      if (patch_row == in_group && column < block.columns) codes[column] += patch.difference;
    }
    for (uint32_t column = 0; column < block.columns; column++)
      out[block.first_column + column] = quant_weight(scales, codes[column], row, block.first_column + column);
  }
  return ELLM_OK;
}

ellm_status matrix_row(compute *c, const weight_matrix *m, uint32_t row, float *out, ellm_error *err) {
  worker *w = c->workers[0];
  if (row >= m->rows)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "tensor %s has %u rows, row %u was asked for", m->name, m->rows, row);
  if (m->data != NULL) {
    const size_t element = ellm_dtype_size(m->dtype);
    const uint8_t *rows[CODER_PANEL_ROWS] = {NULL};
    if (m->seen != NULL && !m->seen[row / CODER_PANEL_ROWS]) ELLM_TRY(check_rows(m, row, 1, err));
    for (size_t column = 0; column < m->columns; column += CHUNK_COLUMNS) {
      const size_t n = m->columns - column < CHUNK_COLUMNS ? m->columns - column : CHUNK_COLUMNS;
      rows[0] = m->data + ((uint64_t)row * m->columns + column) * element;
      c->kernels->tiles_from_rows(m->dtype, rows, 1, n, 0, w->chunk);
      for (size_t i = 0; i < n; i++) out[column + i] = w->chunk[i * CODER_PANEL_ROWS];
    }
    return ELLM_OK;
  }
  return m->coded->exact.used ? exact_matrix_row(c, m, row, out, err) : coded_row(c, m, row, out, err);
}
