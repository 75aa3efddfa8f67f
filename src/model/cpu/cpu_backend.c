/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of backend.h on processors. Most are done row by row (a row is one position of a batch): a job says
 * what, and cpu_for_rows deals rows to threads. Products, attention and experts have files of their own. A member of a
 * team computes only its own heads and rows, and cpu_team.c gathers the others'.
 */
#include "model/cpu/cpu_backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/cpu/cpu_activate.h"
#include "model/cpu/cpu_attention.h"
#include "model/cpu/cpu_experts.h"
#include "model/cpu/cpu_pages.h"
#include "model/cpu/cpu_team.h"

static float *row_of(const cpu_backend *c, backend_buffer buffer, size_t row) {
  return c->buffer[buffer] + row * c->stride[buffer];
}

/* --------------------------------------------------------------- row by row */

static void angles_of_row(void *user, size_t row, int thread) {
  (void)thread;
  const cpu_backend *c = user;
  const rope_tables *ropes = c->shape.ropes;
  rope_angles(ropes, c->rows[row].long_factors, c->rows[row].position, c->cos_sin + row * ropes->stride);
}

static ellm_status begin(backend *b, const batch_row *rows, size_t n, ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  c->rows = rows;
  c->n = n;
  const float scale = c->shape.config->embedding_scale;
  for (size_t row = 0; row < n; row++) {
    float *stream = row_of(c, BUFFER_STREAM, row);
    ELLM_TRY(matrix_row(c->compute, c->shape.embedding, rows[row].id, stream, err));
    if (scale != 1) c->k->scale(stream, scale, c->columns[BUFFER_STREAM]);
  }
  cpu_for_rows(c, n, angles_of_row, c);
  return ELLM_OK;
}

static void read_rows(backend *b, backend_buffer buffer, size_t n, float *out, size_t stride) {
  const cpu_backend *c = cpu_of(b);
  const size_t columns = c->columns[buffer];
  for (size_t row = 0; row < n; row++, out += stride) {
    memcpy(out, row_of(c, buffer, row), columns * sizeof *out);
    memset(out + columns, 0, (stride - columns) * sizeof *out);
  }
}

static void write_rows(backend *b, backend_buffer buffer, size_t n, const float *data, size_t stride) {
  const cpu_backend *c = cpu_of(b);
  for (size_t row = 0; row < n; row++, data += stride)
    memcpy(row_of(c, buffer, row), data, c->columns[buffer] * sizeof *data);
}

typedef struct row_job {
  const cpu_backend *c;
  backend_buffer x, out;
  const float *weight, *k_weight;
  const rope_frequencies *rope; /* NULL: none */
  arch_activation activation;
  uint32_t inner;
} row_job;

static void norm_of_row(void *user, size_t row, int thread) {
  (void)thread;
  const row_job *job = user;
  const cpu_backend *c = job->c;
  c->k->rms_norm(row_of(c, job->x, row), job->weight, (float)c->shape.config->rms_norm_eps, row_of(c, job->out, row),
                 c->columns[job->x]);
}

static void norm(backend *b, const float *weight, backend_buffer x, backend_buffer out) {
  row_job job = {.c = cpu_of(b), .x = x, .out = out, .weight = weight};
  cpu_for_rows(job.c, job.c->n, norm_of_row, &job);
}

/* Is head h of the queries, or of the keys behind them, computed here? */
static bool is_own(const cpu_backend *c, uint32_t h) {
  const uint32_t n = c->shape.config->n_heads;
  return h < n ? h >= c->heads.first && h < c->heads.end : h - n >= c->heads.kv_first && h - n < c->heads.kv_end;
}

