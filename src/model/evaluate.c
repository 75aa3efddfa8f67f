/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluating a batch: any mixture of sequences, of prompts and single tokens.
 *
 * First everything that can be refused is refused: ids and lengths are checked,
 * the sequences acquired, the pages counted that will be needed. Only then pages
 * are taken. The rows, the new positions of all items one after the other, are
 * computed in passes of up to BACKEND_MAX_ROWS, and lengths change last: so after
 * any error every sequence is as it was.
 *
 * A page is needed where a sequence grows beyond its last one, and for each page
 * that is to be written and that other sequences hold, too. Where longrope's
 * factors change, all positions are rows again, and all pages are written.
 */
#include <string.h>

#include "model/forward.h"
#include "model/sequence.h"

/* What is computed of an item: its sequence's positions [first, end). */
typedef struct span {
  ellm_sequence *s;
  uint32_t first, end;
  bool long_factors;
} span;

static span span_of(const ellm_batch_item *item) {
  ellm_sequence *s = item->sequence;
  span v = {.s = s, .first = s->cached, .end = s->length + (uint32_t)item->n_ids};
  const uint32_t reached = sequence_full_length(s, v.end);
  v.long_factors = reached > s->model->ropes.long_above;
  if (s->cached > 0 && s->model->pool.info[s->pages[0]].long_factors != v.long_factors) v.first = 0;
  return v;
}

/* ------------------------------------------------------------------- refusing */

static ellm_status check_item(const ellm_model *model, const ellm_batch_item *item, ellm_error *err) {
  if (item->sequence == NULL || item->sequence->model != model)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: a sequence of the batch is %s", model->path,
                     item->sequence == NULL ? "missing" : "one of another model");
  if (item->n_ids > 0 && item->ids == NULL)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: the %zu ids of a sequence of the batch are missing", model->path,
                     item->n_ids);
  if (item->n_logits > item->n_ids)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: logits of %zu positions were requested, of %zu", model->path,
                     item->n_logits, item->n_ids);
  if (item->n_logits > 0 && item->logits == NULL)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: there is no room for the requested logits", model->path);
  for (size_t i = 0; i < item->n_ids; i++)
    if (item->ids[i] >= model->config.vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: token id %u is beyond the %u rows of the embedding", model->path,
                       (unsigned)item->ids[i], (unsigned)model->config.vocab_size);
  return ELLM_OK;
}

/* Of a sequence that is acquired. */
static ellm_status check_length(ellm_model *model, const ellm_batch_item *item, ellm_error *err) {
  const uint32_t limit = sequence_limit(model), length = item->sequence->length;
  if (item->n_ids <= limit - length) return ELLM_OK;
  const char *reason = model->config.max_context_reason;
  if (limit == model->config.max_context)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the context is full: %zu positions after %u of %u%s%s", model->path,
                     item->n_ids, (unsigned)length, (unsigned)limit, reason != NULL ? ": " : "",
                     reason != NULL ? reason : "");
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: the sequence outgrows the cache: %zu positions after %u, the pool has %u",
                   model->path, item->n_ids, (unsigned)length, (unsigned)limit);
}

static ellm_status acquire(const ellm_batch_item *items, size_t i, ellm_error *err) {
  const ellm_status status = sequence_acquire(items[i].sequence, err);
  for (size_t k = 0; status != ELLM_OK && k < i; k++)
    if (items[k].sequence == items[i].sequence)
      return ellm_fail(err, ELLM_ERR_USAGE, "%s: items %zu and %zu of the batch are the same sequence",
                       items[i].sequence->model->path, k, i);
  return status;
}

static void release(const ellm_batch_item *items, size_t n) {
  while (n-- > 0) sequence_release(items[n].sequence);
}

/* ---------------------------------------------------------------------- pages */

/* Must page number i of the sequence's list be a new one to be written? Others that are going to leave it, because
 * they got a page of their own, do not count. */
static bool needs_page(const span *v, uint32_t i) {
  if (i >= v->s->n_pages) return true;
  const page_info *page = &v->s->model->pool.info[v->s->pages[i]];
  return page->refs - page->leaving > 1;
}

/* Pages that the batch needs in all. Marks those that sequences will leave. */
static uint64_t count_pages(const ellm_batch_item *items, size_t n_items) {
  uint64_t needed = 0;
  for (size_t k = 0; k < n_items; k++) {
    const span v = span_of(&items[k]);
    for (uint32_t i = v.first / PAGE_POSITIONS; items[k].n_ids > 0 && i < pages_of(v.end); i++) {
      if (!needs_page(&v, i)) continue;
      if (i < v.s->n_pages) v.s->model->pool.info[v.s->pages[i]].leaving++;
      needed++;
    }
  }
  return needed;
}

static void unmark_pages(const ellm_batch_item *items, size_t n_items) {
  for (size_t k = 0; k < n_items; k++)
    for (uint32_t i = 0; i < items[k].sequence->n_pages; i++)
      items[k].sequence->model->pool.info[items[k].sequence->pages[i]].leaving = 0;
}

/* All pages that a span writes become its own; what it keeps of a shared one is copied. Sequence by sequence, in the
 * order that count_pages went: it finds each page held by as many. */
