/* SPDX-License-Identifier: Apache-2.0 */
/* ellm_bench_matrix of the public header. */
#ifndef ELLM_BENCH_MATRIX_H
#define ELLM_BENCH_MATRIX_H

#include "bench/coded.h"

struct ellm_bench_matrix {
  bench_coded coded; /* its data may belong to an open file */
  ellm_bench_matrix_info info;
};

#endif
