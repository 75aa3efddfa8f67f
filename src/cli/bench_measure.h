/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measurements of `entrollm bench`. Each runs in a process of its own, so
 * that its peak memory is its own too.
 */
#ifndef ELLM_CLI_BENCH_MEASURE_H
#define ELLM_CLI_BENCH_MEASURE_H

#include "program/failure.h"

enum { BENCH_PROMPT = 128, BENCH_GENERATED = 128, BENCH_MAX_REPEATS = 31, BENCH_MAX_SEQUENCES = 256 };

typedef struct bench_job {
  const char *model; /* what is opened: a .ellm file or a folder */
  const char *out;   /* file that compress writes, again and again */
  int bits, threads; /* threads >= 1 */
  int activations;   /* ellm_activations */
  int cache_type;    /* ellm_cache_type */
  bool load, expand; /* ellm_model_options */
  uint32_t tokens;   /* of a prompt or generated; 0: BENCH_PROMPT or BENCH_GENERATED, or what the context allows */
  uint32_t depth;    /* tokens in the context before them */
  uint32_t sequences; /* that bench_generate makes grow together, each of its own; 0: 1 */
  int repeats;       /* 1..BENCH_MAX_REPEATS; 0: 5 */
} bench_job;

typedef struct bench_result { /* plain data: sent through a pipe */
  double median, low, high;   /* of the repetitions */
  uint64_t amount;            /* what one repetition worked on: bytes, weights or tokens */
  uint64_t peak_bytes;        /* resident memory of the process */
  double gathering, sent;     /* of a team: share of the time spent in gathering, bytes sent per token */
  double products;            /* share of the time spent in products of matrices: bench_prompt, bench_generate */
} bench_result;

typedef ellm_status (*bench_fn)(const bench_job *job, bench_result *result, ellm_error *err);

ellm_status bench_compress(const bench_job *job, bench_result *result, ellm_error *err); /* MB/s of source */
ellm_status bench_decode(const bench_job *job, bench_result *result, ellm_error *err);   /* G weights/s */
ellm_status bench_prompt(const bench_job *job, bench_result *result, ellm_error *err);   /* tokens/s */
ellm_status bench_generate(const bench_job *job, bench_result *result, ellm_error *err); /* tokens/s of all */

ellm_status bench_read(const bench_job *job, bench_result *result, ellm_error *err); /* GB/s from memory */

/* Run one of them in a child process; in this one where it is a member of a team. */
ellm_status bench_measure(bench_fn fn, const bench_job *job, bench_result *result, ellm_error *err);

#endif