static void take_pages(const span *v) {
  ellm_sequence *s = v->s;
  page_pool *pool = &s->model->pool;
  for (uint32_t i = v->first / PAGE_POSITIONS; i < pages_of(v->end); i++) {
    if (needs_page(v, i)) {
      const uint32_t page = page_take(pool, i > 0 ? (int64_t)s->pages[i - 1] : PAGE_NONE);
      if (i < s->n_pages) {
        if (v->first > i * PAGE_POSITIONS)
          s->model->backend->ops->page_copy(s->model->backend, s->pages[i], page, v->first - i * PAGE_POSITIONS);
        page_drop(pool, s->pages[i]);
      } else {
        s->n_pages = i + 1;
      }
      s->pages[i] = page;
    }
    pool->info[s->pages[i]].long_factors = v->long_factors;
  }
  s->cached = v->first;
  page_runs(s->pages, s->n_pages, s->runs);
}

static ellm_status prepare_pages(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err) {
  page_pool *pool = &model->pool;
  pthread_mutex_lock(&pool->lock);
  const uint64_t needed = count_pages(items, n_items);
  const uint32_t n_free = pool->n_free;
  unmark_pages(items, n_items);
  for (size_t k = 0; k < n_items && needed <= n_free; k++) {
    const span v = span_of(&items[k]);
    if (items[k].n_ids > 0) take_pages(&v);
  }
  pthread_mutex_unlock(&pool->lock);
  if (needed <= n_free) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_FULL, "%s: the cache is full: the batch needs %llu pages, %u of %u are free",
                   model->path, (unsigned long long)needed, (unsigned)n_free, (unsigned)pool->n_pages);
}

/* ------------------------------------------------------------------ computing */

/* Rows of the batch that are to come: those of items[item], from `position` on once it has `begun`, and of the items
 * after it. */
typedef struct cursor {
  const ellm_batch_item *items;
  size_t n_items, item;
  uint32_t position;
  bool begun;
} cursor;

static bool at_end(cursor *at) {
  while (!at->begun && at->item < at->n_items) {
    at->begun = at->items[at->item].n_ids > 0;
    if (at->begun) at->position = at->items[at->item].sequence->cached;
    else at->item++;
  }
  return at->item == at->n_items;
}

static batch_row next_row(cursor *at, const ellm_model *model) {
  const ellm_batch_item *item = &at->items[at->item];
  const ellm_sequence *s = item->sequence;
  const uint32_t end = s->length + (uint32_t)item->n_ids, first_logit = end - (uint32_t)item->n_logits;
  batch_row row = {.id = s->ids[at->position],
                   .position = at->position,
                   .page = s->pages[at->position / PAGE_POSITIONS],
                   .runs = s->runs,
                   .item = (uint32_t)at->item};
  row.long_factors = model->pool.info[row.page].long_factors;
  if (at->position >= first_logit)
    row.logits = item->logits + (size_t)(at->position - first_logit) * model->config.vocab_size;
  if (++at->position == end) {
    at->item++;
    at->begun = false;
  }
  return row;
}

static ellm_status compute_batch(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err) {
  cursor at = {.items = items, .n_items = n_items};
  while (!at_end(&at)) {
    batch_row rows[BACKEND_MAX_ROWS];
    size_t n = 0;
    while (n < BACKEND_MAX_ROWS && !at_end(&at)) rows[n++] = next_row(&at, model);
    ELLM_TRY(forward(model, rows, n, err));
  }
  return ELLM_OK;
}

/* The sequences are acquired, and the model's lock is held. */
static ellm_status run_batch(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err) {
  for (size_t k = 0; k < n_items; k++) {
    ELLM_TRY(check_length(model, &items[k], err));
    ELLM_TRY(sequence_make_room(items[k].sequence, items[k].sequence->length + (uint32_t)items[k].n_ids, err));
  }
  ELLM_TRY(prepare_pages(model, items, n_items, err));
  for (size_t k = 0; k < n_items; k++)
    if (items[k].n_ids > 0)
      memcpy(items[k].sequence->ids + items[k].sequence->length, items[k].ids, items[k].n_ids * sizeof *items[k].ids);
  const ellm_status status = compute_batch(model, items, n_items, err);
  pthread_mutex_lock(&model->pool.lock);
  for (size_t k = 0; k < n_items; k++) {
    ellm_sequence *s = items[k].sequence;
    if (status == ELLM_OK && items[k].n_ids > 0) s->cached = s->length += (uint32_t)items[k].n_ids;
    if (status != ELLM_OK) sequence_drop_pages(s, pages_of(s->length));
  }
  pthread_mutex_unlock(&model->pool.lock);
  return status;
}

ellm_status ellm_evaluate(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err) {
  ellm_status status = ELLM_OK;
  size_t n = 0;
  if (atomic_load(&model->closed)) return model_fail_closed(model, err);
  for (size_t k = 0; k < n_items; k++) ELLM_TRY(check_item(model, &items[k], err));
  while (n < n_items && (status = acquire(items, n, err)) == ELLM_OK) n++;
  if (status == ELLM_OK) {
    pthread_mutex_lock(&model->lock);
    status = run_batch(model, items, n_items, err);
    pthread_mutex_unlock(&model->lock);
  }
  release(items, n);
  return status;
}

ellm_status ellm_logits_check(const float *row, size_t vocab_size, uint32_t position, ellm_error *err) {
  for (size_t i = 0; i < vocab_size; i++)
    if (!(row[i] <= 3.402823466e+38f)) /* NaN compares with nothing */
      return ellm_fail(err, ELLM_ERR_INPUT, "the logits of position %u hold %s (token id %zu): the model is damaged",
                       (unsigned)position, row[i] != row[i] ? "NaN" : "infinity", i);
  return ELLM_OK;
}
