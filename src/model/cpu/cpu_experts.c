/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers with experts. The router's scores are computed with float activations, whatever the products of the experts
 * take: a choice is no place for rounding. Rows are grouped by expert, so that each matrix that is needed is decoded
 * once for all of its rows; the products of a row's experts are added in ascending order of experts. So results depend
 * on the row alone, not on the rows beside it. For a single row the matrices gate and up of all its experts are one
 * product.
 */
#include "model/cpu/cpu_experts.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/cpu/cpu_activate.h"
#include "model/cpu/cpu_team.h"

struct cpu_experts {
  size_t most_used;    /* experts of a row */
  size_t hidden;       /* stride of inputs and outputs */
  float *scores;       /* [row][score_stride] */
  size_t score_stride;
  uint32_t *chosen;    /* [row][most_used], ascending */
  float *weights;      /* [row][most_used] */
  uint32_t *first;     /* [most + 1]: where the rows of an expert begin in `rows` */
  uint32_t *rows;      /* [row * most_used]: rows by expert */
  float *row_weights;  /* the same */
  float *gathered;     /* [row][hidden]: inputs of an expert */
  float *outputs;      /* [row][hidden] */
  float *gate_up;      /* [2 * most_used * inner]: of all experts of a single row */
  const weight_matrix **matrices; /* [2 * most_used] */
};

static void *room(size_t count, size_t size, ellm_status *status, ellm_error *err) {
  void *memory = *status == ELLM_OK ? ellm_aligned_calloc(count, size) : NULL;
  if (memory == NULL && *status == ELLM_OK) *status = ellm_fail_memory(err, count * size, "a batch of tokens");
  return memory;
}

ellm_status cpu_experts_create(cpu_backend *c, ellm_error *err) {
  const model_config *config = c->shape.config;
  size_t most = 0, used = 0, inner = 0;
  for (uint32_t i = 0; i < config->n_layers; i++) {
    const layer_facts *facts = &config->layers[i];
    if (facts->n_experts == 0) continue;
    if (facts->n_experts > most) most = facts->n_experts;
    if (facts->n_experts_used > used) used = facts->n_experts_used;
    if (facts->intermediate_size > inner) inner = facts->intermediate_size;
  }
  if (most == 0) return ELLM_OK;
  if (used > BACKEND_MAX_ROWS) /* each has a row of its own in a buffer */
    return ellm_fail(err, ELLM_ERR_INPUT, "%zu experts per token: at most %d are supported", used, BACKEND_MAX_ROWS);
  cpu_experts *e = c->experts = calloc(1, sizeof *e);
  if (e == NULL) return ellm_fail_memory(err, sizeof *e, "a batch of tokens");
  e->most_used = used;
  e->hidden = c->stride[BUFFER_NORMED];
  e->score_stride = cpu_round_up(most);
  ellm_status status = ELLM_OK;
  e->scores = room(BACKEND_MAX_ROWS, e->score_stride * sizeof(float), &status, err);
  e->chosen = room(BACKEND_MAX_ROWS, used * sizeof(uint32_t), &status, err);
  e->weights = room(BACKEND_MAX_ROWS, used * sizeof(float), &status, err);
  e->first = room(most + 1, sizeof(uint32_t), &status, err);
  e->rows = room(BACKEND_MAX_ROWS, used * sizeof(uint32_t), &status, err);
  e->row_weights = room(BACKEND_MAX_ROWS, used * sizeof(float), &status, err);
  e->gathered = room(BACKEND_MAX_ROWS, e->hidden * sizeof(float), &status, err);
  e->outputs = room(BACKEND_MAX_ROWS, e->hidden * sizeof(float), &status, err);
  e->gate_up = room(2 * used, inner * sizeof(float), &status, err);
  e->matrices = room(2 * used, sizeof *e->matrices, &status, err);
  return status;
}

