/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: a function of a backend. */
#ifndef ELLM_MODEL_CPU_CPU_ATTENTION_H
#define ELLM_MODEL_CPU_CPU_ATTENTION_H

#include "model/cpu/cpu_shared.h"

ellm_status cpu_attention(backend *b, uint32_t layer, const layer_facts *facts, ellm_error *err);

#endif
