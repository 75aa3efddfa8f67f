/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symmetric matrices and the one operation that costs time on them: adding
 * products of packed panels to the upper triangle. Second moments and the
 * Cholesky factorization are both made of it.
 *
 * A square matrix is stored in rows of `stride` floats, upper triangle; what
 * is below the diagonal means nothing. The stride is the order rounded up to
 * PANEL_GROUP, and as many rows exist, so that no loop has an edge. Callers
 * keep the padding zero, or the identity where it must be inverted.
 *
 * A panel holds `depth` rows of such a matrix (or tokens) twice, once as the
 * left and once as the right factor of kernel_table.panel_product, in groups of
 * PANEL_GROUP columns: the smallest number that 12 and 32 both divide.
 *
 * Exactness: an element's sum is one chain of fma over ascending rows,
 * wherever it is computed, so the bits do not depend on threads, blocks or
 * instruction set. Threads share out elements, never sums.
 */
#ifndef ELLM_CALIB_PANELS_H
#define ELLM_CALIB_PANELS_H

#include "base/status.h"
#include "base/threads.h"
#include "kernels/kernels.h"

enum {
  PANEL_GROUP = 96, /* the least number that has whole strips as either factor: lcm(12, 32) */
  PANEL_LEFT = PANEL_GROUP / KERNEL_PANEL_ROWS,     /* strips of a group as left factor: 8 */
  PANEL_RIGHT = PANEL_GROUP / KERNEL_PANEL_COLUMNS  /* as right factor: 3 */
};

/* A symmetric matrix of order n; at[row * stride + column], column >= row. */
typedef struct square_matrix {
  size_t n, stride;
  float *at; /* stride rows; 64-byte aligned */
} square_matrix;

/* All zero. ELLM_ERR_IO without memory. Free with square_matrix_free. */
ellm_status square_matrix_create(size_t n, square_matrix *matrix, ellm_error *err);
void square_matrix_free(square_matrix *matrix); /* fine for one that is all zero */

/* Packed rows; plain data. */
typedef struct panels {
  size_t depth;   /* rows there is room for */
  size_t groups;  /* groups of PANEL_GROUP columns */
  float *left;    /* [group][strip of 12][depth][12] */
  float *right;   /* [group][strip of 32][depth][32] */
} panels;

ellm_status panels_create(size_t columns, size_t depth, panels *out, ellm_error *err);
void panels_free(panels *panel);
static inline float *panels_left(const panels *panel, size_t group, size_t number) {
  return panel->left + (group * PANEL_LEFT + number) * panel->depth * KERNEL_PANEL_ROWS;
}
static inline float *panels_right(const panels *panel, size_t group, size_t number) {
  return panel->right + (group * PANEL_RIGHT + number) * panel->depth * KERNEL_PANEL_COLUMNS;
}

/* Packs columns of one group from n_rows <= depth rows, `stride` floats apart; `rows` points at the group's first
 * column. n_columns <= PANEL_GROUP, the others become zero. Left factors are multiplied by `sign`, 1 or -1. */
void panels_pack(panels *panel, size_t group, const float *rows, size_t n_rows, size_t stride, size_t n_columns,
                 float sign);

/* Upper triangle of the groups from first_group on:
 *   matrix[i][j] = matrix[i][j] + left[0][i] right[0][j] + left[1][i] right[1][j] + ... by fma, n_rows products. */
void panels_add_products(thread_pool *pool, const panels *panel, size_t n_rows, size_t first_group,
                         square_matrix *matrix);

#endif
