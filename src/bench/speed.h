/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast kernels work through a coded matrix. Prints nothing; a measurement is
 * made by a pool of threads, each on blocks of its own that lie one after the
 * other, the way a product of matrix and vector is made.
 */
#ifndef ELLM_BENCH_SPEED_H
#define ELLM_BENCH_SPEED_H

#include "base/threads.h"
#include "bench/coded.h"
#include "kernels/kernels.h"

/* ellm_bench_job with what its names stand for. */
typedef struct bench_job {
  const bench_coded *coded;
  const kernel_table *table;
  ellm_bench_op op;
  unsigned digits;    /* of activations, 1 or 2; ELLM_BENCH_DOT, ELLM_BENCH_MULTIPLY */
  unsigned tokens;    /* 1..ELLM_BENCH_TOKENS; ELLM_BENCH_MULTIPLY */
  bool cached;        /* only the first blocks, again and again: 128 Ki codes a thread */
  uint64_t max_blocks; /* of a pass, for kernels that would take too long with all; 0: all */
  int repeats;        /* 1..ELLM_BENCH_REPEATS, after one to warm up */
} bench_job;

/* ELLM_ERR_INPUT if a block is damaged. */
ellm_status speed_measure(const bench_job *job, thread_pool *pool, ellm_bench_speed *speed, ellm_error *err);

/* The figures of n rates, which are put in order. */
ellm_bench_speed bench_speed_of(double *rates, int n);

#endif
