/* SPDX-License-Identifier: Apache-2.0 */
/* The rotary embedding's part of config.json. */
#ifndef ELLM_CHECKPOINT_ROPE_CONFIG_H
#define ELLM_CHECKPOINT_ROPE_CONFIG_H

#include "checkpoint/config.h"
#include "json/json.h"

/* Fill config->rope from the fields rope_parameters, rope_scaling, rope_theta,
 * partial_rotary_factor and original_max_position_embeddings of `root`; needs
 * arch, head_dim and max_position_embeddings of *config. */
ellm_status rope_config_parse(const json_t *root, const char *origin, model_config *config, ellm_error *err);

#endif
