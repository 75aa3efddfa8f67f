/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See token_sample.h. Each matrix is worked on by one thread, and all threads work at the same time.
 *
 * To measure generation, blocks must be real: decoding time depends on the codes. But coding all blocks of a large
 * model takes minutes. So DISTINCT_BLOCKS blocks of each matrix are coded, spread evenly over it, and repeated in
 * memory over its whole size. Every block then still comes from memory, and its bytes are read once per token, as in
 * the model.
 */
#include "bench/token_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/work_failure.h"
#include "bench/matrix.h"
#include "coder/encode.h"
#include "coder/patches.h"
#include "kernels/kernels.h"
#include "quant/quantize.h"

enum { DISTINCT_BLOCKS = 32, STRIP_ELEMENTS = 1 << 18 };

/* Memory of a thread. */
typedef struct share {
  coder_encoder *encoder;
  kernel_scratch *kernels;
  uint8_t *raw, *codes;   /* elements of a strip; codes of a row group, row-major */
  coder_patch patches[CODER_MAX_CODES];
  uint8_t block[CODER_MAX_BLOCK_BYTES + CODER_SLACK];
} share;

typedef struct work {
  const token_plan *plan;
  const token_sample *sample;
  token_sample *made;
  coded_sample *out;
  int bits;
  coder_aim aim;
  share **shares;
  work_failure failure;
} work;

static uint64_t group_rows(const coder_geometry *g) { return (uint64_t)g->panels_per_block * g->panel_rows; }

/* ----------------------------------------------------------------- threads */

static void shares_free(work *w, int n) {
  for (int i = 0; w->shares != NULL && i < n; i++) {
    if (w->shares[i] == NULL) continue;
    coder_encoder_free(w->shares[i]->encoder);
    ellm_aligned_free(w->shares[i]->kernels);
    free(w->shares[i]->raw);
    free(w->shares[i]->codes);
    ellm_aligned_free(w->shares[i]);
  }
  free(w->shares);
}

static ellm_status shares_make(work *w, int n, ellm_error *err) {
  size_t most = STRIP_ELEMENTS; /* of a row group, too */
  for (size_t i = 0; i < w->plan->n_matrices; i++) {
    const size_t group = (size_t)w->plan->matrices[i].columns * CODER_PANEL_ROWS;
    if (group > most) most = group;
  }
  if (most < CODER_MAX_CODES) most = CODER_MAX_CODES;
  w->shares = calloc((size_t)n, sizeof *w->shares);
  if (w->shares == NULL) return ellm_fail_memory(err, (size_t)n * sizeof *w->shares, "threads");
  for (int i = 0; i < n; i++) {
    share *s = w->shares[i] = ellm_aligned_calloc(1, sizeof *s);
    if (s == NULL) return ellm_fail_memory(err, sizeof *s, "scratch memory of a thread");
    ELLM_TRY(coder_encoder_create(&s->encoder, err));
    s->kernels = ellm_aligned_calloc(1, sizeof *s->kernels);
    s->raw = malloc(most * sizeof(float));
    s->codes = malloc(most + CODER_SLACK);
    if (!s->kernels || !s->raw || !s->codes) return ellm_fail_memory(err, 5 * most, "scratch memory of a thread");
  }
  return ELLM_OK;
}

static ellm_status run(work *w, thread_pool *pool, pool_for_fn fn, ellm_error *err) {
  work_failure_init(&w->failure);
  ellm_status status = shares_make(w, thread_pool_size(pool), err);
  if (status == ELLM_OK) {
    pool_for(pool, w->plan->n_matrices, fn, w);
    status = work_failure_take(&w->failure, err);
  }
  shares_free(w, thread_pool_size(pool));
  return status;
}

/* ------------------------------------------------------------------- codes */

/* Which row group of the matrix the real group number i is. */
static uint64_t source_group(const sampled_matrix *m, uint64_t i) {
  return i * m->geometry.row_groups / m->distinct.row_groups;
}

