/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend of processors: host memory, a pool of threads, the kernels of
 * src/kernels. Evaluation allocates nothing: all memory is taken when the backend
 * is made, and when pages are added.
 */
#ifndef ELLM_MODEL_CPU_BACKEND_H
#define ELLM_MODEL_CPU_BACKEND_H

#include "model/cpu/cpu_shared.h"

/* Without pages: `grow` adds them. `threads` outlives the backend. */
ellm_status cpu_backend_create(const cpu_backend_shape *shape, compute *threads, backend **out, ellm_error *err);

#endif