void cpu_experts_free(cpu_experts *e) {
  if (e == NULL) return;
  void *const memory[] = {e->scores,      e->chosen,   e->weights, e->first,   e->rows,
                          e->row_weights, e->gathered, e->outputs, e->gate_up, e->matrices};
  for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) ellm_aligned_free(memory[i]);
  free(e);
}

/* -------------------------------------------------------------------- choosing */

typedef struct choice_job {
  const cpu_backend *c;
  const layer_facts *facts;
} choice_job;

/* Probabilities are not below 0. */
#define CHOSEN_ALREADY (-1.0f)

/* The first of the largest that are left, n if none is; a NaN is larger than nothing. */
static size_t largest(const float *scores, size_t n) {
  size_t best = n;
  for (size_t i = 0; i < n; i++)
    if (scores[i] != CHOSEN_ALREADY && (best == n || scores[i] > scores[best])) best = i;
  return best;
}

/* Softmax over all experts; the n_experts_used most probable ones (of equal ones the first), sorted by number. */
static void choose_of_row(void *user, size_t row, int thread) {
  (void)thread;
  const choice_job *job = user;
  const cpu_backend *c = job->c;
  const cpu_experts *e = c->experts;
  const size_t n = job->facts->n_experts, used = job->facts->n_experts_used;
  float *scores = e->scores + row * e->score_stride, *weights = e->weights + row * e->most_used, together = 0;
  uint32_t *chosen = e->chosen + row * e->most_used;
  c->k->scale(scores, 1 / c->k->exp_sum(scores, c->k->max(scores, n), n), n);
  for (size_t i = 0; i < used; i++) {
    const size_t best = largest(scores, n);
    const float weight = scores[best];
    together += weight;
    scores[best] = CHOSEN_ALREADY;
    size_t at = i;
    for (; at > 0 && chosen[at - 1] > best; at--) {
      chosen[at] = chosen[at - 1];
      weights[at] = weights[at - 1];
    }
    chosen[at] = (uint32_t)best;
    weights[at] = weight;
  }
  if (job->facts->normalize_experts)
    for (size_t i = 0; i < used; i++) weights[i] /= together;
}

static ellm_status choose(cpu_backend *c, const layer_weights *w, const layer_facts *facts, ellm_error *err) {
  cpu_experts *e = c->experts;
  const weight_matrix *router = &w->router.matrix[0];
  const matrix_product product = {.matrices = &router,
                                  .n_matrices = 1,
                                  .x = c->buffer[BUFFER_NORMED],
                                  .x_stride = c->stride[BUFFER_NORMED],
                                  .n_tokens = c->n,
                                  .y = e->scores,
                                  .y_stride = e->score_stride};
  choice_job job = {.c = c, .facts = facts};
  ELLM_TRY(matrix_multiply(c->compute, &product, err));
  cpu_for_rows(c, c->n, choose_of_row, &job);
  return ELLM_OK;
}

/* A row has chosen an expert once at most, so that an expert has no more rows than there are. */
static void group_rows(cpu_experts *e, size_t n_rows, size_t n_experts, size_t used) {
  memset(e->first, 0, (n_experts + 1) * sizeof *e->first);
  for (size_t row = 0; row < n_rows; row++)
    for (size_t i = 0; i < used; i++) e->first[e->chosen[row * e->most_used + i] + 1]++;
  for (size_t i = 0; i < n_experts; i++) e->first[i + 1] += e->first[i];
  /* filling moves each beginning to its end, which is the next one's beginning */
  for (size_t row = 0; row < n_rows; row++)
    for (size_t i = 0; i < used; i++) {
      const size_t from = row * e->most_used + i;
      const uint32_t at = e->first[e->chosen[from]]++;
      e->rows[at] = (uint32_t)row;
      e->row_weights[at] = e->weights[from];
    }
  memmove(e->first + 1, e->first, n_experts * sizeof *e->first);
  e->first[0] = 0;
}

/* ------------------------------------------------------------------- computing */

