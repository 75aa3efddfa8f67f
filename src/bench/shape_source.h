/* SPDX-License-Identifier: Apache-2.0 */
/* A source of a model's shape: its configuration, and tensors of random BF16 weights that are made when they are read. */
#ifndef ELLM_BENCH_SHAPE_SOURCE_H
#define ELLM_BENCH_SHAPE_SOURCE_H

#include "source/source.h"

enum { SHAPE_MOST_TENSORS = 1 << 21 };

/* ELLM_ERR_INPUT where the configuration is none that can be run, or asks for more tensors than that. */
ellm_status shape_source_open(const ellm_bench_shape *shape, tensor_source **out, ellm_error *err);

#endif
