/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a report. */
#ifndef ELLM_CLI_REPORT_PAGE_H
#define ELLM_CLI_REPORT_PAGE_H

#include "cli/report_measure.h"

/* Append to a buffer; false: no memory. */
bool report_page(const report_data *data, prog_buffer *out);

#endif
