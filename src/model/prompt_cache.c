/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a prompt cache; see prompt_cache.h. */
#include "model/prompt_cache.h"

#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/hash.h"

/* Offsets in the head. */
enum {
  AT_VERSION = 8, AT_POSITIONS = 12, AT_MODEL = 16, AT_ACTIVATIONS = 48, AT_CACHE_TYPE = 52, AT_LAYERS = 56,
  AT_KV_HEADS = 60, AT_HEAD_DIM = 64, AT_VOCABULARY = 68, AT_FLAGS = 72, AT_FILE_BYTES = 80, AT_BODY = 88,
  AT_RESERVED = 96, AT_CHECKSUM = 120
};
enum { FLAG_LONG_FACTORS = 1, ALIGNMENT = 64 };

static const char magic[8] = {'E', 'L', 'L', 'M', 'K', 'V', 'C', '1'};

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

uint64_t prompt_cache_tile_bytes(const prompt_cache_shape *shape) {
  const uint64_t dim = shape->head_dim;
  if (shape->cache_type == ELLM_CACHE_Q8)
    return PROMPT_CACHE_TILE * ((uint64_t)prompt_cache_q8_row(shape->head_dim) + sizeof(uint16_t));
  return PROMPT_CACHE_TILE * dim * (shape->cache_type == ELLM_CACHE_F16 ? 2 : 4);
}

/* Head, ids, keys of all layers and heads in tiles of 16 positions, values. False where a size is beyond 64 bits:
 * numbers of a file are not trusted. */
bool prompt_cache_layout_of(const prompt_cache_shape *shape, uint32_t positions, prompt_cache_layout *layout) {
  const uint64_t heads = (uint64_t)shape->n_layers * shape->n_kv_heads; /* no product of two u32 overflows */
  uint64_t keys, values, end;
  layout->keys_at = PROMPT_CACHE_HEAD_BYTES + round_up(4 * (uint64_t)positions, ALIGNMENT);
  const uint64_t tiles = round_up(positions, PROMPT_CACHE_TILE) / PROMPT_CACHE_TILE;
  const uint64_t tile_bytes = prompt_cache_tile_bytes(shape), position_bytes = tile_bytes / PROMPT_CACHE_TILE;
  if (!ellm_mul_u64(tiles, tile_bytes, &layout->key_bytes)) return false;
  layout->value_bytes = shape->cache_type == ELLM_CACHE_Q8 ? layout->key_bytes : position_bytes * positions;
  if (!ellm_mul_u64(layout->key_bytes, heads, &keys) || !ellm_mul_u64(layout->value_bytes, heads, &values))
    return false;
  if (!ellm_add_u64(layout->keys_at, keys, &layout->values_at)) return false;
  if (!ellm_add_u64(layout->values_at, values, &end)) return false;
  layout->file_bytes = end;
  return true;
}

void prompt_cache_head(const prompt_cache_shape *shape, uint32_t positions, bool long_factors, uint64_t body,
                       uint8_t head[PROMPT_CACHE_HEAD_BYTES]) {
  prompt_cache_layout layout;
  memset(head, 0, PROMPT_CACHE_HEAD_BYTES);
  memcpy(head, magic, sizeof magic);
  store_u32(head + AT_VERSION, PROMPT_CACHE_VERSION);
  store_u32(head + AT_POSITIONS, positions);
  memcpy(head + AT_MODEL, shape->model, 32);
  store_u32(head + AT_ACTIVATIONS, shape->activations);
  store_u32(head + AT_CACHE_TYPE, shape->cache_type);
  store_u32(head + AT_LAYERS, shape->n_layers);
  store_u32(head + AT_KV_HEADS, shape->n_kv_heads);
  store_u32(head + AT_HEAD_DIM, shape->head_dim);
  store_u32(head + AT_VOCABULARY, shape->vocab_size);
  store_u32(head + AT_FLAGS, long_factors ? FLAG_LONG_FACTORS : 0);
  store_u64(head + AT_FILE_BYTES, prompt_cache_layout_of(shape, positions, &layout) ? layout.file_bytes : 0);
  store_u64(head + AT_BODY, body);
  store_u64(head + AT_CHECKSUM, hash64(head, AT_CHECKSUM));
}

/* ------------------------------------------------------------------ reading */

static const char *activations_name(uint32_t kind) {
  return kind == ELLM_ACTIVATIONS_F32   ? "f32"
         : kind == ELLM_ACTIVATIONS_I8  ? "i8"
         : kind == ELLM_ACTIVATIONS_I16 ? "i16"
                                        : "?";
}

static const char *cache_name(uint32_t type) {
  return type == ELLM_CACHE_F32   ? "f32"
         : type == ELLM_CACHE_F16 ? "f16"
         : type == ELLM_CACHE_Q8  ? "q8"
                                  : "?";
}

