/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dealing out numbered items, groups of a product's rows, to threads that take what is left. A thread takes a run of
 * them, half of its even share: long runs first, because the start of a run waits for memory that nothing has fetched
 * ahead, short ones in the end, so that threads finish together.
 */
#ifndef ELLM_BASE_DEALING_H
#define ELLM_BASE_DEALING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct dealing {
  uint64_t n, least;         /* items; of a run at least, except the last one */
  uint64_t parts;            /* of what is left a run is one */
  atomic_uint_fast64_t next;
} dealing;

/* n items with so much work together, in weights, to so many threads. Not while others take. */
void dealing_begin(dealing *d, uint64_t n, uint64_t weights, int n_threads);
/* The next run, [*first, *end); false: all are taken. Safe from several threads. */
bool dealing_take(dealing *d, uint64_t *first, uint64_t *end);

#endif
