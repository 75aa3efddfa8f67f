/* SPDX-License-Identifier: Apache-2.0 */
/* A coded matrix in memory to measure kernels with, and how one is made of normally distributed weights. */
#ifndef ELLM_BENCH_CODED_H
#define ELLM_BENCH_CODED_H

#include "base/status.h"
#include "coder/codebook.h"
#include "coder/cost.h"
#include "coder/geometry.h"

/* A coded matrix in memory. May also be filled by the caller: blocks one after the other in `data`, CODER_SLACK
 * readable bytes after the last one. */
typedef struct bench_coded {
  coder_codebook book;
  coder_geometry geometry;
  const uint8_t *data;
  const uint64_t *offset;   /* [geometry.n_blocks + 1] */
  bool patched;             /* each block begins with its patches (coder/patches.h) */
  double entropy;           /* bits a code, of single codes */
  void *owned[2];           /* what bench_coded_free frees */
} bench_coded;

/* Codes of `bits` bits from a normal distribution, `step` standard deviations apart, coded as `aim` says:
 * n_codes rounded up to whole panels of 4096 columns. Blocks repeat after the first 4 Mi codes. */
ellm_status bench_coded_normal(bench_coded *coded, double step, int bits, coder_aim aim, size_t n_codes,
                               ellm_error *err);
void bench_coded_free(bench_coded *coded);
/* Bits a weight, as stored. */
double bench_coded_bits(const bench_coded *coded);

/* A number between 0 and 1 from a state that continues; the same on every machine. */
double bench_random(uint64_t *state);

#endif
