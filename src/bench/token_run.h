/* SPDX-License-Identifier: Apache-2.0 */
/* The products of a token, made as the forward pass makes them, and how long they take. */
#ifndef ELLM_BENCH_TOKEN_RUN_H
#define ELLM_BENCH_TOKEN_RUN_H

#include "base/threads.h"
#include "bench/token_sample.h"
#include "kernels/kernels.h"

/* Memory for them, of as many threads as come into question; one run at a time. */
typedef struct token_run token_run;
ellm_status token_run_create(const token_plan *plan, unsigned digits, int most_threads, token_run **run,
                             ellm_error *err);
void token_run_free(token_run *run);

/* Seconds of all products of a token, once through the sample. ELLM_ERR_INPUT: a block is damaged. */
ellm_status token_run_once(token_run *run, const coded_sample *coded, thread_pool *pool, double *seconds,
                           ellm_error *err);
/* Seconds of one thread where all blocks are in its cache: some of each matrix, again and again. */
ellm_status token_run_cached(token_run *run, const coded_sample *coded, double *seconds, ellm_error *err);

#endif
