/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding, as transformers.modeling_rope_utils reads it from config.json. */
#ifndef ELLM_ARCH_ROPE_CONFIG_H
#define ELLM_ARCH_ROPE_CONFIG_H

#include "arch/family.h"

/* Fill config->ropes and n_ropes from the fields rope_parameters, rope_scaling, rope_theta, partial_rotary_factor and
 * original_max_position_embeddings; needs head_dim and max_position_embeddings of *config. */
ellm_status rope_config_parse(const config_reader *in, model_config *config, ellm_error *err);

#endif
