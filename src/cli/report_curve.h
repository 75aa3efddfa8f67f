/* SPDX-License-Identifier: Apache-2.0 */
/* What a model would be like at other sizes, as its plan predicts. */
#ifndef ELLM_CLI_REPORT_CURVE_H
#define ELLM_CLI_REPORT_CURVE_H

#include "cli/report_measure.h"

/* Measures and plans (compress --dry-run, quality standard, effort quick, a short text) and takes the curve of the plan to
 * data->curve. A model that nothing can be measured of has none. */
ellm_status report_curve_measure(const report_plan *plan, report_data *data, ellm_error *err);
/* Appends the plot, with what was measured of the uniform steps beside it; nothing where there is no curve. */
bool report_curve_page(const report_data *data, prog_buffer *out);

#endif
