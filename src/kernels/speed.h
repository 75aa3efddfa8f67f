/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast kernels work through a coded matrix, for the bench. Prints nothing; a
 * measurement is made by a pool of threads, each on blocks of its own that lie
 * one after the other, the way a product of matrix and vector is made.
 */
#ifndef ELLM_KERNELS_SPEED_H
#define ELLM_KERNELS_SPEED_H

#include "base/threads.h"
#include "kernels/kernels.h"

/* A coded matrix in memory. May also be filled by the caller: blocks one after the other in `data`, CODER_SLACK
 * readable bytes after the last one. */
typedef struct kernel_coded {
  coder_codebook book;
  coder_geometry geometry;
  const uint8_t *data;
  const uint64_t *offset;   /* [geometry.n_blocks + 1] */
  double entropy;           /* bits a code, of single codes */
  void *owned[2];           /* what kernel_coded_free frees */
} kernel_coded;

/* Codes of `bits` bits from a normal distribution, `step` standard deviations apart, coded as `prefer` and `code` say:
 * n_codes rounded up to whole panels of 4096 columns. Blocks repeat after the first 4 Mi codes. */
ellm_status kernel_coded_normal(kernel_coded *coded, double step, int bits, ellm_prefer prefer, ellm_code code,
                                size_t n_codes, ellm_error *err);
void kernel_coded_free(kernel_coded *coded);
/* "huffman", "tuples", "plain8" or "plain4". */
const char *kernel_coded_layout(const kernel_coded *coded);
/* Bits a weight, as stored. */
double kernel_coded_bits(const kernel_coded *coded);

typedef enum kernel_op {
  KERNEL_READ,    /* the bytes, summed: what memory allows */
  KERNEL_DECODE,  /* decode_block */
  KERNEL_DOT,     /* dot_block and dot_finish */
  KERNEL_MULTIPLY /* multiply_block with all tokens */
} kernel_op;

typedef struct kernel_speed_job {
  const kernel_coded *coded;
  const kernel_table *table;
  kernel_op op;
  unsigned digits;    /* of activations, 1 or 2; KERNEL_DOT, KERNEL_MULTIPLY */
  unsigned tokens;    /* 1..KERNEL_SPEED_TOKENS; KERNEL_MULTIPLY */
  bool cached;        /* only the first blocks, again and again: 128 Ki codes a thread */
  uint64_t max_blocks; /* of a pass, for kernels that would take too long with all; 0: all */
  int repeats;        /* 1..KERNEL_SPEED_REPEATS, after one to warm up */
} kernel_speed_job;
enum { KERNEL_SPEED_REPEATS = 31, KERNEL_SPEED_TOKENS = 4096 };

/* G weights a second of all threads together; times bits / 8, GB a second; times tokens, G products a second. */
typedef struct kernel_speed { double median, min, max; } kernel_speed;

/* ELLM_ERR_INPUT if a block is damaged. */
ellm_status kernel_speed_measure(const kernel_speed_job *job, thread_pool *pool, kernel_speed *speed, ellm_error *err);

#endif
