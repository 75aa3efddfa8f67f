/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and multiplying panels. A task is one block of 96 x 96: its factors are in the second-level cache. */
#include "calib/panels.h"

#include <string.h>

#include "base/memory.h"

ellm_status square_matrix_create(size_t n, square_matrix *matrix, ellm_error *err) {
  size_t padded, elements;
  memset(matrix, 0, sizeof *matrix);
  if (!ellm_add_size(n, PANEL_GROUP - 1, &padded)) return ellm_fail_memory(err, n, "a matrix of moments");
  padded -= padded % PANEL_GROUP;
  if (!ellm_mul_size(padded, padded, &elements)) return ellm_fail_memory(err, n, "a matrix of moments");
  matrix->at = ellm_aligned_calloc(elements, sizeof(float));
  if (matrix->at == NULL) return ellm_fail_memory(err, elements * sizeof(float), "a matrix of moments");
  matrix->n = n;
  matrix->stride = padded;
  return ELLM_OK;
}

void square_matrix_free(square_matrix *matrix) {
  ellm_aligned_free(matrix->at);
  memset(matrix, 0, sizeof *matrix);
}

ellm_status panels_create(size_t columns, size_t depth, panels *out, ellm_error *err) {
  memset(out, 0, sizeof *out);
  const size_t groups = columns / PANEL_GROUP + (columns % PANEL_GROUP != 0);
  size_t elements;
  if (!ellm_mul_size(groups * PANEL_GROUP, depth, &elements)) return ellm_fail_memory(err, columns, "panels");
  out->left = ellm_aligned_calloc(elements, sizeof(float));
  out->right = ellm_aligned_calloc(elements, sizeof(float));
  out->groups = groups;
  out->depth = depth;
  if (out->left != NULL && out->right != NULL) return ELLM_OK;
  panels_free(out);
  return ellm_fail_memory(err, 2 * elements * sizeof(float), "panels");
}

void panels_free(panels *panel) {
  ellm_aligned_free(panel->left);
  ellm_aligned_free(panel->right);
  memset(panel, 0, sizeof *panel);
}

void panels_pack(panels *panel, size_t group, const float *rows, size_t n_rows, size_t stride, size_t n_columns,
                 float sign) {
  float row[PANEL_GROUP] = {0};
  for (size_t k = 0; k < n_rows; k++) {
    memcpy(row, rows + k * stride, n_columns * sizeof(float));
    for (size_t strip = 0; strip < PANEL_RIGHT; strip++)
      memcpy(panels_right(panel, group, strip) + k * KERNEL_PANEL_COLUMNS, row + strip * KERNEL_PANEL_COLUMNS,
             KERNEL_PANEL_COLUMNS * sizeof(float));
    for (size_t strip = 0; strip < PANEL_LEFT; strip++) {
      float *left = panels_left(panel, group, strip) + k * KERNEL_PANEL_ROWS;
      for (size_t i = 0; i < KERNEL_PANEL_ROWS; i++) left[i] = row[strip * KERNEL_PANEL_ROWS + i] * sign;
    }
  }
}

typedef struct products_job {
  const kernel_table *kernels;
  const panels *panel;
  size_t n_rows, first_group;
  square_matrix *matrix;
} products_job;

/* Blocks of the upper triangle, block row by block row. */
static void products_task(void *user, size_t item, int thread) {
  const products_job *job = user;
  (void)thread;
  size_t block_row = job->first_group, in_row = job->panel->groups - block_row;
  while (item >= in_row) {
    item -= in_row--;
    block_row++;
  }
  const size_t block_column = block_row + item, stride = job->matrix->stride;
  float *block = job->matrix->at + block_row * PANEL_GROUP * stride + block_column * PANEL_GROUP;
  for (size_t r = 0; r < PANEL_RIGHT; r++)
    for (size_t l = 0; l < PANEL_LEFT; l++)
      job->kernels->panel_product(job->n_rows, panels_left(job->panel, block_row, l),
                                  panels_right(job->panel, block_column, r),
                                  block + l * KERNEL_PANEL_ROWS * stride + r * KERNEL_PANEL_COLUMNS, stride);
}

void panels_add_products(thread_pool *pool, const panels *panel, size_t n_rows, size_t first_group,
                         square_matrix *matrix) {
  products_job job = {kernels_best(), panel, n_rows, first_group, matrix};
  const size_t n = panel->groups - first_group;
  pool_for(pool, n * (n + 1) / 2, products_task, &job);
}
