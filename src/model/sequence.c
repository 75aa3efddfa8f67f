/* SPDX-License-Identifier: Apache-2.0 */
/* Making, sharing and shortening sequences; evaluate.c lengthens them. */
#include "model/sequence.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ use and memory */

ellm_status sequence_acquire(ellm_sequence *s, ellm_error *err) {
  if ((atomic_fetch_or(&s->state, SEQUENCE_IN_USE) & SEQUENCE_IN_USE) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_USAGE, "%s: the sequence is in use by another thread", s->model->path);
}

static void destroy(ellm_sequence *s) {
  ellm_model *model = s->model;
  pthread_mutex_lock(&model->pool.lock);
  sequence_drop_pages(s, 0);
  pthread_mutex_unlock(&model->pool.lock);
  free(s->ids);
  free(s->pages);
  free(s->runs);
  free(s);
  model_release(model);
}

void sequence_release(ellm_sequence *s) {
  if (atomic_fetch_and(&s->state, ~(unsigned)SEQUENCE_IN_USE) & SEQUENCE_FREED) destroy(s);
}

void ellm_sequence_free(ellm_sequence *s) {
  if (s == NULL) return;
  if ((atomic_fetch_or(&s->state, SEQUENCE_FREED) & SEQUENCE_IN_USE) == 0) destroy(s);
}

void sequence_drop_pages(ellm_sequence *s, uint32_t n) {
  while (s->n_pages > n) page_drop(&s->model->pool, s->pages[--s->n_pages]);
}

uint32_t sequence_limit(ellm_model *model) {
  pthread_mutex_lock(&model->pool.lock);
  const uint64_t pool = (uint64_t)model->pool.n_pages * PAGE_POSITIONS;
  pthread_mutex_unlock(&model->pool.lock);
  const uint32_t most = model->config.max_context;
  return pool < most ? (uint32_t)pool : most;
}

/* Grow *list to n elements; false: no memory, and it is as it was. */
static bool grow_list(void *list, size_t n, size_t element) {
  void *old, *grown;
  memcpy(&old, list, sizeof old);
  grown = realloc(old, n * element);
  if (grown == NULL) return false;
  memcpy(list, &grown, sizeof grown);
  return true;
}

ellm_status sequence_make_room(ellm_sequence *s, uint32_t positions, ellm_error *err) {
  const size_t n_pages = pages_of(positions), room = n_pages * PAGE_POSITIONS;
  if (room <= s->room) return ELLM_OK;
  if (!grow_list(&s->ids, room, sizeof *s->ids) || !grow_list(&s->pages, n_pages, sizeof *s->pages) ||
      !grow_list(&s->runs, n_pages, sizeof *s->runs))
    return ellm_fail_memory(err, room * sizeof *s->ids, "a sequence");
  s->room = (uint32_t)room;
  return ELLM_OK;
}

/* -------------------------------------------------------------------- making */

/* Room for the longest that the pool allows, so that going on allocates nothing. */
static ellm_status create(ellm_model *model, ellm_sequence **out, ellm_error *err) {
  *out = NULL;
  ELLM_TRY(model_prepare(model, err));
  ellm_sequence *s = calloc(1, sizeof *s);
  if (s == NULL) return ellm_fail_memory(err, sizeof *s, "a sequence");
  s->model = model;
  atomic_init(&s->state, 0);
  model_retain(model);
  const ellm_status status = sequence_make_room(s, sequence_limit(model), err);
  if (status != ELLM_OK) {
    destroy(s);
    return status;
  }
  *out = s;
  return ELLM_OK;
}

ellm_status ellm_sequence_create(ellm_model *model, ellm_sequence **out, ellm_error *err) {
  *out = NULL;
  if (atomic_load(&model->closed)) return model_fail_closed(model, err);
  return create(model, out, err);
}

