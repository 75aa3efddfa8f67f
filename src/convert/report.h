/* SPDX-License-Identifier: Apache-2.0 */
/* Filling an ellm_report: tensors and assets with their names copied, warnings. */
#ifndef ELLM_CONVERT_REPORT_H
#define ELLM_CONVERT_REPORT_H

#include "container/reader.h"

/* An empty report, for ellm_report_free; NULL: no memory. */
ellm_report *report_create(void);
/* Make room for n tensors, once. */
ellm_status report_start(ellm_report *report, size_t n_tensors, ellm_error *err);
ellm_status report_tensor(ellm_report *report, const container_tensor *tensor, ellm_error *err);
/* Forget those from number n on. */
void report_drop_tensors(ellm_report *report, size_t n);
ellm_status report_asset(ellm_report *report, const char *name, uint64_t bytes, ellm_error *err);
ellm_status report_quality(ellm_report *report, const char *json, ellm_error *err);
ellm_status report_warn(ellm_report *report, ellm_error *err, const char *format, ...) ELLM_PRINTF(3, 4);

#endif
