/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storing and restoring a sequence: between its pages and a prompt cache, where
 * they lie head by head, one after the other. Both keep keys in tiles of 16
 * positions, so that pages are copied whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/file_writer.h"
#include "base/memory.h"
#include "container/hash.h"
#include "model/prompt_cache.h"
#include "model/sequence.h"
#include "source/identity.h"

typedef struct watcher { ellm_progress_fn progress; void *user; } watcher;

static ellm_status shape_of(ellm_model *model, const watcher *watch, prompt_cache_shape *shape, ellm_error *err) {
  const model_config *c = &model->config;
  *shape = (prompt_cache_shape){.activations = (uint32_t)model->activations,
                                .cache_type = model->cache_type,
                                .n_layers = c->n_layers,
                                .n_kv_heads = c->n_kv_heads,
                                .head_dim = c->head_dim,
                                .vocab_size = c->vocab_size,
                                .long_above = model->ropes.long_above};
  return ellm_model_identity(model, shape->model, watch->progress, watch->user, err);
}

ellm_status ellm_model_identity(ellm_model *model, char text[33], ellm_progress_fn progress, void *user,
                                ellm_error *err) {
  return source_identity(model->source, thread_pool_size(compute_pool(model->compute)), progress, user, text, err);
}

_Static_assert((int)PROMPT_CACHE_TILE == (int)PAGE_POSITIONS, "pages are copied whole");

/* Bytes of the keys or the values of one head in a page. */
static size_t page_bytes(const prompt_cache_shape *shape) { return (size_t)prompt_cache_tile_bytes(shape); }

static size_t heads_of(const prompt_cache_shape *shape) { return (size_t)shape->n_layers * shape->n_kv_heads; }

/* ------------------------------------------------------------------- saving */

typedef struct saving {
  const ellm_sequence *s;
  const prompt_cache_shape *shape;
  uint32_t n;            /* positions */
  file_writer *writer;
  hash_stream *hash;
  uint8_t *page;         /* one head's part of a page */
} saving;

static ellm_status put(saving *s, const void *data, size_t bytes, ellm_error *err) {
  hash_stream_add(s->hash, data, bytes);
  return file_writer_append(s->writer, data, bytes, err);
}

static ellm_status put_ids(saving *s, ellm_error *err) {
  static const uint8_t zeros[64];
  uint8_t piece[4096];
  for (uint32_t at = 0; at < s->n;) {
    uint32_t m = 0;
    for (; m < sizeof piece / 4 && at < s->n; m++) store_u32(piece + 4 * (size_t)m, s->s->ids[at++]);
    ELLM_TRY(put(s, piece, 4 * (size_t)m, err));
  }
  return put(s, zeros, (64 - 4 * (size_t)s->n % 64) % 64, err);
}

/* Rows of 16 elements each, of `bytes`: those from element n on become zero. */
static void clear_lanes(uint8_t *rows, size_t n_rows, size_t bytes, uint32_t n) {
  for (size_t i = 0; i < n_rows; i++, rows += PAGE_POSITIONS * bytes)
    memset(rows + n * bytes, 0, (PAGE_POSITIONS - n) * bytes);
}

/* What is beyond n positions becomes zero in s->page; how many bytes of the page are stored. */
static size_t clear_beyond(saving *s, page_part part, uint32_t n) {
  const prompt_cache_shape *shape = s->shape;
  const size_t bytes = page_bytes(shape);
  if (shape->cache_type == ELLM_CACHE_Q8) { /* elements, then scales */
    const size_t row = prompt_cache_q8_row(shape->head_dim);
    if (part == PAGE_KEYS) clear_lanes(s->page, row / 4, 4, n);
    else clear_lanes(s->page, 1, row, n);
    clear_lanes(s->page + PAGE_POSITIONS * row, 1, sizeof(uint16_t), n);
    return bytes;
  }
  if (part == PAGE_VALUES) return n * bytes / PAGE_POSITIONS;
  clear_lanes(s->page, shape->head_dim, bytes / PAGE_POSITIONS / shape->head_dim, n);
  return bytes;
}