static void rotate_row(void *user, size_t row, int thread) {
  (void)thread;
  const row_job *job = user;
  const cpu_backend *c = job->c;
  const model_config *config = c->shape.config;
  const float *angles = c->cos_sin + row * c->shape.ropes->stride;
  float *head = row_of(c, BUFFER_QKV, row);
  for (uint32_t h = 0; h < config->n_heads + config->n_kv_heads; h++, head += config->head_dim) {
    if (!is_own(c, h)) continue;
    const float *weight = h < config->n_heads ? job->weight : job->k_weight;
    if (weight != NULL) c->k->rms_norm(head, weight, (float)config->rms_norm_eps, head, config->head_dim);
    if (job->rope != NULL) c->k->rope(head, angles + job->rope->offset, job->rope->half);
  }
}

static void rotate(backend *b, uint32_t rope, const float *q_norm, const float *k_norm) {
  row_job job = {.c = cpu_of(b), .weight = q_norm, .k_weight = k_norm};
  if (rope != ARCH_NO_ROPE) job.rope = &job.c->shape.ropes->table[rope];
  cpu_for_rows(job.c, job.c->n, rotate_row, &job);
}

static void activate_row(void *user, size_t row, int thread) {
  (void)thread;
  const row_job *job = user;
  const cpu_backend *c = job->c;
  cpu_activate(c, job->activation, row_of(c, BUFFER_GATE_UP, row), job->inner, row_of(c, BUFFER_INNER, row));
}

static ellm_status activate(backend *b, arch_activation activation, uint32_t intermediate_size, ellm_error *err) {
  const cpu_backend *c = cpu_of(b);
  row_job job = {.c = c, .activation = activation, .inner = intermediate_size};
  cpu_for_rows(c, c->n, activate_row, &job);
  return cpu_gather(c, c->buffer[BUFFER_INNER], c->n, c->stride[BUFFER_INNER], intermediate_size, CODER_PANEL_ROWS, 1, err);
}

typedef struct add_job { cpu_backend *c; float scale; } add_job;

static void add_row(void *user, size_t row, int thread) {
  (void)thread;
  const add_job *job = user;
  const size_t n = job->c->columns[BUFFER_STREAM];
  float *branch = row_of(job->c, BUFFER_PROJECTED, row);
  if (job->scale != 1) job->c->k->scale(branch, job->scale, n);
  job->c->k->add(branch, row_of(job->c, BUFFER_STREAM, row), n);
}

static void add(backend *b, float scale) {
  add_job job = {cpu_of(b), scale};
  cpu_for_rows(job.c, job.c->n, add_row, &job);
}

static size_t select_rows(backend *b) {
  cpu_backend *c = cpu_of(b);
  size_t n = 0;
  for (size_t row = 0; row < c->n; row++) {
    if (c->rows[row].logits == NULL) continue;
    if (n != row)
      memcpy(row_of(c, BUFFER_STREAM, n), row_of(c, BUFFER_STREAM, row), c->columns[BUFFER_STREAM] * sizeof(float));
    c->wanted[n++] = (uint32_t)row;
  }
  return c->n = n;
}

/* ------------------------------------------------------------------ products */

/* y[n][y_stride] = W x + bias for rows first .. first + n - 1 of x. */
static ellm_status multiply(cpu_backend *c, const matrix_group *group, const matrix_rows *rows, unsigned digits,
                            backend_buffer x, size_t first, size_t n, float *y, size_t y_stride, ellm_error *err) {
  const weight_matrix *matrices[sizeof group->matrix / sizeof *group->matrix];
  for (size_t i = 0; i < group->n; i++) matrices[i] = &group->matrix[i];
  const matrix_product product = {.matrices = matrices,
                                  .n_matrices = group->n,
                                  .x = row_of(c, x, first),
                                  .x_stride = c->stride[x],
                                  .digits = digits,
                                  .scratch = c->scratch,
                                  .n_tokens = n,
                                  .y = y,
                                  .y_stride = y_stride,
                                  .rows = rows};
  return matrix_multiply(c->compute, &product, err);
}

static uint32_t group_rows(const matrix_group *group) {
  uint32_t n = 0;
  for (size_t i = 0; i < group->n; i++) n += group->matrix[i].rows;
  return n;
}

