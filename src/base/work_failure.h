/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The failure of work that threads share. Of several items that fail the lowest
 * counts, so that a message does not depend on the number of threads. Items are
 * numbered as the caller likes; where they are taken in ascending order, those
 * behind a failed one may be left out.
 */
#ifndef ELLM_BASE_WORK_FAILURE_H
#define ELLM_BASE_WORK_FAILURE_H

#include <stdatomic.h>

#include "base/status.h"

typedef struct work_failure {
  _Atomic uint64_t item; /* the lowest so far; UINT64_MAX: none */
  atomic_flag busy;      /* somebody writes `error` */
  ellm_error error;
} work_failure;

void work_failure_init(work_failure *f);
/* Any thread: item < UINT64_MAX failed, and error says why. */
void work_fail(work_failure *f, uint64_t item, const ellm_error *error);
/* Any thread: has an item below this one failed? */
static inline bool work_failed_before(const work_failure *f, uint64_t item) {
  return atomic_load_explicit(&f->item, memory_order_relaxed) < item;
}
/* When all threads are done: the failure of the lowest item, or ELLM_OK; it is forgotten. */
ellm_status work_failure_take(work_failure *f, ellm_error *err);

#endif
