/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "model/pages.h"

static ellm_status allocate(corpus *c, size_t n, size_t length, ellm_error *err) {
  size_t bytes = SIZE_MAX;
  *c = (corpus){.n = n, .length = length};
  if (ellm_mul_size(n, length, &bytes) && ellm_mul_size(bytes, sizeof *c->ids, &bytes)) c->ids = malloc(bytes);
  return c->ids != NULL ? ELLM_OK : ellm_fail_memory(err, bytes, "a calibration text");
}

void corpus_free(corpus *c) {
  free(c->ids);
  *c = (corpus){0};
}

/* -------------------------------------------------------- written by the model */

/* Some sequences at work together. */
typedef struct writing {
  ellm_model *model;
  const corpus_request *request;
  corpus *text;
  size_t first, n;            /* sequences first .. first + n - 1 of the text */
  uint32_t vocab_size;
  ellm_sequence **sequences;  /* [together] */
  ellm_sampler **samplers;
  ellm_batch_item *items;
  float *logits;              /* [together][vocab_size] */
  ellm_error *drawn;          /* [together], what came of drawing */
  float **seen;               /* [together], rows of logits for request->chances */
} writing;

static void writing_clear(writing *w) {
  for (size_t i = 0; i < w->request->together; i++) {
    if (w->sequences != NULL) ellm_sequence_free(w->sequences[i]);
    if (w->samplers != NULL) ellm_sampler_free(w->samplers[i]);
    if (w->sequences != NULL) w->sequences[i] = NULL;
    if (w->samplers != NULL) w->samplers[i] = NULL;
  }
}

static ellm_status writing_create(writing *w, ellm_error *err) {
  const size_t n = w->request->together;
  size_t bytes = SIZE_MAX;
  w->sequences = calloc(n, sizeof *w->sequences);
  w->samplers = calloc(n, sizeof *w->samplers);
  w->items = calloc(n, sizeof *w->items);
  w->drawn = calloc(n, sizeof *w->drawn);
  w->seen = calloc(n, sizeof *w->seen);
  if (ellm_mul_size(n, w->vocab_size, &bytes) && ellm_mul_size(bytes, sizeof(float), &bytes)) w->logits = malloc(bytes);
  return w->sequences != NULL && w->samplers != NULL && w->items != NULL && w->logits != NULL &&
                 w->drawn != NULL && w->seen != NULL
             ? ELLM_OK
             : ellm_fail_memory(err, bytes, "writing a calibration text");
}

static uint32_t *ids_of(const writing *w, size_t i) { return w->text->ids + (w->first + i) * w->text->length; }

/* Sequence number k of the text begins. */
static ellm_status open_sequence(writing *w, size_t i, ellm_error *err) {
  const corpus_request *r = w->request;
  const size_t k = w->first + i;
  const bool chat = r->n_chat > 0 && k % 2 == 1;
  const uint32_t *start = chat ? r->chat : r->start;
  const size_t n_start = chat ? r->n_chat : r->n_start;
  const ellm_sampling sampling = {.size = sizeof sampling, .temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = k};
  uint32_t *ids = ids_of(w, i);
  ELLM_TRY(ellm_sequence_create(w->model, &w->sequences[i], err));
  ELLM_TRY(ellm_sequence_announce(w->sequences[i], (uint32_t)w->text->length, err));
  ELLM_TRY(ellm_sampler_create(&sampling, w->vocab_size, &w->samplers[i], err));
  memcpy(ids, start, n_start * sizeof *ids);
  w->items[i] = (ellm_batch_item){.sequence = w->sequences[i],
                                  .ids = ids,
                                  .n_ids = n_start,
                                  .logits = w->logits + i * w->vocab_size,
                                  .n_logits = 1};
  return ELLM_OK;
}

/* The place of the id that follows what an item evaluates. */
static size_t next_place(const writing *w, size_t i) {
  return (size_t)(w->items[i].ids - ids_of(w, i)) + w->items[i].n_ids;
}

/* Draws the next id of a sequence that is not full. */
static void draw_next(void *user, size_t i, int thread) {
  const writing *w = user;
  const ellm_batch_item *item = &w->items[i];
  (void)thread;
  if (item->n_ids == 0) return;
  const size_t at = next_place(w, i);
  w->drawn[i].status = ELLM_OK;
  ellm_status status = ellm_logits_check(item->logits, w->vocab_size, (uint32_t)at - 1, &w->drawn[i]);
  if (status == ELLM_OK) status = ellm_sampler_next(w->samplers[i], item->logits, &ids_of(w, i)[at], &w->drawn[i]);
  w->drawn[i].status = status;
}

/* What the model thought of, now that ids are drawn. */
static void add_chances(writing *w) {
  size_t n = 0;
  for (size_t i = 0; i < w->n && w->first + i < w->request->watched; i++)
    if (w->items[i].n_ids > 0) w->seen[n++] = w->items[i].logits;
  chances_add(w->request->chances, w->model->compute, w->seen, n);
}

