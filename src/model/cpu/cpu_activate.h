/* SPDX-License-Identifier: Apache-2.0 */
/* The activation within a network, for layers with experts and without. */
#ifndef ELLM_MODEL_CPU_CPU_ACTIVATE_H
#define ELLM_MODEL_CPU_CPU_ACTIVATE_H

#include "model/cpu/cpu_shared.h"

/* inner[i] = activation(gate_up[i]) * gate_up[n + i] for the i of n that are computed here; zero from n to the next
 * multiple of 16. */
void cpu_activate(const cpu_backend *c, arch_activation activation, const float *gate_up, uint32_t n, float *inner);

#endif
