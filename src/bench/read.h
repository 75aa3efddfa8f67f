/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The most that this machine reads. No single loop is the fastest everywhere: what helps is a matter of the processor's
 * own prefetching, of its miss buffers, of pages and of neighbours on the same memory. So all are tried, and the fastest
 * is the ceiling that others are compared with.
 */
#ifndef ELLM_BENCH_READ_H
#define ELLM_BENCH_READ_H

#include "base/threads.h"

/* See ellm_bench_read; options->threads does not matter. */
ellm_status read_ceiling(const ellm_bench_read_options *options, thread_pool *pool, ellm_bench_ceiling *ceiling,
                         ellm_error *err);

#endif