/* One evaluation, and an id more for every sequence that is not full. *open: how many are not. Items are in the order
 * of sequences; full ones stay in their place, without ids. Threads share out the drawing, which looks at each logit:
 * each sequence has a sampler of its own. */
static ellm_status step(writing *w, size_t *open, ellm_error *err) {
  ELLM_TRY(ellm_evaluate(w->model, w->items, w->n, err));
  pool_for(compute_pool(w->model->compute), w->n, draw_next, w);
  for (size_t i = 0; i < w->n; i++) {
    if (w->items[i].n_ids > 0 && w->drawn[i].status != ELLM_OK) {
      if (err != NULL) *err = w->drawn[i];
      return w->drawn[i].status;
    }
  }
  if (w->request->chances != NULL) add_chances(w);
  *open = 0;
  for (size_t i = 0; i < w->n; i++) {
    ellm_batch_item *item = &w->items[i];
    if (item->n_ids == 0) continue;
    uint32_t *ids = ids_of(w, i);
    const size_t at = next_place(w, i);
    const bool more = at + 1 < w->text->length;
    *item = (ellm_batch_item){.sequence = item->sequence,
                              .ids = ids + at,
                              .n_ids = more,
                              .logits = item->logits,
                              .n_logits = more};
    *open += more;
  }
  return ELLM_OK;
}

static ellm_status write_some(writing *w, progress_meter *meter, uint64_t done, ellm_error *err) {
  size_t open = w->n;
  for (size_t i = 0; i < w->n; i++) ELLM_TRY(open_sequence(w, i, err));
  for (size_t t = 0; open > 0; t++) {
    ELLM_TRY(step(w, &open, err));
    ELLM_TRY(progress_report(meter, "calibrate", "", done + w->n * t, err));
  }
  return ELLM_OK;
}

static ellm_status write_all(writing *w, progress_meter *meter, ellm_error *err) {
  const corpus_request *r = w->request;
  const uint64_t done = meter->done;
  ellm_status status = ELLM_OK;
  for (w->first = 0; w->first < r->n && status == ELLM_OK; w->first += w->n) {
    const size_t left = r->n - w->first;
    w->n = left < r->together ? left : r->together;
    if (r->squares != NULL) r->squares->most = r->watched > w->first ? r->watched - w->first : 0;
    status = write_some(w, meter, done + w->first * r->length, err);
    if (r->squares != NULL) squares_close(r->squares, r->squares->most < w->n ? r->squares->most : w->n);
    writing_clear(w);
  }
  return status;
}

ellm_status corpus_write(ellm_model *model, const corpus_request *request, progress_meter *meter, corpus *out,
                         ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  *out = (corpus){0};
  if (request->length > info.max_context)
    return ellm_fail(err, ELLM_ERR_INPUT, "a calibration text of %zu tokens is longer than the model's context of %u",
                     request->length, (unsigned)info.max_context);
  const size_t pages = (request->length + PAGE_POSITIONS - 1) / PAGE_POSITIONS, positions = pages * PAGE_POSITIONS;
  writing w = {.model = model, .request = request, .text = out, .vocab_size = info.vocab_size};
  forward_watch watch = {0};
  ellm_status status = allocate(out, request->n, request->length, err);
  if (status == ELLM_OK) status = writing_create(&w, err);
  if (status == ELLM_OK) status = ellm_model_reserve(model, (uint32_t)(positions * request->together), err);
  if (status == ELLM_OK) {
    if (request->squares != NULL) {
      watch = squares_watch(request->squares);
      status = forward_set_watch(model, &watch, err);
    }
    if (status == ELLM_OK) status = write_all(&w, meter, err);
    forward_set_watch(model, NULL, NULL);
  }
  writing_clear(&w);
  free(w.sequences);
  free(w.samplers);
  free(w.items);
  free(w.drawn);
  free(w.seen);
  free(w.logits);
  if (status != ELLM_OK) corpus_free(out);
  return status;
}

/* ---------------------------------------------------------------- from a text */

ellm_status corpus_cut(const uint32_t *ids, size_t n_ids, size_t n, size_t length, size_t least, const char *origin,
                       corpus *out, ellm_error *err) {
  const size_t whole = n_ids / length, taken = whole < n ? whole : n;
  *out = (corpus){0};
  if (taken < least)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %zu tokens are too few to calibrate with: %zu sequences of %zu are needed",
                     origin, n_ids, least, length);
  ELLM_TRY(allocate(out, taken, length, err));
  for (size_t k = 0; k < taken; k++)
    memcpy(out->ids + k * length, ids + k * whole / taken * length, length * sizeof *ids);
  return ELLM_OK;
}
