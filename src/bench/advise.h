/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the advice. Generating a token takes the longer of two times, about: that in which memory gives the
 * bytes, and that in which the threads decode and multiply them. Where both are alike, neither hides the other wholly.
 */
#ifndef ELLM_BENCH_ADVISE_H
#define ELLM_BENCH_ADVISE_H

#include "base/status.h"

/* What a token asks of a machine. */
typedef struct advise_token {
  double bytes;          /* that are read */
  double decode_seconds; /* of one thread, from its cache */
  double other_seconds;  /* attention, norms and all else but products */
} advise_token;

/* `read`: GB/s of so many threads. Of a machine that was not measured. */
ellm_bench_advice_speed advise_speed(const advise_token *token, int threads, double read);
/* Seconds of all but products for a token, at the beginning of a text, about. */
double advise_other_seconds(double layers, double hidden_size);
/* GB/s that some of the cores of a machine read which together read `all`. */
double advise_read_share(double all, int threads, int cores);
/* ellm_bench_advice_row.break_even: decode and plain are G weights per second of a thread, plain_bits the bits of a
 * weight that is not coded. */
double advise_break_even(double decode, double plain, double plain_bits, int threads);

/* 1, 2, 4, ... and `most`: how many there are, at most ADVISE_COUNTS. */
enum { ADVISE_COUNTS = 12 };
size_t advise_thread_counts(int most, int counts[ADVISE_COUNTS]);

#endif
