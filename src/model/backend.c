/* SPDX-License-Identifier: Apache-2.0 */
#include "model/backend.h"

/* Of the widest layer: of one expert where a layer has experts. */
static uint32_t widest_inner(const model_config *config) {
  uint32_t inner = 0;
  for (uint32_t i = 0; i < config->n_layers; i++)
    if (config->layers[i].intermediate_size > inner) inner = config->layers[i].intermediate_size;
  return inner;
}

uint32_t backend_columns(const model_config *config, backend_buffer buffer) {
  const uint32_t queries = config->n_heads * config->head_dim, keys = config->n_kv_heads * config->head_dim;
  switch (buffer) {
    case BUFFER_STREAM:
    case BUFFER_NORMED:
    case BUFFER_PROJECTED: return config->hidden_size;
    case BUFFER_QKV: return queries + 2 * keys;
    case BUFFER_MIXED: return queries;
    case BUFFER_GATE_UP: return 2 * widest_inner(config);
    case BUFFER_INNER: return widest_inner(config);
    case BACKEND_BUFFERS: break;
  }
  return 0;
}
