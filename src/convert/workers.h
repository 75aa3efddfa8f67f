/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a conversion and their scratch memory, allocated once, of a
 * size that does not depend on the model. A function that runs in the pool
 * leaves its error with its worker; the caller collects the one of the lowest
 * item, so that the message does not depend on the number of threads.
 */
#ifndef ELLM_CONVERT_WORKERS_H
#define ELLM_CONVERT_WORKERS_H

#include "base/threads.h"
#include "base/work_failure.h"
#include "coder/cost.h"
#include "coder/decode_scalar.h"
#include "coder/encode.h"
#include "coder/patches.h"
#include "quant/quantize.h"

enum { WORKERS_MOST = 64, WORKER_SLACK = 64 };

typedef struct convert_worker {
  uint8_t *raw;                /* convert_workers.raw_bytes: source or output elements */
  uint8_t *codes;              /* convert_workers.strip_codes: row-major codes of a strip */
  uint8_t *tiles;              /* CODER_MAX_CODES + CODER_SLACK */
  uint8_t *block;              /* CODER_MAX_BLOCK_BYTES + CODER_SLACK */
  coder_patch *patches;        /* CODER_MAX_CODES */
  coder_scratch *scratch;
  coder_encoder *encoder;
  coder_statistics statistics;
  quant_range range;
  uint64_t *patterns;          /* QUANT_PATTERNS counts; NULL until pass_scan wants them */
  bool has_patterns;           /* some of this scan */
  uint64_t differences, first_difference;
  uint64_t outliers;           /* codes with patches */
  uint32_t rests;              /* bits that are set in some rest (quant/exact.h) */
  uint64_t bytes[1 + CODER_ALTERNATIVES];  /* of a matrix with each of several books */
  work_failure *failure;       /* of all workers */
  ellm_status status;          /* of its first failure since workers_collect */
  ellm_error error;
} convert_worker;

typedef struct convert_workers {
  thread_pool *pool;
  int n_threads;
  size_t strip_codes, raw_bytes;
  convert_worker *each;        /* [n_threads] */
  work_failure *failure;
} convert_workers;

/* threads 0: all of the process's affinity; more than WORKERS_MOST are not used. */
ellm_status workers_create(int threads, convert_workers *out, ellm_error *err);
void workers_free(convert_workers *out);

/* Remember a failure; error may be that of the worker itself. */
void worker_fail(convert_worker *worker, uint64_t item, ellm_status status);
/* The failure of the lowest item, if any; forgets all. */
ellm_status workers_collect(convert_workers *workers, ellm_error *err);

#endif
