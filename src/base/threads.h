/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A persistent pool of threads. Work is handed out either once per thread
 * (pool_run) or item by item (pool_for). Workers spin briefly, then sleep.
 * Never nested: a function running in a pool must not call the same pool.
 */
#ifndef ELLM_BASE_THREADS_H
#define ELLM_BASE_THREADS_H

#include "base/status.h"

typedef struct thread_pool thread_pool;

int cpu_affinity_count(void); /* usable CPUs of this process, >= 1 */

/* n_threads 0 = cpu_affinity_count(); at most 1024, the caller's thread included. */
ellm_status thread_pool_create(int n_threads, thread_pool **pool, ellm_error *err);
void thread_pool_free(thread_pool *pool);
int thread_pool_size(const thread_pool *pool);

/* Run fn(user, thread, n_threads) once on every thread; returns when all have. */
typedef void (*pool_run_fn)(void *user, int thread, int n_threads);
void pool_run(thread_pool *pool, pool_run_fn fn, void *user);

/* Run fn(user, item, thread) for item 0..n_items-1, taken in ascending order by
 * whichever thread is free. */
typedef void (*pool_for_fn)(void *user, size_t item, int thread);
void pool_for(thread_pool *pool, size_t n_items, pool_for_fn fn, void *user);

#endif
