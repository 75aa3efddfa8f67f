/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors that a model of some configuration consists of: what model/weights.h looks for, of every family. */
#ifndef ELLM_BENCH_SHAPE_TENSORS_H
#define ELLM_BENCH_SHAPE_TENSORS_H

#include "arch/arch.h"
#include "base/status.h"

typedef enum shape_role { SHAPE_MATRIX, SHAPE_NORM, SHAPE_BIAS } shape_role;

/* One tensor: rows x columns, or a vector of `rows` elements with columns 0. `name` is valid during the call. */
typedef ellm_status (*shape_tensor_fn)(void *user, const char *name, uint32_t rows, uint32_t columns, shape_role role,
                                       ellm_error *err);

/* All of them, layer by layer, each once; the first status that is not ELLM_OK ends it. */
ellm_status shape_tensors(const model_config *config, shape_tensor_fn take, void *user, ellm_error *err);

#endif