/* All of a result, whose columns are the rows of a matrix, is needed by the next step; of the others one's own part
 * is. */
static ellm_status multiply_all(cpu_backend *c, const matrix_group *group, uint32_t n_rows, unsigned digits,
                                backend_buffer x, size_t first, size_t n, float *y, size_t y_stride, ellm_error *err) {
  matrix_rows rows;
  ELLM_TRY(multiply(c, group, cpu_plain_rows(c, n_rows, &rows), digits, x, first, n, y, y_stride, err));
  return cpu_gather(c, y, n, y_stride, n_rows, CODER_PANEL_ROWS, 1, err);
}

static ellm_status product(backend *b, const matrix_group *group, backend_buffer x, backend_buffer out,
                           ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  float *y = c->buffer[out];
  const size_t stride = c->stride[out];
  matrix_rows rows;
  switch (out) {
    case BUFFER_QKV: return multiply(c, group, cpu_qkv_rows(c, &rows), cpu_digits(c), x, 0, c->n, y, stride, err);
    case BUFFER_GATE_UP: {
      const uint32_t inner = group_rows(group) / 2;
      return multiply(c, group, cpu_gate_up_rows(c, inner, &rows), cpu_digits(c), x, 0, c->n, y, stride, err);
    }
    default: return multiply_all(c, group, c->columns[out], cpu_digits(c), x, 0, c->n, y, stride, err);
  }
}

static float *logits_at(const cpu_backend *c, size_t i) { return c->rows[c->wanted[i]].logits; }

static void finish_row(void *user, size_t row, int thread) {
  (void)thread;
  const cpu_backend *c = user;
  const model_config *config = c->shape.config;
  if (config->logits_scale != 1) c->k->scale(logits_at(c, row), config->logits_scale, config->vocab_size);
  if (config->logits_soft_cap != 0) c->k->soft_cap(logits_at(c, row), config->logits_soft_cap, config->vocab_size);
}

/* With i8, too, logits are products with two digits: their rounding would do a quarter of the damage of all, and of a
 * prompt they are asked for at one position.
 * Rows of logits that lie one after the other are written in place, others through `staged`. */
static ellm_status logits(backend *b, const matrix_group *head, backend_buffer x, ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  const uint32_t vocab = c->shape.config->vocab_size;
  const unsigned digits = cpu_digits(c) == 0 ? 0 : 2;
  for (size_t first = 0, n; first < c->n; first += n) {
    for (n = 1; first + n < c->n && logits_at(c, first + n) == logits_at(c, first) + n * vocab;) n++;
    if (n == c->n) {
      ELLM_TRY(multiply_all(c, head, vocab, digits, x, 0, n, logits_at(c, 0), vocab, err));
      break;
    }
    n = c->n - first < CPU_STAGED_ROWS ? c->n - first : CPU_STAGED_ROWS;
    ELLM_TRY(multiply_all(c, head, vocab, digits, x, first, n, c->staged, vocab, err));
    for (size_t i = 0; i < n; i++) memcpy(logits_at(c, first + i), c->staged + i * (size_t)vocab, vocab * sizeof(float));
  }
  const model_config *config = c->shape.config;
  if (config->logits_scale != 1 || config->logits_soft_cap != 0) cpu_for_rows(c, c->n, finish_row, c);
  return ELLM_OK;
}

/* -------------------------------------------------------------------- memory */

/* Zeroed floats [count][size]; remembers in *status that there was no memory. */
static float *floats(size_t count, size_t size, ellm_status *status, ellm_error *err) {
  size_t bytes;
  void *memory = NULL;
  if (*status != ELLM_OK) return NULL;
  if (ellm_mul_size(size, sizeof(float), &bytes)) memory = ellm_aligned_calloc(count, bytes);
  if (memory == NULL) *status = ellm_fail_memory(err, count * size * sizeof(float), "a batch of tokens");
  return memory;
}

