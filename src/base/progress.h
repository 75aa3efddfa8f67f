/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a caller's progress callback how far a long operation is, a few times a second. */
#ifndef ELLM_BASE_PROGRESS_H
#define ELLM_BASE_PROGRESS_H

#include "base/status.h"

typedef struct progress_meter {
  ellm_progress_fn fn;
  void *user;
  uint64_t done, total;
  double last;        /* time of the last call, seconds; < 0: none yet */
  bool stopped;
  ellm_unit unit;     /* bytes, unless it is set after progress_start */
} progress_meter;

void progress_start(progress_meter *meter, ellm_progress_fn fn, void *user, uint64_t total);
/* `done` units so far. ELLM_INTERRUPTED once the callback has returned false. */
ellm_status progress_report(progress_meter *meter, const char *stage, const char *tensor, uint64_t done,
                            ellm_error *err);
/* The last call: done == total, not held back. */
ellm_status progress_finish(progress_meter *meter, const char *stage, ellm_error *err);

#endif
