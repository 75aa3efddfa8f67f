/* SPDX-License-Identifier: Apache-2.0 */
/* How long measuring a model will take, from a few tokens; how much memory running it will take. */
#ifndef ELLM_CONVERT_FORECAST_H
#define ELLM_CONVERT_FORECAST_H

#include "convert/calibration.h"

/* In a dry run: a line to options->notes that says how long measuring will take, and how long compressing, from the
 * time of a few tokens. Does nothing else, and nothing where nothing is calibrated. */
ellm_status forecast(ellm_model *model, const ellm_compress_options *options, const tune_matrices *matrices,
                     const measurements *known, ellm_error *err);

/* Of a file of so many bytes with this model: the file, and keys and values of 4096 positions, or as many as there
 * are. */
uint64_t forecast_memory(const ellm_model *model, uint64_t file_bytes);

#endif
