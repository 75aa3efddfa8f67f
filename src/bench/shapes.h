/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of published models, for measuring their shapes without their weights. */
#ifndef ELLM_BENCH_SHAPES_H
#define ELLM_BENCH_SHAPES_H

#include "base/memory.h"

/* The config.json of a shape, of a published one or of the caller's, with the number of layers changed where that is
 * wanted, is appended to `text`. *name is what errors call it, static or the caller's. ELLM_ERR_USAGE names an unknown
 * shape; ELLM_ERR_INPUT what is no configuration. */
ellm_status shape_config(const ellm_bench_shape *shape, const char **name, ellm_buffer *text, ellm_error *err);

#endif