/* Is it a head of this version that nothing has changed? */
static ellm_status check_head(const uint8_t *data, uint64_t bytes, const char *origin, ellm_error *err) {
  if (bytes < sizeof magic || memcmp(data, magic, sizeof magic) != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: not a prompt cache", origin);
  if (bytes < PROMPT_CACHE_HEAD_BYTES)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache is cut off: %llu bytes, the head has %d", origin,
                     (unsigned long long)bytes, PROMPT_CACHE_HEAD_BYTES);
  if (load_u32(data + AT_VERSION) != PROMPT_CACHE_VERSION)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: prompt cache of version %u, this program knows %d", origin,
                     (unsigned)load_u32(data + AT_VERSION), PROMPT_CACHE_VERSION);
  if (load_u64(data + AT_CHECKSUM) != hash64(data, AT_CHECKSUM))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the checksum of the prompt cache's head is wrong", origin);
  return ELLM_OK;
}

static ellm_status check_agreement(const uint8_t *data, const char *origin, const prompt_cache_shape *shape,
                                   ellm_error *err) {
  if (memcmp(data + AT_MODEL, shape->model, 32) != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache is of another model: identity %.32s, not %s", origin,
                     (const char *)data + AT_MODEL, shape->model);
  const uint32_t activations = load_u32(data + AT_ACTIVATIONS), type = load_u32(data + AT_CACHE_TYPE);
  if (activations != shape->activations)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache was made with activations %s (%u), not %s", origin,
                     activations_name(activations), (unsigned)activations, activations_name(shape->activations));
  if (type != shape->cache_type)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache has a KV cache of type %s (%u), not %s", origin,
                     cache_name(type), (unsigned)type, cache_name(shape->cache_type));
  const struct { const char *name; int at; uint32_t wanted; } sizes[] = {
      {"layers", AT_LAYERS, shape->n_layers},
      {"key/value heads", AT_KV_HEADS, shape->n_kv_heads},
      {"elements a head", AT_HEAD_DIM, shape->head_dim},
      {"token ids", AT_VOCABULARY, shape->vocab_size},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (load_u32(data + sizes[i].at) != sizes[i].wanted)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache has %u %s, the model %u", origin,
                       (unsigned)load_u32(data + sizes[i].at), sizes[i].name, (unsigned)sizes[i].wanted);
  return ELLM_OK;
}

/* Fields that only a broken or hostile writer gets wrong: the checksum was right. */
static ellm_status check_fields(const uint8_t *data, uint64_t bytes, const char *origin,
                                const prompt_cache_shape *shape, prompt_cache_layout *layout, ellm_error *err) {
  const uint32_t positions = load_u32(data + AT_POSITIONS), flags = load_u32(data + AT_FLAGS);
  if (positions == 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: a prompt cache of 0 positions", origin);
  const bool may_be_long = shape->long_above != UINT32_MAX, must_be_long = positions > shape->long_above;
  if ((flags & ~(uint32_t)FLAG_LONG_FACTORS) != 0 || (flags != 0 && !may_be_long) || (flags == 0 && must_be_long))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: flags %#x of the prompt cache make no sense", origin, (unsigned)flags);
  uint8_t any = data[AT_FLAGS + 4] | data[AT_FLAGS + 5] | data[AT_FLAGS + 6] | data[AT_FLAGS + 7];
  for (int i = AT_RESERVED; i < AT_CHECKSUM; i++) any |= data[i];
  if (any != 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: reserved bytes of the prompt cache are not 0", origin);
  const uint64_t said = load_u64(data + AT_FILE_BYTES);
  if (!prompt_cache_layout_of(shape, positions, layout) || layout->file_bytes != said)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %llu bytes for a prompt cache of %u positions", origin,
                     (unsigned long long)said, (unsigned)positions);
  if (said != bytes)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the prompt cache has %llu bytes, %llu are expected", origin,
                     (unsigned long long)bytes, (unsigned long long)said);
  return ELLM_OK;
}

ellm_status prompt_cache_parse(const uint8_t *data, uint64_t bytes, const char *origin,
                               const prompt_cache_shape *shape, prompt_cache *cache, ellm_error *err) {
  prompt_cache_layout layout;
  ELLM_TRY(check_head(data, bytes, origin, err));
  ELLM_TRY(check_agreement(data, origin, shape, err));
  ELLM_TRY(check_fields(data, bytes, origin, shape, &layout, err));
  if (hash64(data + PROMPT_CACHE_HEAD_BYTES, (size_t)(bytes - PROMPT_CACHE_HEAD_BYTES)) != load_u64(data + AT_BODY))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the checksum of the prompt cache is wrong", origin);
  *cache = (prompt_cache){.positions = load_u32(data + AT_POSITIONS),
                          .long_factors = load_u32(data + AT_FLAGS) != 0,
                          .ids = data + PROMPT_CACHE_HEAD_BYTES,
                          .keys = data + layout.keys_at,
                          .values = data + layout.values_at,
                          .key_bytes = layout.key_bytes,
                          .value_bytes = layout.value_bytes};
  for (uint32_t i = 0; i < cache->positions; i++)
    if (load_u32(cache->ids + 4 * (size_t)i) >= shape->vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: token id %u of the prompt cache is beyond the model's %u", origin,
                       (unsigned)load_u32(cache->ids + 4 * (size_t)i), (unsigned)shape->vocab_size);
  return ELLM_OK;
}