static ellm_status multiply(cpu_backend *c, const weight_matrix *const *matrices, size_t n_matrices,
                            const matrix_rows *rows, const float *x, size_t x_stride, size_t n, float *y, size_t y_stride,
                            ellm_error *err) {
  const matrix_product product = {.matrices = matrices,
                                  .n_matrices = n_matrices,
                                  .x = x,
                                  .x_stride = x_stride,
                                  .digits = cpu_digits(c),
                                  .scratch = c->scratch,
                                  .n_tokens = n,
                                  .y = y,
                                  .y_stride = y_stride,
                                  .rows = rows};
  return matrix_multiply(c->compute, &product, err);
}

static ellm_status multiply_group(cpu_backend *c, const matrix_group *group, const matrix_rows *rows, const float *x,
                                  size_t x_stride, size_t n, float *y, size_t y_stride, ellm_error *err) {
  const weight_matrix *matrices[sizeof group->matrix / sizeof *group->matrix];
  for (size_t i = 0; i < group->n; i++) matrices[i] = &group->matrix[i];
  return multiply(c, matrices, group->n, rows, x, x_stride, n, y, y_stride, err);
}

/* Inner columns, and results, of n rows that others compute. */
static ellm_status gather_inner(const cpu_backend *c, uint32_t inner, size_t n, ellm_error *err) {
  return cpu_gather(c, c->buffer[BUFFER_INNER], n, c->stride[BUFFER_INNER], inner, CODER_PANEL_ROWS, 1, err);
}
static ellm_status gather_outputs(const cpu_backend *c, size_t n, ellm_error *err) {
  return cpu_gather(c, c->experts->outputs, n, c->experts->hidden, c->columns[BUFFER_PROJECTED], CODER_PANEL_ROWS, 1, err);
}

static void tell(const backend_expert_watch *watch, size_t expert, bool inner, const uint32_t *rows, size_t n,
                 const float *x, size_t stride) {
  if (watch != NULL) watch->see(watch->user, (uint32_t)expert, inner, rows, n, x, stride);
}

/* One row: all gates and ups of its experts at once, then each expert's `down`. INNER and outputs have a row an
 * expert. */
static ellm_status one_row(cpu_backend *c, const layer_weights *w, const layer_facts *facts,
                           const backend_expert_watch *watch, ellm_error *err) {
  static const uint32_t row[1] = {0};
  cpu_experts *e = c->experts;
  const uint32_t used = facts->n_experts_used, inner = facts->intermediate_size;
  const size_t stride = c->stride[BUFFER_INNER];
  float *projected = c->buffer[BUFFER_PROJECTED], *network = c->buffer[BUFFER_INNER];
  matrix_rows rows;
  size_t n = 0;
  for (size_t i = 0; i < used; i++) {
    const matrix_group *group = &w->experts[e->chosen[i]].gate_up;
    tell(watch, e->chosen[i], false, row, 1, c->buffer[BUFFER_NORMED], c->stride[BUFFER_NORMED]);
    for (size_t j = 0; j < group->n; j++) e->matrices[n++] = &group->matrix[j];
  }
  ELLM_TRY(multiply(c, e->matrices, n, cpu_gate_up_rows(c, inner, &rows), c->buffer[BUFFER_NORMED],
                    c->stride[BUFFER_NORMED], 1, e->gate_up, 2 * (size_t)used * inner, err));
  for (size_t i = 0; i < used; i++)
    cpu_activate(c, facts->activation, e->gate_up + 2 * i * inner, inner, network + i * stride);
  ELLM_TRY(gather_inner(c, inner, used, err));
  const matrix_rows *own = cpu_plain_rows(c, c->columns[BUFFER_PROJECTED], &rows);
  for (size_t i = 0; i < used; i++) {
    tell(watch, e->chosen[i], true, row, 1, network + i * stride, stride);
    ELLM_TRY(multiply_group(c, &w->experts[e->chosen[i]].down, own, network + i * stride, stride, 1,
                            e->outputs + i * e->hidden, e->hidden, err));
  }
  ELLM_TRY(gather_outputs(c, used, err));
  for (size_t i = 0; i < used; i++)
    c->k->axpy(e->weights[i], e->outputs + i * e->hidden, projected, c->columns[BUFFER_PROJECTED]);
  return ELLM_OK;
}

