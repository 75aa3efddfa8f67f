/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pages.h"

#include <stdlib.h>
#include <string.h>

bool page_pool_init(page_pool *pool) {
  *pool = (page_pool){.info = NULL};
  return pthread_mutex_init(&pool->lock, NULL) == 0;
}

void page_pool_free(page_pool *pool) {
  free(pool->info);
  pthread_mutex_destroy(&pool->lock);
}

ellm_status page_pool_grow(page_pool *pool, uint32_t n_pages, ellm_error *err) {
  ellm_status status = ELLM_OK;
  pthread_mutex_lock(&pool->lock);
  page_info *grown = n_pages > pool->n_pages ? calloc(n_pages, sizeof *grown) : NULL;
  if (grown != NULL) {
    if (pool->n_pages > 0) memcpy(grown, pool->info, pool->n_pages * sizeof *grown);
    free(pool->info);
    pool->info = grown;
    pool->n_free += n_pages - pool->n_pages;
    pool->n_pages = n_pages;
  } else if (n_pages > pool->n_pages) {
    status = ellm_fail_memory(err, n_pages * sizeof *grown, "a pool of pages");
  }
  pthread_mutex_unlock(&pool->lock);
  return status;
}

/* A page within the longest run of free ones: its first page if the run begins the pool, else its middle. A sequence
 * grows upwards from there, and the pages before the middle stay free for the sequence that is in front of the run. So
 * neighbours keep room to grow, and attention reads few long runs. */
static uint32_t best_start(const page_pool *pool) {
  uint32_t best = 0, most = 0;
  for (uint32_t at = 0; at < pool->n_pages;) {
    uint32_t end = at;
    while (end < pool->n_pages && pool->info[end].refs == 0) end++;
    if (end - at > most) {
      most = end - at;
      best = at;
    }
    at = end + 1;
  }
  return best == 0 ? 0 : best + most / 2;
}

uint32_t page_take(page_pool *pool, int64_t after) {
  uint32_t page = (uint32_t)(after + 1);
  if (after < 0 || page >= pool->n_pages || pool->info[page].refs != 0) page = best_start(pool);
  pool->info[page] = (page_info){.refs = 1};
  pool->n_free--;
  return page;
}

void page_drop(page_pool *pool, uint32_t page) {
  if (--pool->info[page].refs == 0) pool->n_free++;
}

size_t page_runs(const uint32_t *pages, size_t n, page_run *runs) {
  size_t n_runs = 0;
  for (size_t i = 0; i < n; i++) {
    if (n_runs > 0 && runs[n_runs - 1].first + runs[n_runs - 1].n == pages[i]) runs[n_runs - 1].n++;
    else runs[n_runs++] = (page_run){pages[i], 1};
  }
  return n_runs;
}
