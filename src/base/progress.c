/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. */
#include "base/progress.h"

#include "base/clock.h"

static const double interval = 0.1; /* seconds between calls */

void progress_start(progress_meter *meter, ellm_progress_fn fn, void *user, uint64_t total) {
  *meter = (progress_meter){.fn = fn, .user = user, .total = total, .last = -1};
}

static ellm_status call(progress_meter *meter, const char *stage, const char *tensor, ellm_error *err) {
  const ellm_progress progress = {
      .stage = stage, .tensor = tensor, .done = meter->done, .total = meter->total, .unit = meter->unit};
  if (!meter->stopped && !meter->fn(meter->user, &progress)) meter->stopped = true;
  return meter->stopped ? ellm_fail(err, ELLM_INTERRUPTED, "interrupted") : ELLM_OK;
}

ellm_status progress_report(progress_meter *meter, const char *stage, const char *tensor, uint64_t done,
                            ellm_error *err) {
  meter->done = done < meter->total ? done : meter->total;
  if (meter->fn == NULL) return ELLM_OK;
  double t = clock_seconds();
  if (meter->last >= 0 && t - meter->last < interval) return ELLM_OK;
  meter->last = t;
  return call(meter, stage, tensor, err);
}

ellm_status progress_finish(progress_meter *meter, const char *stage, ellm_error *err) {
  meter->done = meter->total;
  return meter->fn != NULL ? call(meter, stage, "", err) : ELLM_OK;
}