static uint8_t *block_codes(const sampled_matrix *m, uint64_t block) { return m->codes + block * CODER_MAX_CODES; }

static ellm_status codes_of_file(work *w, const plan_matrix *from, sampled_matrix *m, share *s, ellm_error *err) {
  const container_tensor *t = from->tensor->coded;
  const ellm_file *file = source_file(w->plan->source);
  m->bits = t->book.bits;
  m->zero = t->quant.scales.zero;
  m->error = -1;
  for (uint64_t g = 0; g < m->distinct.row_groups; g++)
    for (uint64_t r = 0; r < m->distinct.column_ranges; r++) {
      coder_patches patches;
      const uint64_t index = source_group(m, g) * m->geometry.column_ranges + r;
      uint8_t *codes = block_codes(m, g * m->distinct.column_ranges + r);
      ELLM_TRY(container_decode_block(file, t, index, kernels_best()->decode_block, &s->kernels->coder, s->codes,
                                      &patches, err));
      memcpy(codes, s->codes, CODER_MAX_CODES);
      if (patches.n > 0) (void)coder_patch_codes(&patches, t->book.bits, codes); /* those beyond stay at the end */
    }
  return ELLM_OK;
}

static ellm_status range_of(const token_plan *plan, const plan_matrix *from, share *s, quant_range *range,
                            ellm_error *err) {
  const size_t size = ellm_dtype_size(from->tensor->dtype);
  const uint64_t n = from->rows * from->columns;
  *range = QUANT_RANGE_EMPTY;
  for (uint64_t first = 0; first < n; first += STRIP_ELEMENTS) {
    const size_t part = n - first < STRIP_ELEMENTS ? (size_t)(n - first) : STRIP_ELEMENTS;
    ELLM_TRY(source_read(plan->source, from->tensor, first * size, s->raw, part * size, err));
    quant_range_add(range, from->tensor->dtype, s->raw, part, first);
  }
  if (range->bad)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: element %llu of tensor %s is %g: it cannot be quantized",
                     source_origin(plan->source, from->tensor), (unsigned long long)range->bad_index,
                     from->tensor->name, range->bad_value);
  return ELLM_OK;
}

static double weight_at(ellm_dtype dtype, const uint8_t *raw, size_t i) {
  if (dtype == ELLM_F32) return (double)float_from_bits(load_u32(raw + 4 * i));
  return (double)(dtype == ELLM_F16 ? float_from_f16(load_u16(raw + 2 * i)) : float_from_bf16(load_u16(raw + 2 * i)));
}

static ellm_status codes_of_weights(work *w, const plan_matrix *from, sampled_matrix *m, share *s, ellm_error *err) {
  const ellm_dtype dtype = from->tensor->dtype;
  const size_t size = ellm_dtype_size(dtype);
  quant_range range;
  if (dtype != ELLM_F32 && dtype != ELLM_F16 && dtype != ELLM_BF16)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is of type %s, which is not quantized",
                     source_origin(w->plan->source, from->tensor), from->tensor->name, ellm_dtype_name(dtype));
  ELLM_TRY(range_of(w->plan, from, s, &range, err));
  const quant_params params = quant_choose(range.lo, range.hi, w->bits, ELLM_SCHEME_MIXED);
  uint8_t *table = malloc(QUANT_PATTERNS);
  if (table == NULL) return ellm_fail_memory(err, QUANT_PATTERNS, "a table of codes");
  if (dtype != ELLM_F32) quant_table(dtype, &params, table);
  m->bits = w->bits;
  m->zero = params.scales.zero;
  ellm_status status = ELLM_OK;
  for (uint64_t g = 0; g < m->distinct.row_groups && status == ELLM_OK; g++) {
    const uint64_t rows = group_rows(&m->distinct), left = m->distinct.rows - g * rows;
    const size_t n = (size_t)((rows < left ? rows : left) * from->columns);
    const uint64_t first = source_group(m, g) * rows * from->columns;
    status = source_read(w->plan->source, from->tensor, first * size, s->raw, n * size, err);
    if (status != ELLM_OK) break;
    if (dtype == ELLM_F32) quant_encode_f32(s->raw, n, &params, s->codes);
    for (size_t i = 0; i < n; i++) {
      if (dtype != ELLM_F32) s->codes[i] = table[load_u16(s->raw + 2 * i)];
      const double x = weight_at(dtype, s->raw, i), y = (double)quant_weight(&params.scales, s->codes[i], 0, 0);
      m->error += (x - y) * (x - y);
      m->energy += x * x;
    }
    for (uint64_t r = 0; r < m->distinct.column_ranges; r++) {
      const coder_block block = coder_geometry_block_at(&m->distinct, g, r);
      coder_tile_block(&block, s->codes + block.first_column, (size_t)from->columns, (uint8_t)m->zero,
                       block_codes(m, g * m->distinct.column_ranges + r));
    }
  }
  free(table);
  return status;
}