/* Room for the queries of every thread as integers. */
static ellm_status allocate_queries(cpu_backend *c, ellm_error *err) {
  if (c->shape.cache != KERNEL_CACHE_Q8) return ELLM_OK;
  c->query_bytes = kernel_activations_bytes(c->shape.config->head_dim, KERNEL_MAX_QUERIES, 2);
  c->queries = ellm_aligned_calloc((size_t)thread_pool_size(compute_pool(c->compute)), c->query_bytes);
  return c->queries != NULL ? ELLM_OK : ellm_fail_memory(err, c->query_bytes, "queries");
}

static ellm_status allocate(cpu_backend *c, ellm_error *err) {
  const model_config *config = c->shape.config;
  ellm_status status = ELLM_OK;
  for (int i = 0; i < BACKEND_BUFFERS; i++) {
    c->columns[i] = backend_columns(config, (backend_buffer)i);
    c->stride[i] = cpu_round_up(c->columns[i]);
    c->buffer[i] = floats(BACKEND_MAX_ROWS, c->stride[i], &status, err);
  }
  c->cos_sin = floats(BACKEND_MAX_ROWS, c->shape.ropes->stride, &status, err);
  if (status == ELLM_OK) status = allocate_queries(c, err);
  if (status == ELLM_OK) status = cpu_team_create(c, err);
  if (status == ELLM_OK) status = cpu_experts_create(c, err);
  c->staged = floats(CPU_STAGED_ROWS, config->vocab_size, &status, err);
  if (cpu_digits(c) == 0 || status != ELLM_OK) return status;
  uint32_t widest = 0; /* of what products read */
  const backend_buffer inputs[] = {BUFFER_NORMED, BUFFER_MIXED, BUFFER_INNER};
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
    if (c->columns[inputs[i]] > widest) widest = c->columns[inputs[i]];
  const size_t one = kernel_activations_bytes(widest, BACKEND_MAX_ROWS, 1),
               two = kernel_activations_bytes(widest, BACKEND_MAX_ROWS, 2), bytes = one > two ? one : two;
  c->scratch = bytes > 0 ? ellm_aligned_calloc(1, bytes) : NULL;
  return c->scratch != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a batch of tokens");
}

static void cpu_backend_free(backend *b) {
  cpu_backend *c = cpu_of(b);
  for (int i = 0; i < BACKEND_BUFFERS; i++) ellm_aligned_free(c->buffer[i]);
  void *const memory[] = {c->keys,    c->values,  c->key_scales, c->value_scales, c->cos_sin,
                          c->scratch, c->staged, c->scores,     c->queries};
  for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) ellm_aligned_free(memory[i]);
  cpu_team_free(c);
  cpu_experts_free(c->experts);
  free(c);
}

static const backend_ops operations = {
    .free = cpu_backend_free,
    .grow = cpu_grow,
    .page_copy = cpu_page_copy,
    .page_read = cpu_page_read,
    .page_write = cpu_page_write,
    .begin = begin,
    .read_rows = read_rows,
    .write_rows = write_rows,
    .norm = norm,
    .product = product,
    .rotate = rotate,
    .attention = cpu_attention,
    .activate = activate,
    .experts = cpu_experts_compute,
    .add = add,
    .select = select_rows,
    .logits = logits,
};

ellm_status cpu_backend_create(const cpu_backend_shape *shape, compute *threads, backend **out, ellm_error *err) {
  *out = NULL;
  cpu_backend *c = calloc(1, sizeof *c);
  if (c == NULL) return ellm_fail_memory(err, sizeof *c, "a backend");
  c->base.ops = &operations;
  c->shape = *shape;
  c->compute = threads;
  c->k = compute_kernels(threads);
  const ellm_status status = allocate(c, err);
  if (status != ELLM_OK) {
    cpu_backend_free(&c->base);
    return status;
  }
  *out = &c->base;
  return ELLM_OK;
}
