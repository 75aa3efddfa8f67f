/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for weights that are not numbers. */
#ifndef ELLM_SOURCE_FINITE_H
#define ELLM_SOURCE_FINITE_H

#include "base/status.h"

/* The index of the first of n elements that is NaN or infinite; n: there is none. Elements of other types than F32, F16
 * and BF16 are not looked at. `data` at any alignment. */
size_t finite_end(ellm_dtype dtype, const void *data, size_t n);

/* ELLM_ERR_INPUT with `path`, `tensor` and element `index`, whose bytes are at `element`: weights must be finite. */
ellm_status finite_fail(const char *path, const char *tensor, ellm_dtype dtype, uint64_t index, const void *element,
                        ellm_error *err);

#endif