/* The blocks of all rows in the plan, and of those that are real. */
static ellm_status shape_sample(const plan_matrix *from, sampled_matrix *m, ellm_error *err) {
  const container_tensor *t = from->tensor->coded;
  const bool ok = t != NULL ? coder_geometry_from(&m->geometry, from->rows, from->columns, t->geometry.panels_per_block,
                                                  t->geometry.block_columns)
                            : coder_geometry_init(&m->geometry, from->rows, from->columns);
  uint64_t groups = (DISTINCT_BLOCKS + m->geometry.column_ranges - 1) / m->geometry.column_ranges;
  if (groups > m->geometry.row_groups) groups = m->geometry.row_groups;
  const uint64_t rows = groups * group_rows(&m->geometry);
  if (!ok || !coder_geometry_from(&m->distinct, rows < from->rows ? rows : from->rows, from->columns,
                                  m->geometry.panels_per_block, m->geometry.block_columns))
    return ellm_fail(err, ELLM_ERR_INTERNAL, "no blocks of tensor %s", from->tensor->name);
  m->codes = ellm_aligned_calloc((size_t)m->distinct.n_blocks, CODER_MAX_CODES);
  return m->codes != NULL ? ELLM_OK
                          : ellm_fail_memory(err, (size_t)m->distinct.n_blocks * CODER_MAX_CODES, "codes of a matrix");
}

static void count_codes(sampled_matrix *m) {
  for (uint64_t i = 0; i < m->distinct.n_blocks; i++) {
    const coder_block block = coder_geometry_block(&m->distinct, i);
    coder_count_codes(block_codes(m, i), coder_block_codes(&block), m->stats.codes);
    coder_statistics_add_pairs(&m->stats, &block, m->bits, block_codes(m, i));
  }
  m->pad = coder_pad(m->stats.codes);
}

static void sample_matrix(void *user, size_t index, int thread) {
  work *w = user;
  ellm_error err;
  const plan_matrix *from = &w->plan->matrices[index];
  sampled_matrix *m = w->made->matrices[index] = calloc(1, sizeof *m);
  ellm_status status = m != NULL ? shape_sample(from, m, &err) : ellm_fail_memory(&err, sizeof *m, "a matrix");
  if (status == ELLM_OK)
    status = w->bits == 0 ? codes_of_file(w, from, m, w->shares[thread], &err)
                          : codes_of_weights(w, from, m, w->shares[thread], &err);
  if (status != ELLM_OK) work_fail(&w->failure, index, &err);
  else count_codes(m);
}

/* The mean over the weights of a token of a figure of each matrix. */
static double token_mean(const token_plan *plan, double (*of)(const void *set, size_t matrix), const void *set) {
  double sum = 0, weights = 0;
  for (size_t i = 0; i < plan->n_products; i++)
    for (size_t j = plan->products[i].first; j < plan->products[i].first + plan->products[i].n; j++) {
      const double n = plan->products[i].per_token * (double)plan->matrices[j].rows * (double)plan->matrices[j].columns;
      sum += n * of(set, j);
      weights += n;
    }
  return weights > 0 ? sum / weights : 0;
}

