/* SPDX-License-Identifier: Apache-2.0 */
/* One step: factor_block, then solve_task for each group of 96 columns to its right, then products for the rest. */
#include "calib/cholesky.h"

#include <math.h>
#include <string.h>

typedef struct factor_job {
  const kernel_table *kernels;
  square_matrix *a;
  panels panel;
  size_t block;                /* group of columns that is being factored */
  float inverse[PANEL_GROUP];  /* 1 / U[i][i] of the block */
} factor_job;

/* The block on the diagonal, row by row. SIZE_MAX, or the row whose pivot is no positive number. */
static size_t factor_block(factor_job *job) {
  const size_t stride = job->a->stride;
  float *block = job->a->at + job->block * PANEL_GROUP * (stride + 1);
  for (size_t c = 0; c < PANEL_GROUP; c++) {
    float *row = block + c * stride;
    if (!(row[c] > 0.0f) || !isfinite(row[c])) return c;
    const float root = sqrtf(row[c]);
    job->inverse[c] = 1.0f / root;
    row[c] = root;
    job->kernels->scale(row + c + 1, job->inverse[c], PANEL_GROUP - 1 - c);
    for (size_t i = c + 1; i < PANEL_GROUP; i++)
      job->kernels->axpy(-row[i], row + i, block + i * stride + i, PANEL_GROUP - i);
  }
  return SIZE_MAX;
}

/* 12 rows from `first` on, of 32 columns, once the rows before them are taken off: the triangle among themselves. */
static void solve_rows(const factor_job *job, size_t first, float *rows) {
  const float *block = job->a->at + job->block * PANEL_GROUP * (job->a->stride + 1);
  const size_t stride = job->a->stride;
  for (size_t c = 0; c < KERNEL_PANEL_ROWS; c++) {
    const float *factors = block + (first + c) * stride + first;
    job->kernels->scale(rows + c * stride, job->inverse[first + c], KERNEL_PANEL_COLUMNS);
    for (size_t i = c + 1; i < KERNEL_PANEL_ROWS; i++)
      job->kernels->axpy(-factors[i], rows + c * stride, rows + i * stride, KERNEL_PANEL_COLUMNS);
  }
}

/* Rows of the block in one group of columns to its right: solved, and packed for the products that follow. */
static void solve_task(void *user, size_t item, int thread) {
  factor_job *job = user;
  const size_t stride = job->a->stride, group = job->block + 1 + item;
  float *rows = job->a->at + job->block * PANEL_GROUP * stride + group * PANEL_GROUP;
  (void)thread;
  for (size_t strip = 0; strip < PANEL_RIGHT; strip++) {
    float *solved = panels_right(&job->panel, group, strip), *columns = rows + strip * KERNEL_PANEL_COLUMNS;
    for (size_t l = 0; l < PANEL_LEFT; l++) {
      const size_t first = l * KERNEL_PANEL_ROWS;
      float *part = columns + first * stride;
      job->kernels->panel_product(first, panels_left(&job->panel, job->block, l), solved, part, stride);
      solve_rows(job, first, part);
      for (size_t i = 0; i < KERNEL_PANEL_ROWS; i++)
        memcpy(solved + (first + i) * KERNEL_PANEL_COLUMNS, part + i * stride, KERNEL_PANEL_COLUMNS * sizeof(float));
    }
  }
  panels_pack(&job->panel, group, rows, PANEL_GROUP, stride, PANEL_GROUP, -1.0f);
}

ellm_status cholesky_factor(thread_pool *pool, square_matrix *a, const char *what, ellm_error *err) {
  factor_job job = {.kernels = kernels_best(), .a = a};
  ELLM_TRY(panels_create(a->n, PANEL_GROUP, &job.panel, err));
  for (size_t i = a->n; i < a->stride; i++) a->at[i * a->stride + i] = 1.0f; /* padding: the identity */
  ellm_status status = ELLM_OK;
  for (job.block = 0; job.block < job.panel.groups; job.block++) {
    const size_t bad = factor_block(&job), row = job.block * PANEL_GROUP;
    if (bad != SIZE_MAX) {
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: moments are not positive definite (row %zu of %zu, pivot %g)", what,
                         row + bad, a->n, (double)a->at[(row + bad) * (a->stride + 1)]);
      break;
    }
    panels_pack(&job.panel, job.block, a->at + row * (a->stride + 1), PANEL_GROUP, a->stride, PANEL_GROUP, -1.0f);
    pool_for(pool, job.panel.groups - job.block - 1, solve_task, &job);
    if (job.block + 1 < job.panel.groups) panels_add_products(pool, &job.panel, PANEL_GROUP, job.block + 1, a);
  }
  panels_free(&job.panel);
  return status;
}
