/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of pages: who holds which. A page is a number; the keys and values
 * behind it belong to the backend (backend.h), which lays pages of neighbouring
 * numbers side by side.
 *
 * Invariants of a page:
 *  1. Its number is below n_pages. It holds the keys and values of PAGE_POSITIONS
 *     consecutive positions, the first of them a multiple of PAGE_POSITIONS, in
 *     all layers and KV heads.
 *  2. `refs` is the number of sequences whose list has it, 0: it is free. The
 *     number of free pages is n_free.
 *  3. It is written only by an evaluation of a sequence that holds it alone.
 *  4. Its positions were computed with one set of rotary factors, `long_factors`,
 *     which is written together with them: pages are shared only among sequences
 *     that use the same ones.
 *
 * Functions take the pool's lock themselves unless they say otherwise.
 */
#ifndef ELLM_MODEL_PAGES_H
#define ELLM_MODEL_PAGES_H

#include <pthread.h>

#include "base/status.h"

enum { PAGE_POSITIONS = ELLM_PAGE_POSITIONS, PAGE_NONE = -1 };

typedef struct page_info {
  uint32_t refs;
  uint32_t leaving;   /* 0 but while an evaluation counts the pages that it needs */
  bool long_factors;
} page_info;

/* Pages first .. first + n - 1, which hold consecutive positions. */
typedef struct page_run { uint32_t first, n; } page_run;

typedef struct page_pool {
  pthread_mutex_t lock;
  page_info *info;    /* [n_pages] */
  uint32_t n_pages, n_free;
} page_pool;

static inline uint32_t pages_of(uint64_t positions) {
  return (uint32_t)((positions + PAGE_POSITIONS - 1) / PAGE_POSITIONS);
}

bool page_pool_init(page_pool *pool);   /* empty, of 0 pages; false: the system refuses a lock */
void page_pool_free(page_pool *pool);
/* Make it n_pages large, not less than it is. */
ellm_status page_pool_grow(page_pool *pool, uint32_t n_pages, ellm_error *err);

/*
 * Take a free page; the caller holds the lock and knows that there is one. `after`: the page that holds the positions
 * before, or PAGE_NONE. The one behind it is taken where it is free, so that runs are long; else one in the middle of
 * the longest stretch of free pages, where both neighbours can grow.
 */
uint32_t page_take(page_pool *pool, int64_t after);
/* One sequence less holds it; the caller holds the lock. */
void page_drop(page_pool *pool, uint32_t page);

/* The runs of a list of n pages, to runs[n]; their number. */
size_t page_runs(const uint32_t *pages, size_t n, page_run *runs);

#endif
