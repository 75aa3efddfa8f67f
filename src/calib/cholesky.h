/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cholesky factorization A = U^T U of a symmetric positive definite matrix,
 * U upper triangular, in place.
 *
 * Right-looking, by blocks of 96 columns: the block on the diagonal is factored,
 * the rows beside it are solved and packed, and their products are taken from
 * what remains. Every element is
 *   U[i][j] = (A[i][j] - U[0][i] U[0][j] - ... - U[i-1][i] U[i-1][j]) * (1 / U[i][i])
 * by one chain of fma in ascending order: the bits are those of the textbook's
 * three loops, for every number of threads and every instruction set.
 */
#ifndef ELLM_CALIB_CHOLESKY_H
#define ELLM_CALIB_CHOLESKY_H

#include "calib/panels.h"

/* `a` in place; `what` names it in messages. ELLM_ERR_INPUT if a pivot is not positive or not finite: then `a` holds
 * nothing of use. ELLM_ERR_IO without memory. */
ellm_status cholesky_factor(thread_pool *pool, square_matrix *a, const char *what, ellm_error *err);

#endif