static ellm_status put_part(saving *s, page_part part, ellm_error *err) {
  backend *b = s->s->model->backend;
  for (size_t head = 0; head < heads_of(s->shape); head++)
    for (uint32_t at = 0; at < s->n; at += PAGE_POSITIONS) {
      const uint32_t n = s->n - at < PAGE_POSITIONS ? s->n - at : PAGE_POSITIONS;
      ELLM_TRY(b->ops->page_read(b, part, head, s->s->pages[at / PAGE_POSITIONS], s->page, err));
      ELLM_TRY(put(s, s->page, clear_beyond(s, part, n), err));
    }
  return ELLM_OK;
}

static ellm_status put_all(saving *s, bool long_factors, ellm_error *err) {
  uint8_t head[PROMPT_CACHE_HEAD_BYTES] = {0};
  ELLM_TRY(file_writer_append(s->writer, head, sizeof head, err));
  ELLM_TRY(put_ids(s, err));
  ELLM_TRY(put_part(s, PAGE_KEYS, err));
  ELLM_TRY(put_part(s, PAGE_VALUES, err));
  prompt_cache_head(s->shape, s->n, long_factors, hash_stream_value(s->hash), head);
  return file_writer_write_at(s->writer, 0, head, sizeof head, err);
}

/* The sequence is acquired, and the model's lock is held: nobody else writes or moves pages. */
static ellm_status write_file(const ellm_sequence *sequence, const char *path, const prompt_cache_shape *shape,
                              ellm_error *err) {
  const file_writer_options options = {.overwrite = true};
  /* after a failed evaluation fewer positions may be there than the sequence has */
  saving s = {.s = sequence, .shape = shape, .n = sequence->cached};
  if (s.n == 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: there is nothing to save: %s", path,
                     sequence->length == 0 ? "the sequence is empty" : "what the sequence holds is not evaluated");
  s.hash = hash_stream_create();
  s.page = malloc(page_bytes(shape));
  ellm_status status = s.hash != NULL && s.page != NULL ? file_writer_open(path, &options, &s.writer, err)
                                                        : ellm_fail_memory(err, page_bytes(shape), "a prompt cache");
  if (status == ELLM_OK) {
    hash_stream_reset(s.hash);
    status = put_all(&s, sequence->model->pool.info[sequence->pages[0]].long_factors, err);
    if (status == ELLM_OK) status = file_writer_commit(s.writer, err);
    else file_writer_abort(s.writer);
  }
  hash_stream_free(s.hash);
  free(s.page);
  return status;
}

ellm_status ellm_sequence_save(const ellm_sequence *sequence, const char *path, ellm_progress_fn progress, void *user,
                               ellm_error *err) {
  ellm_sequence *s = (ellm_sequence *)sequence; /* its state changes */
  prompt_cache_shape shape = {.n_layers = 0};
  ELLM_TRY(sequence_acquire(s, err));
  ellm_status status = s->cached > 0 ? shape_of(s->model, &(watcher){progress, user}, &shape, err) : ELLM_OK;
  if (status == ELLM_OK) {
    pthread_mutex_lock(&s->model->lock);
    status = write_file(s, path, &shape, err);
    pthread_mutex_unlock(&s->model->lock);
  }
  sequence_release(s);
  return status;
}

/* ---------------------------------------------------------------- restoring */

/* How many positions are of use: those that hold `ids`, or, without ids, as many as `room`. */
static uint32_t usable(const prompt_cache *cache, const uint32_t *ids, size_t n_ids, uint32_t room) {
  uint32_t n = cache->positions, same = 0;
  if (ids == NULL) return n < room ? n : room;
  if (n_ids < n) n = (uint32_t)n_ids;
  while (same < n && load_u32(cache->ids + 4 * (size_t)same) == ids[same]) same++;
  return same;
}

/* Pages that would be free if the sequence had none; the pool's lock is held. */
static uint32_t available_pages(const ellm_sequence *s) {
  uint32_t n = s->model->pool.n_free;
  for (uint32_t i = 0; i < s->n_pages; i++) n += s->model->pool.info[s->pages[i]].refs == 1;
  return n;
}

