/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is, from its config.json. */
#ifndef ELLM_ARCH_CONFIG_H
#define ELLM_ARCH_CONFIG_H

#include "arch/arch.h"
#include "base/notes.h"

/* `origin` names the file in errors. Architectures, activation functions, rope types that are not supported and values
 * out of range are ELLM_ERR_INPUT and named; every dimension is checked (above zero, bounded, divisible). Whatever
 * happens, *config may be freed afterwards. */
ellm_status model_config_parse(const void *json, size_t bytes, const char *origin, const ellm_notes *notes,
                               model_config *config, ellm_error *err);

#endif
