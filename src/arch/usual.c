/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/usual.h"

const arch_fields arch_usual_fields = {
    ARCH_USUAL_SIZES,
    .activation = "hidden_act",
};

const arch_tensors arch_usual_tensors = {
    ARCH_USUAL_WHOLE,
    ARCH_USUAL_NORMS,
    ARCH_USUAL_QKV,
    ARCH_USUAL_QK_NORMS,
    ARCH_USUAL_OUTPUT,
    ARCH_USUAL_MLP,
    .router = "mlp.gate",
    .experts = "mlp.experts",
    .expert_gate_up = {"gate_proj", "up_proj"},
    .expert_down = "down_proj",
};
