/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storing and restoring a context: between its KV cache, whose heads have room
 * for the whole capacity, and a prompt cache, where they lie one behind the
 * other. Both keep keys in tiles of 16 positions, so that heads are copied whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/memory.h"
#include "container/hash.h"
#include "model/context.h"
#include "model/prompt_cache.h"
#include "source/identity.h"

typedef struct watcher { ellm_progress_fn progress; void *user; } watcher;

static ellm_status shape_of(const ellm_context *context, const watcher *watch, prompt_cache_shape *shape,
                            ellm_error *err) {
  const model_config *c = &context->model->config;
  *shape = (prompt_cache_shape){.activations = (uint32_t)context->model->activations,
                                .cache_type = context->half_precision ? ELLM_CACHE_F16 : ELLM_CACHE_F32,
                                .n_layers = c->n_layers,
                                .n_kv_heads = c->n_kv_heads,
                                .head_dim = c->head_dim,
                                .vocab_size = c->vocab_size,
                                .long_above = context->model->ropes.long_above};
  return source_identity(context->model->source, thread_pool_size(compute_pool(context->model->compute)),
                         watch->progress, watch->user, shape->model, err);
}

_Static_assert((int)PROMPT_CACHE_TILE == (int)CONTEXT_KEY_TILE, "heads are copied whole");

static size_t element_bytes(const ellm_context *context) {
  return context->half_precision ? sizeof(uint16_t) : sizeof(float);
}

/* ------------------------------------------------------------------- saving */

typedef struct saving {
  const ellm_context *context;
  file_writer *writer;
  hash_stream *hash;
  uint8_t *tile; /* one of keys: the last one, whose lanes beyond the end are zero in the file */
} saving;

static ellm_status put(saving *s, const void *data, size_t bytes, ellm_error *err) {
  hash_stream_add(s->hash, data, bytes);
  return file_writer_append(s->writer, data, bytes, err);
}

static ellm_status put_ids(saving *s, uint32_t n, ellm_error *err) {
  static const uint8_t zeros[64];
  uint8_t piece[4096];
  for (uint32_t at = 0; at < n;) {
    uint32_t m = 0;
    for (; m < sizeof piece / 4 && at < n; m++) store_u32(piece + 4 * (size_t)m, s->context->ids[at++]);
    ELLM_TRY(put(s, piece, 4 * (size_t)m, err));
  }
  return put(s, zeros, (64 - 4 * (size_t)n % 64) % 64, err);
}

static ellm_status put_keys(saving *s, size_t head, uint32_t n, ellm_error *err) {
  const size_t dim = s->context->model->config.head_dim, element = element_bytes(s->context);
  const size_t whole = n / CONTEXT_KEY_TILE, rest = n % CONTEXT_KEY_TILE, tile = CONTEXT_KEY_TILE * dim * element;
  const uint8_t *keys = (const uint8_t *)s->context->keys + head * context_head_stride(s->context) * element;
  ELLM_TRY(put(s, keys, whole * tile, err));
  if (rest == 0) return ELLM_OK;
  memset(s->tile, 0, tile);
  for (size_t d = 0; d < dim; d++) {
    const size_t row = d * CONTEXT_KEY_TILE * element;
    memcpy(s->tile + row, keys + whole * tile + row, rest * element);
  }
  return put(s, s->tile, tile, err);
}

static ellm_status put_values(saving *s, size_t head, uint32_t n, ellm_error *err) {
  const size_t dim = s->context->model->config.head_dim, element = element_bytes(s->context);
  const uint8_t *values = (const uint8_t *)s->context->values + head * context_head_stride(s->context) * element;
  return put(s, values, n * dim * element, err);
}