ellm_status ellm_sequence_fork(const ellm_sequence *from, ellm_sequence **out, ellm_error *err) {
  ellm_sequence *source = (ellm_sequence *)from, *s; /* its state and the counts of its pages change */
  *out = NULL;
  ELLM_TRY(sequence_acquire(source, err));
  ellm_status status = create(from->model, &s, err);
  if (status == ELLM_OK) status = sequence_make_room(s, from->length, err);
  if (status == ELLM_OK) {
    memcpy(s->ids, from->ids, from->length * sizeof *s->ids);
    memcpy(s->pages, from->pages, from->n_pages * sizeof *s->pages);
    s->length = from->length;
    s->cached = from->cached;
    s->announced = from->announced;
    s->begun_with = from->begun_with;
    s->n_pages = from->n_pages;
    pthread_mutex_lock(&s->model->pool.lock);
    for (uint32_t i = 0; i < s->n_pages; i++) s->model->pool.info[s->pages[i]].refs++;
    pthread_mutex_unlock(&s->model->pool.lock);
    *out = s;
  } else {
    ellm_sequence_free(s);
  }
  sequence_release(source);
  return status;
}

/* --------------------------------------------------------- looking, shortening */

uint32_t ellm_sequence_length(const ellm_sequence *s) { return s->length; }
const uint32_t *ellm_sequence_ids(const ellm_sequence *s) { return s->ids; }

static void truncate_to(ellm_sequence *s, uint32_t length) {
  if (length >= s->length) return;
  s->length = length;
  if (s->cached > length) s->cached = length;
  pthread_mutex_lock(&s->model->pool.lock);
  sequence_drop_pages(s, pages_of(length));
  pthread_mutex_unlock(&s->model->pool.lock);
}

ellm_status ellm_sequence_truncate(ellm_sequence *s, uint32_t length, ellm_error *err) {
  ELLM_TRY(sequence_acquire(s, err));
  if (length < s->length) s->begun_with = 0; /* another text may follow */
  truncate_to(s, length);
  sequence_release(s);
  return ELLM_OK;
}

static ellm_status check_length(const ellm_sequence *s, size_t length, ellm_error *err) {
  const model_config *c = &s->model->config;
  const char *reason = c->max_context_reason;
  if (length <= c->max_context) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: a sequence of %zu positions is beyond the model's context of %u%s%s",
                   s->model->path, length, (unsigned)c->max_context, reason != NULL ? ": " : "",
                   reason != NULL ? reason : "");
}

ellm_status ellm_sequence_announce(ellm_sequence *s, uint32_t length, ellm_error *err) {
  ELLM_TRY(check_length(s, length, err));
  ELLM_TRY(sequence_acquire(s, err));
  s->announced = length;
  sequence_release(s);
  return ELLM_OK;
}

/* ----------------------------------------------------------------- following */

size_t sequence_common_ids(const uint32_t *a, const uint32_t *b, size_t most) {
  size_t n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

/* Would its first positions be computed with other factors than now? */
static bool factors_change(const ellm_sequence *s) {
  page_pool *pool = &s->model->pool;
  const bool wanted = sequence_full_length(s, 0) > s->model->ropes.long_above;
  pthread_mutex_lock(&pool->lock);
  const bool change = s->cached > 0 && pool->info[s->pages[0]].long_factors != wanted;
  pthread_mutex_unlock(&pool->lock);
  return change;
}

ellm_status sequence_begin(ellm_sequence *s, const uint32_t *ids, size_t n_ids, size_t most, size_t *kept,
                           ellm_error *err) {
  ELLM_TRY(check_length(s, n_ids, err));
  ELLM_TRY(sequence_acquire(s, err));
  s->begun_with = (uint32_t)n_ids;
  if (most > s->cached) most = s->cached;
  *kept = sequence_common_ids(s->ids, ids, most);
  if (*kept < n_ids && factors_change(s)) *kept = 0;
  truncate_to(s, (uint32_t)*kept);
  sequence_release(s);
  return ELLM_OK;
}
