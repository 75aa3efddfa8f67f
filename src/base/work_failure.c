/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work_failure.h"

void work_failure_init(work_failure *f) {
  atomic_init(&f->item, UINT64_MAX);
  atomic_flag_clear(&f->busy);
}

void work_fail(work_failure *f, uint64_t item, const ellm_error *error) {
  while (atomic_flag_test_and_set_explicit(&f->busy, memory_order_acquire)) continue; /* a copy takes no time */
  if (item < atomic_load_explicit(&f->item, memory_order_relaxed)) {
    f->error = *error;
    atomic_store_explicit(&f->item, item, memory_order_relaxed);
  }
  atomic_flag_clear_explicit(&f->busy, memory_order_release);
}

ellm_status work_failure_take(work_failure *f, ellm_error *err) {
  if (atomic_load_explicit(&f->item, memory_order_relaxed) == UINT64_MAX) return ELLM_OK;
  atomic_store_explicit(&f->item, UINT64_MAX, memory_order_relaxed);
  if (err != NULL) *err = f->error;
  return f->error.status;
}
