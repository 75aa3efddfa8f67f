/* SPDX-License-Identifier: Apache-2.0 */
/* See dealing.h. */
#include "base/dealing.h"

enum { ITEM_WEIGHTS = 1 << 16 }; /* of a run, about, at least */

void dealing_begin(dealing *d, uint64_t n, uint64_t weights, int n_threads) {
  const uint64_t each = weights / n;
  d->n = n;
  d->least = each < ITEM_WEIGHTS ? ITEM_WEIGHTS / (each + 1) + 1 : 1;
  d->parts = 2 * (uint64_t)n_threads;
  atomic_store(&d->next, 0);
}

bool dealing_take(dealing *d, uint64_t *first, uint64_t *end) {
  uint64_t at = atomic_load_explicit(&d->next, memory_order_relaxed);
  do {
    if (at >= d->n) return false;
    const uint64_t left = d->n - at, share = left / d->parts > d->least ? left / d->parts : d->least;
    *first = at;
    *end = share < left ? at + share : d->n;
  } while (!atomic_compare_exchange_weak_explicit(&d->next, &at, *end, memory_order_relaxed, memory_order_relaxed));
  return true;
}
