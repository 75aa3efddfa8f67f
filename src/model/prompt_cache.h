/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompt caches: the ids of a sequence with their keys and values in a file
 * (docs/format/prompt-cache.md). A cache is bound to the model, the activation
 * mode and the cache type that computed it. What is read is checked as a whole,
 * against the caller's context and its checksums, before anything is copied.
 */
#ifndef ELLM_MODEL_PROMPT_CACHE_H
#define ELLM_MODEL_PROMPT_CACHE_H

#include "base/status.h"

enum { PROMPT_CACHE_HEAD_BYTES = 128, PROMPT_CACHE_VERSION = 1, PROMPT_CACHE_TILE = 16 };

/* What a cache must agree with to be of use. */
typedef struct prompt_cache_shape {
  char model[33];            /* identity: 32 hex digits */
  uint32_t activations;      /* ellm_activations */
  uint32_t cache_type;       /* ellm_cache_type */
  uint32_t n_layers, n_kv_heads, head_dim, vocab_size;
  uint32_t long_above;       /* longrope's boundary, else UINT32_MAX */
} prompt_cache_shape;

typedef struct prompt_cache {
  uint32_t positions;
  bool long_factors;         /* longrope's long factors made the keys */
  const uint8_t *ids;        /* u32 [positions] */
  const uint8_t *keys;       /* [layer][kv head][key_bytes] */
  const uint8_t *values;     /* [layer][kv head][value_bytes] */
  uint64_t key_bytes, value_bytes; /* of a head */
} prompt_cache;

/* Bytes of the keys, or the values, of 16 positions of one head; of 8 bits with their scales behind them. */
uint64_t prompt_cache_tile_bytes(const prompt_cache_shape *shape);
/* Elements of 8 bits of one position of a head, those of padding included. */
static inline size_t prompt_cache_q8_row(uint32_t head_dim) { return ((size_t)head_dim + 3) / 4 * 4; }

/* Where things are in a file of so many positions; false if the sizes do not fit 64 bits. */
typedef struct prompt_cache_layout { uint64_t key_bytes, value_bytes, keys_at, values_at, file_bytes; }
    prompt_cache_layout;
bool prompt_cache_layout_of(const prompt_cache_shape *shape, uint32_t positions, prompt_cache_layout *layout);

/* `body`: the checksum of all bytes after the head. */
void prompt_cache_head(const prompt_cache_shape *shape, uint32_t positions, bool long_factors, uint64_t body,
                       uint8_t head[PROMPT_CACHE_HEAD_BYTES]);

/* Check a whole file in memory; *cache points into data. What is wrong or does not agree with `shape` is
 * ELLM_ERR_INPUT, by name. */
ellm_status prompt_cache_parse(const uint8_t *data, uint64_t bytes, const char *origin,
                               const prompt_cache_shape *shape, prompt_cache *cache, ellm_error *err);

#endif