static double entropy_of(const void *set, size_t i) {
  const sampled_matrix *m = ((const token_sample *)set)->matrices[i];
  double n = 0;
  for (int q = 0; q < 256; q++) n += (double)m->stats.codes[q];
  return coder_entropy_bits(m->stats.codes, 256) / n;
}

static double error_of(const void *set, size_t i) {
  const sampled_matrix *m = ((const token_sample *)set)->matrices[i];
  return m->energy > 0 ? m->error / m->energy : 0;
}

ellm_status token_sample_make(const token_plan *plan, int bits, thread_pool *pool, token_sample *sample,
                              ellm_error *err) {
  *sample = (token_sample){.plan = plan, .matrices = calloc(plan->n_matrices, sizeof *sample->matrices)};
  if (sample->matrices == NULL) return ellm_fail_memory(err, plan->n_matrices * sizeof *sample->matrices, "a sample");
  work w = {.plan = plan, .made = sample, .bits = bits};
  const ellm_status status = run(&w, pool, sample_matrix, err);
  if (status != ELLM_OK) {
    token_sample_free(sample);
    return status;
  }
  sample->entropy = token_mean(plan, entropy_of, sample);
  sample->weight_error = bits == 0 ? -1 : sqrt(token_mean(plan, error_of, sample));
  return ELLM_OK;
}

void token_sample_free(token_sample *sample) {
  for (size_t i = 0; sample->matrices != NULL && i < sample->plan->n_matrices; i++) {
    if (sample->matrices[i] != NULL) ellm_aligned_free(sample->matrices[i]->codes);
    free(sample->matrices[i]);
  }
  free(sample->matrices);
  sample->matrices = NULL;
}

/* ------------------------------------------------------------------ coding */

/* One real block behind the data so far; *bytes: of it, patches included. */
static ellm_status code_block(const sampled_matrix *m, const bench_coded *c, uint64_t index, share *s, uint8_t *out,
                              size_t *bytes, ellm_error *err) {
  const coder_block block = coder_geometry_block(&m->distinct, index);
  size_t patch_bytes = 0;
  memcpy(s->codes, block_codes(m, index), CODER_MAX_CODES);
  if (c->patched) {
    const size_t n = coder_clip(&c->book, s->codes, coder_block_codes(&block), s->patches);
    patch_bytes = coder_patches_bytes(s->patches, n);
    if (patch_bytes == SIZE_MAX) return ellm_fail(err, ELLM_ERR_INTERNAL, "a block has too many patches");
    coder_patches_store(s->patches, n, out);
  }
  const size_t coded = coder_encode_block(s->encoder, &c->book, &block, s->codes, s->block);
  if (coded == CODER_NOT_CODABLE)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "a block cannot be coded by its own book");
  memcpy(out + patch_bytes, s->block, coded);
  *bytes = patch_bytes + coded;
  return ELLM_OK;
}

/* Real blocks to `data`, their ends to offset[1...]. */
static ellm_status code_distinct(const sampled_matrix *m, const bench_coded *c, share *s, uint8_t *data,
                                 uint64_t *offset, ellm_error *err) {
  for (uint64_t i = 0; i < m->distinct.n_blocks; i++) {
    size_t bytes = 0;
    ELLM_TRY(code_block(m, c, i, s, data + offset[i], &bytes, err));
    offset[i + 1] = offset[i] + bytes;
  }
  return ELLM_OK;
}