static ellm_status put_all(saving *s, const prompt_cache_shape *shape, uint32_t n, ellm_error *err) {
  uint8_t head[PROMPT_CACHE_HEAD_BYTES] = {0};
  const size_t heads = (size_t)shape->n_layers * shape->n_kv_heads;
  ELLM_TRY(file_writer_append(s->writer, head, sizeof head, err));
  ELLM_TRY(put_ids(s, n, err));
  for (size_t i = 0; i < heads; i++) ELLM_TRY(put_keys(s, i, n, err));
  for (size_t i = 0; i < heads; i++) ELLM_TRY(put_values(s, i, n, err));
  prompt_cache_head(shape, n, s->context->cached_long, hash_stream_value(s->hash), head);
  return file_writer_write_at(s->writer, 0, head, sizeof head, err);
}

ellm_status ellm_context_save(const ellm_context *context, const char *path, ellm_progress_fn progress, void *user,
                              ellm_error *err) {
  const file_writer_options options = {.overwrite = true};
  /* after a failed evaluation fewer positions may be there than the sequence has */
  const uint32_t n = context->cached < context->length ? context->cached : context->length;
  const size_t tile = CONTEXT_KEY_TILE * (size_t)context->model->config.head_dim * element_bytes(context);
  prompt_cache_shape shape;
  if (n == 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: there is nothing to save: %s", path,
                     context->length == 0 ? "the context is empty" : "what the context holds is not evaluated");
  ELLM_TRY(shape_of(context, &(watcher){progress, user}, &shape, err));
  saving s = {.context = context, .hash = hash_stream_create(), .tile = malloc(tile)};
  ellm_status status = s.hash != NULL && s.tile != NULL ? file_writer_open(path, &options, &s.writer, err)
                                                        : ellm_fail_memory(err, tile, "a prompt cache");
  if (status == ELLM_OK) {
    hash_stream_reset(s.hash);
    status = put_all(&s, &shape, n, err);
    if (status == ELLM_OK) status = file_writer_commit(s.writer, err);
    else file_writer_abort(s.writer);
  }
  hash_stream_free(s.hash);
  free(s.tile);
  return status;
}

/* ---------------------------------------------------------------- restoring */

/* How many positions are of use: those that hold `ids`, or, without ids, all that fit. */
static uint32_t usable(const ellm_context *context, const prompt_cache *cache, const uint32_t *ids, size_t n_ids) {
  uint32_t n = cache->positions < context->capacity ? cache->positions : context->capacity, same = 0;
  if (ids == NULL) return n;
  if (n_ids < n) n = (uint32_t)n_ids;
  while (same < n && load_u32(cache->ids + 4 * (size_t)same) == ids[same]) same++;
  return same;
}

static void copy_positions(ellm_context *context, const prompt_cache *cache, uint32_t n) {
  const model_config *c = &context->model->config;
  const size_t element = element_bytes(context), stride = context_head_stride(context) * element;
  const size_t heads = (size_t)c->n_layers * c->n_kv_heads;
  for (size_t i = 0; i < heads; i++) {
    memcpy((uint8_t *)context->keys + i * stride, cache->keys + i * cache->key_bytes,
           context_prefix(context, n) * element);
    memcpy((uint8_t *)context->values + i * stride, cache->values + i * cache->value_bytes,
           (size_t)n * c->head_dim * element);
  }
  for (uint32_t i = 0; i < n; i++) context->ids[i] = load_u32(cache->ids + 4 * (size_t)i);
  context->length = context->cached = n;
  context->cached_long = cache->long_factors;
}

ellm_status ellm_context_restore(ellm_context *context, const char *path, const uint32_t *ids, size_t n_ids,
                                 ellm_progress_fn progress, void *user, ellm_error *err) {
  prompt_cache_shape shape;
  prompt_cache cache;
  file_map map;
  ELLM_TRY(shape_of(context, &(watcher){progress, user}, &shape, err));
  ELLM_TRY(file_map_open(path, &map, err));
  const ellm_status status = prompt_cache_parse(map.data, map.size, path, &shape, &cache, err);
  if (status == ELLM_OK) copy_positions(context, &cache, usable(context, &cache, ids, n_ids));
  file_map_close(&map);
  return status;
}
