/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file made once more, as its metadata "entrollm.options" says, from its source: the same program makes the same
 * bytes. What options named by patterns (tensors to keep, small files) is taken from what is in the file.
 */
#ifndef ELLM_CONVERT_REQUANTIZE_H
#define ELLM_CONVERT_REQUANTIZE_H

#include "container/reader.h"

/* *same: the bytes are equal; else *first is the first place where they are not. The second file is beside the first
 * one meanwhile. ELLM_ERR_INPUT where the file does not say how it was made; ELLM_ERR_USAGE where it was calibrated on a
 * text and options->calibrate_file is NULL. Of options, threads and progress are used as well. */
ellm_status requantize(const ellm_file *file, const ellm_verify_options *options, bool *same, uint64_t *first,
                       ellm_error *err);

#endif