/* Row groups repeat; all are of full height (token_plan takes no others), or there is one. */
static ellm_status repeat_blocks(const sampled_matrix *m, bench_coded *c, const uint8_t *data, const uint64_t *offset,
                                 ellm_error *err) {
  const uint64_t real = m->distinct.n_blocks, n = m->geometry.n_blocks;
  c->geometry = m->geometry;
  uint64_t *all = ellm_aligned_calloc((size_t)n + 1, sizeof *all);
  if (all == NULL) return ellm_fail_memory(err, (size_t)n * sizeof *all, "offsets of blocks");
  c->offset = c->owned[1] = all;
  for (uint64_t i = 0; i < n; i++) all[i + 1] = all[i] + offset[i % real + 1] - offset[i % real];
  uint8_t *out = ellm_aligned_calloc((size_t)all[n] + CODER_SLACK, 1);
  if (out == NULL) return ellm_fail_memory(err, (size_t)all[n], "a coded matrix");
  c->data = c->owned[0] = out;
  for (uint64_t i = 0; i < n; i++)
    memcpy(out + all[i], data + offset[i % real], (size_t)(offset[i % real + 1] - offset[i % real]));
  return ELLM_OK;
}

static ellm_status code_matrix(const sampled_matrix *m, const coder_choice *choice, bench_coded *c, share *s,
                               ellm_error *err) {
  const size_t n = (size_t)m->distinct.n_blocks;
  c->book = choice->book;
  c->patched = choice->outliers > 0;
  uint8_t *data = ellm_aligned_calloc(n, CODER_MAX_BLOCK_BYTES + CODER_PATCHES_HEAD + CODER_MAX_CODES * CODER_PATCH_BYTES);
  uint64_t *offset = ellm_aligned_calloc(n + 1, sizeof *offset);
  ellm_status status = data != NULL && offset != NULL ? ELLM_OK : ellm_fail_memory(err, n * 65536, "blocks of a matrix");
  if (status == ELLM_OK) status = code_distinct(m, c, s, data, offset, err);
  if (status == ELLM_OK) status = repeat_blocks(m, c, data, offset, err);
  ellm_aligned_free(data);
  ellm_aligned_free(offset);
  return status;
}

static void code_one(void *user, size_t index, int thread) {
  work *w = user;
  ellm_error err;
  coder_choice choice;
  const sampled_matrix *m = w->sample->matrices[index];
  const coder_codes codes = {&m->stats, &m->distinct, m->bits, m->zero, m->pad};
  ellm_status status = coder_choose(&codes, w->aim, &choice, &err);
  if (status == ELLM_OK) status = code_matrix(m, &choice, &w->out->coded[index], w->shares[thread], &err);
  if (status != ELLM_OK) work_fail(&w->failure, index, &err);
}

static double bits_of(const void *set, size_t i) { return bench_coded_bits(&((const coded_sample *)set)->coded[i]); }

static ellm_status coded_sample_init(const token_plan *plan, coded_sample *coded, ellm_error *err) {
  *coded = (coded_sample){.plan = plan,
                          .coded = calloc(plan->n_matrices, sizeof *coded->coded),
                          .file = calloc(plan->n_matrices, sizeof *coded->file)};
  return coded->coded != NULL && coded->file != NULL
             ? ELLM_OK
             : ellm_fail_memory(err, plan->n_matrices * sizeof *coded->coded, "coded matrices");
}

ellm_status coded_sample_make(const token_sample *sample, coder_aim aim, thread_pool *pool, coded_sample *coded,
                              ellm_error *err) {
  work w = {.plan = sample->plan, .sample = sample, .out = coded, .aim = aim};
  ellm_status status = coded_sample_init(sample->plan, coded, err);
  if (status == ELLM_OK) status = run(&w, pool, code_one, err);
  if (status == ELLM_OK) coded->bits = token_mean(sample->plan, bits_of, coded);
  else coded_sample_free(coded);
  return status;
}

/* The blocks of the first rows: those of the plan. */
static void first_rows(bench_coded *c, uint64_t rows) {
  coder_geometry g;
  if (rows < c->geometry.rows && coder_geometry_from(&g, rows, c->geometry.columns, c->geometry.panels_per_block,
                                                     c->geometry.block_columns))
    c->geometry = g;
}

