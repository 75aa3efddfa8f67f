/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the reader of prompt caches. The first byte chooses: bit 0, the
 * checksums are made right first; bit 1, the file is read for a model that agrees
 * with whatever its head says; bit 2, a model with longrope. All of what is
 * accepted is read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "container/hash.h"
#include "model/prompt_cache.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *data, size_t size) {
  store_u64(data + 88, hash64(data + PROMPT_CACHE_HEAD_BYTES, size - PROMPT_CACHE_HEAD_BYTES));
  store_u64(data + 120, hash64(data, 120));
}

static void agree(const uint8_t *data, prompt_cache_shape *shape) {
  memcpy(shape->model, data + 16, 32);
  shape->activations = load_u32(data + 48);
  shape->cache_type = load_u32(data + 52);
  shape->n_layers = load_u32(data + 56);
  shape->n_kv_heads = load_u32(data + 60);
  shape->head_dim = load_u32(data + 64);
  shape->vocab_size = load_u32(data + 68);
}

static uint64_t read_all(const prompt_cache *cache, const prompt_cache_shape *shape) {
  const uint64_t heads = (uint64_t)shape->n_layers * shape->n_kv_heads;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < cache->positions; i++) sum += load_u32(cache->ids + 4 * (size_t)i);
  for (uint64_t i = 0; i < heads * cache->key_bytes; i++) sum += cache->keys[i];
  for (uint64_t i = 0; i < heads * cache->value_bytes; i++) sum += cache->values[i];
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  const uint8_t how = data[0];
  size--;
  uint8_t *copy = copy_of(data + 1, size);
  if (copy == NULL) return 0;
  prompt_cache_shape shape = {.model = "0123456789abcdef0123456789abcdef",
                              .activations = ELLM_ACTIVATIONS_I16,
                              .cache_type = ELLM_CACHE_F16,
                              .n_layers = 1,
                              .n_kv_heads = 1,
                              .head_dim = 2,
                              .vocab_size = 100,
                              .long_above = UINT32_MAX};
  if (size >= PROMPT_CACHE_HEAD_BYTES && (how & 1) != 0) seal(copy, size);
  if (size >= PROMPT_CACHE_HEAD_BYTES && (how & 2) != 0) agree(copy, &shape);
  if ((how & 4) != 0) shape.long_above = 4;
  prompt_cache cache;
  ellm_error err = {0};
  const ellm_status status = prompt_cache_parse(copy, size, "fuzz", &shape, &cache, &err);
  if (status == ELLM_OK ? read_all(&cache, &shape) == UINT64_MAX : status != ELLM_ERR_INPUT || err.message[0] == '\0')
    abort(); /* no sum of so few bytes is that large */
  free(copy);
  return 0;
}
