/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arch.h"

#include <stdio.h>
#include <stdlib.h>

void model_config_free(model_config *config) {
  free(config->layers);
  *config = (model_config){0};
}

const char *arch_tensor_name(const arch_tensors *tensors, uint32_t layer, const char *part, const char *what,
                             char text[ARCH_NAME_BYTES]) {
  snprintf(text, ARCH_NAME_BYTES, "%s.%u.%s.%s", tensors->layer, (unsigned)layer, part, what);
  return text;
}

const char *arch_expert_part(const arch_tensors *tensors, uint32_t expert, const char *part,
                             char text[ARCH_NAME_BYTES]) {
  snprintf(text, ARCH_NAME_BYTES, "%s.%u.%s", tensors->experts, (unsigned)expert, part);
  return text;
}