ellm_status coded_sample_of_file(const token_plan *plan, coded_sample *coded, ellm_error *err) {
  ellm_file *file = source_file(plan->source);
  ellm_status status = coded_sample_init(plan, coded, err);
  for (size_t i = 0; i < plan->n_matrices && status == ELLM_OK; i++) {
    size_t index = 0;
    const container_tensor *t;
    while ((t = container_tensor_at(file, index)) != NULL && t != plan->matrices[i].tensor->coded) index++;
    status = ellm_bench_matrix_of_file(file, index, &coded->file[i], err);
    if (status != ELLM_OK) break;
    coded->coded[i] = coded->file[i]->coded; /* which owns it */
    first_rows(&coded->coded[i], plan->matrices[i].rows);
  }
  if (status == ELLM_OK) coded->bits = token_mean(plan, bits_of, coded);
  else coded_sample_free(coded);
  return status;
}

void coded_sample_free(coded_sample *coded) {
  for (size_t i = 0; coded->file != NULL && i < coded->plan->n_matrices; i++) {
    if (coded->file[i] != NULL) ellm_bench_matrix_free(coded->file[i]);
    else if (coded->coded != NULL) bench_coded_free(&coded->coded[i]);
  }
  free(coded->coded);
  free(coded->file);
  coded->coded = NULL;
  coded->file = NULL;
}

/* --------------------------------------------------------------- modelling */

typedef struct figures { double *each; } figures;

static double figure_of(const void *set, size_t i) { return ((const figures *)set)->each[i]; }

/* aim NULL: the books of the file. */
static ellm_status model(const token_sample *sample, const coder_aim *aim, ellm_machine machine, double *bits,
                         double *cycles, ellm_error *err) {
  const token_plan *plan = sample->plan;
  figures all_bits = {calloc(plan->n_matrices, sizeof(double))}, all_cycles = {calloc(plan->n_matrices, sizeof(double))};
  ellm_status status = all_bits.each != NULL && all_cycles.each != NULL
                           ? ELLM_OK
                           : ellm_fail_memory(err, plan->n_matrices * sizeof(double), "figures of matrices");
  for (size_t i = 0; i < plan->n_matrices && status == ELLM_OK; i++) {
    const sampled_matrix *m = sample->matrices[i];
    const coder_codes codes = {&m->stats, &m->distinct, m->bits, m->zero, m->pad};
    const double weights = (double)m->distinct.rows * (double)m->distinct.columns;
    coder_choice choice = {.bytes = 0};
    if (aim != NULL) {
      status = coder_choose(&codes, *aim, &choice, err);
      all_bits.each[i] = 8 * choice.bytes / weights;
    } else {
      const container_tensor *t = plan->matrices[i].tensor->coded;
      choice.book = t->book;
      choice.outliers = (uint64_t)((double)t->quant.scales.outliers / (double)t->n_elements * weights);
      all_bits.each[i] = 8 * (double)t->payload_bytes / (double)t->n_elements;
    }
    if (status == ELLM_OK)
      status = coder_cycles(&choice.book, &codes, choice.outliers, machine, &all_cycles.each[i], err);
    all_cycles.each[i] /= weights;
  }
  if (status == ELLM_OK) {
    *bits = token_mean(plan, figure_of, &all_bits);
    *cycles = token_mean(plan, figure_of, &all_cycles);
  }
  free(all_bits.each);
  free(all_cycles.each);
  return status;
}

ellm_status coded_sample_model(const token_sample *sample, coder_aim aim, ellm_machine machine, double *bits,
                               double *cycles, ellm_error *err) {
  return model(sample, &aim, machine, bits, cycles, err);
}

ellm_status coded_sample_model_file(const token_sample *sample, ellm_machine machine, double *bits, double *cycles,
                                    ellm_error *err) {
  return model(sample, NULL, machine, bits, cycles, err);
}
