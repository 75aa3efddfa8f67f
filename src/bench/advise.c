/* SPDX-License-Identifier: Apache-2.0 */
/* See advise.h. */
#include "bench/advise.h"

#include <math.h>

/* Norms, attention over a short text and what threads wait for each other, a layer and element of its hidden state: measured
 * on Zen 4 with models of 30 x 576 to 24 x 2,048, as what of a token's time was not in products. */
#define OTHER_SECONDS 2e-8

/* How alike two times must be to add to each other: times add as the ADDING-th root of the sum of their powers. Between
 * the longer of the two alone and their sum; fitted to levels and fields of 2 to 6 bits on Zen 4. */
#define ADDING 3.0

double advise_other_seconds(double layers, double hidden_size) { return OTHER_SECONDS * layers * hidden_size; }

ellm_bench_advice_speed advise_speed(const advise_token *token, int threads, double read) {
  const double memory = token->bytes / (1e9 * read), decoding = token->decode_seconds / threads;
  const double both = pow(pow(memory, ADDING) + pow(decoding, ADDING), 1 / ADDING);
  return (ellm_bench_advice_speed){.threads = threads,
                                   .read = read,
                                   .memory = 1 / memory,
                                   .decoding = 1 / decoding,
                                   .tokens_per_s = 1 / (both + token->other_seconds)};
}

double advise_read_share(double all, int threads, int cores) {
  const double even = (double)threads / cores;
  return all * (even > 0.5 ? even : 0.5); /* one core alone reads half of what all do, or more than its part */
}

double advise_break_even(double decode, double plain, double plain_bits, int threads) {
  if (decode >= plain) return INFINITY;
  return threads * decode * plain_bits / 8;
}

size_t advise_thread_counts(int most, int counts[ADVISE_COUNTS]) {
  size_t n = 0;
  for (int t = 1; t < most && n < ADVISE_COUNTS - 1; t *= 2) counts[n++] = t;
  counts[n++] = most;
  return n;
}