typedef struct rows_job {
  cpu_backend *c;
  const layer_facts *facts;
  uint32_t expert;
  const uint32_t *rows;
  const float *weights;
} rows_job;

static void gather_row(void *user, size_t i, int thread) {
  (void)thread;
  const rows_job *job = user;
  const cpu_backend *c = job->c;
  memcpy(c->experts->gathered + i * c->experts->hidden,
         c->buffer[BUFFER_NORMED] + job->rows[i] * c->stride[BUFFER_NORMED], c->experts->hidden * sizeof(float));
}

static void activate_row(void *user, size_t i, int thread) {
  (void)thread;
  const rows_job *job = user;
  const cpu_backend *c = job->c;
  cpu_activate(c, job->facts->activation, c->buffer[BUFFER_GATE_UP] + i * c->stride[BUFFER_GATE_UP],
               job->facts->intermediate_size, c->buffer[BUFFER_INNER] + i * c->stride[BUFFER_INNER]);
}

static void scatter_row(void *user, size_t i, int thread) {
  (void)thread;
  const rows_job *job = user;
  const cpu_backend *c = job->c;
  c->k->axpy(job->weights[i], c->experts->outputs + i * c->experts->hidden,
             c->buffer[BUFFER_PROJECTED] + job->rows[i] * c->stride[BUFFER_PROJECTED], c->columns[BUFFER_PROJECTED]);
}

/* The rows of one expert: a row is here once, so that no two threads add to the same. */
static ellm_status rows_of_expert(rows_job *job, const expert_weights *w, size_t n, const backend_expert_watch *watch,
                                  ellm_error *err) {
  cpu_backend *c = job->c;
  cpu_experts *e = c->experts;
  cpu_for_rows(c, n, gather_row, job);
  tell(watch, job->expert, false, job->rows, n, e->gathered, e->hidden);
  const uint32_t inner = job->facts->intermediate_size;
  matrix_rows rows;
  ELLM_TRY(multiply_group(c, &w->gate_up, cpu_gate_up_rows(c, inner, &rows), e->gathered, e->hidden, n,
                          c->buffer[BUFFER_GATE_UP], c->stride[BUFFER_GATE_UP], err));
  cpu_for_rows(c, n, activate_row, job);
  ELLM_TRY(gather_inner(c, inner, n, err));
  tell(watch, job->expert, true, job->rows, n, c->buffer[BUFFER_INNER], c->stride[BUFFER_INNER]);
  ELLM_TRY(multiply_group(c, &w->down, cpu_plain_rows(c, c->columns[BUFFER_PROJECTED], &rows), c->buffer[BUFFER_INNER],
                          c->stride[BUFFER_INNER], n, e->outputs, e->hidden, err));
  ELLM_TRY(gather_outputs(c, n, err));
  cpu_for_rows(c, n, scatter_row, job);
  return ELLM_OK;
}

ellm_status cpu_experts_compute(backend *b, const layer_weights *w, const layer_facts *facts,
                                const backend_expert_watch *watch, ellm_error *err) {
  cpu_backend *c = cpu_of(b);
  cpu_experts *e = c->experts;
  ELLM_TRY(choose(c, w, facts, err));
  memset(c->buffer[BUFFER_PROJECTED], 0, c->n * c->stride[BUFFER_PROJECTED] * sizeof(float));
  if (c->n == 1) return one_row(c, w, facts, watch, err);
  group_rows(e, c->n, facts->n_experts, facts->n_experts_used);
  for (uint32_t i = 0; i < facts->n_experts; i++) {
    const uint32_t first = e->first[i], n = e->first[i + 1] - first;
    rows_job job = {.c = c, .facts = facts, .expert = i, .rows = e->rows + first, .weights = e->row_weights + first};
    if (n > 0) ELLM_TRY(rows_of_expert(&job, &w->experts[i], n, watch, err));
  }
  return ELLM_OK;
}
