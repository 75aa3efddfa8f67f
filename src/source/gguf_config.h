/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a GGUF file as the config.json of a checkpoint folder. */
#ifndef ELLM_SOURCE_GGUF_CONFIG_H
#define ELLM_SOURCE_GGUF_CONFIG_H

#include "source/gguf_arch.h"

/* What turning tensors needs to know. */
typedef struct gguf_shape {
  const gguf_arch *arch;
  uint32_t n_layers, n_heads, n_kv_heads, head_dim;
  uint32_t rotated;   /* dimensions of a head */
  uint32_t n_experts; /* 0: there are none */
} gguf_shape;

/* *text is malloc'ed JSON. ELLM_ERR_INPUT names the key where the file is of an architecture that is not known, where
 * something is missing, and where a key of the architecture is not known or asks for what is not computed. */
ellm_status gguf_config(const gguf_file *file, gguf_shape *shape, char **text, ellm_error *err);

#endif