/* Exchange the sequence's pages for as many as n positions need. */
static ellm_status exchange_pages(ellm_sequence *s, const prompt_cache *cache, const uint32_t *ids, size_t n_ids,
                                  uint32_t *n, ellm_error *err) {
  page_pool *pool = &s->model->pool;
  const uint32_t limit = sequence_limit(s->model);
  ellm_status status = ELLM_OK;
  pthread_mutex_lock(&pool->lock);
  const uint32_t available = available_pages(s);
  const uint64_t room = (uint64_t)available * PAGE_POSITIONS;
  *n = usable(cache, ids, n_ids, room < limit ? (uint32_t)room : limit);
  if (pages_of(*n) > available)
    status = ellm_fail(err, ELLM_ERR_FULL, "%s: the cache is full: %u positions to restore, %u pages are free",
                       s->model->path, (unsigned)*n, (unsigned)available);
  else if (*n > s->room)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: the sequence outgrows the cache: %u positions to restore",
                       s->model->path, (unsigned)*n);
  if (status == ELLM_OK) {
    sequence_drop_pages(s, 0);
    for (; s->n_pages < pages_of(*n); s->n_pages++) {
      const uint32_t page = page_take(pool, s->n_pages > 0 ? (int64_t)s->pages[s->n_pages - 1] : PAGE_NONE);
      pool->info[page].long_factors = cache->long_factors;
      s->pages[s->n_pages] = page;
    }
  }
  pthread_mutex_unlock(&pool->lock);
  return status;
}

/* Values of the last page are filled up with zeros; in 8 bits they are there whole. */
static void write_pages(ellm_sequence *s, const prompt_cache_shape *shape, const prompt_cache *cache, uint32_t n,
                        uint8_t *page) {
  backend *b = s->model->backend;
  const size_t bytes = page_bytes(shape);
  const bool whole = shape->cache_type == ELLM_CACHE_Q8;
  for (size_t head = 0; head < heads_of(shape); head++)
    for (uint32_t i = 0; i < s->n_pages; i++) {
      const uint32_t left = n - i * PAGE_POSITIONS, held = left < PAGE_POSITIONS && !whole ? left : PAGE_POSITIONS;
      b->ops->page_write(b, PAGE_KEYS, head, s->pages[i], cache->keys + head * cache->key_bytes + i * bytes);
      memset(page, 0, bytes);
      memcpy(page, cache->values + head * cache->value_bytes + i * bytes, held * bytes / PAGE_POSITIONS);
      b->ops->page_write(b, PAGE_VALUES, head, s->pages[i], page);
    }
  for (uint32_t i = 0; i < n; i++) s->ids[i] = load_u32(cache->ids + 4 * (size_t)i);
  s->length = s->cached = n;
}

static ellm_status read_file(ellm_sequence *s, const file_map *map, const char *path, const prompt_cache_shape *shape,
                             const uint32_t *ids, size_t n_ids, ellm_error *err) {
  prompt_cache cache;
  uint32_t n;
  ELLM_TRY(prompt_cache_parse(map->data, map->size, path, shape, &cache, err));
  uint8_t *page = malloc(page_bytes(shape));
  if (page == NULL) return ellm_fail_memory(err, page_bytes(shape), "a prompt cache");
  pthread_mutex_lock(&s->model->lock);
  ellm_status status = sequence_make_room(s, sequence_limit(s->model), err);
  if (status == ELLM_OK) status = exchange_pages(s, &cache, ids, n_ids, &n, err);
  if (status == ELLM_OK) write_pages(s, shape, &cache, n, page);
  pthread_mutex_unlock(&s->model->lock);
  free(page);
  return status;
}

ellm_status ellm_sequence_restore(ellm_sequence *s, const char *path, const uint32_t *ids, size_t n_ids,
                                  ellm_progress_fn progress, void *user, ellm_error *err) {
  prompt_cache_shape shape;
  file_map map;
  ELLM_TRY(sequence_acquire(s, err));
  ellm_status status = shape_of(s->model, &(watcher){progress, user}, &shape, err);
  if (status == ELLM_OK) status = file_map_open(path, &map, err);
  if (status == ELLM_OK) {
    status = read_file(s, &map, path, &shape, ids, n_ids, err);
    file_map_close(&map);
  }
  sequence_release(s);
  return status;
}
