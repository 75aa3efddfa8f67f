/* SPDX-License-Identifier: Apache-2.0 */
/* Layers with experts: a function of a backend. */
#ifndef ELLM_MODEL_CPU_CPU_EXPERTS_H
#define ELLM_MODEL_CPU_CPU_EXPERTS_H

#include "model/cpu/cpu_shared.h"

/* After the buffers are made; nothing where no layer has experts. */
ellm_status cpu_experts_create(cpu_backend *c, ellm_error *err);
void cpu_experts_free(cpu_experts *e);
ellm_status cpu_experts_compute(backend *b, const layer_weights *w, const layer_facts *facts,
                                const backend_expert_watch *watch, ellm_error *err);

#endif
