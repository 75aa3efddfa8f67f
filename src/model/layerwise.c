/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer by layer: between two calls the text is with the caller, as rows of the residual stream, and the model holds
 * nothing but pages for keys and values, which each layer fills again. A text is taken in pieces of BACKEND_MAX_ROWS
 * positions, ascending, so that attention sees all positions before.
 */
#include "model/layerwise.h"

#include <stdlib.h>

#include "model/sequence.h"

struct layerwise {
  ellm_model *model;
  uint32_t positions;
  ellm_sequence *holder;   /* of the pages, so that nobody else takes them */
  batch_row rows[BACKEND_MAX_ROWS];
};

/* Pages for all positions, held by a sequence of its own that has no ids: the one exception to the rule that a sequence
 * has the pages of its ids (sequence.h). Nobody else sees it. */
static ellm_status take_pages(layerwise *w, ellm_error *err) {
  ellm_sequence *s = w->holder;
  page_pool *pool = &w->model->pool;
  const uint32_t n = pages_of(w->positions);
  ELLM_TRY(sequence_make_room(s, w->positions, err));
  pthread_mutex_lock(&pool->lock);
  const bool fits = n <= pool->n_free;
  for (; fits && s->n_pages < n; s->n_pages++) {
    const int64_t before = s->n_pages > 0 ? (int64_t)s->pages[s->n_pages - 1] : PAGE_NONE;
    s->pages[s->n_pages] = page_take(pool, before);
  }
  if (fits) page_runs(s->pages, s->n_pages, s->runs);
  pthread_mutex_unlock(&pool->lock);
  return fits ? ELLM_OK
              : ellm_fail(err, ELLM_ERR_FULL, "%s: the cache has no room for %u positions", w->model->path,
                          (unsigned)w->positions);
}

ellm_status layerwise_create(ellm_model *model, uint32_t positions, layerwise **out, ellm_error *err) {
  *out = NULL;
  layerwise *w = calloc(1, sizeof *w);
  if (w == NULL) return ellm_fail_memory(err, sizeof *w, "running layers");
  w->model = model;
  w->positions = positions;
  ellm_status status = ellm_sequence_create(model, &w->holder, err);
  if (status == ELLM_OK) status = take_pages(w, err);
  if (status != ELLM_OK) {
    layerwise_free(w);
    return status;
  }
  *out = w;
  return ELLM_OK;
}

void layerwise_free(layerwise *w) {
  if (w == NULL) return;
  ellm_sequence_free(w->holder); /* gives the pages back */
  free(w);
}

/* Positions first .. first + n - 1 are at work. ids NULL: any; then STREAM means nothing yet. */
static ellm_status begin(layerwise *w, const uint32_t *ids, size_t first, size_t n, bool logits, float *row_logits,
                         ellm_error *err) {
  const ellm_sequence *s = w->holder;
  const bool long_factors = w->positions > w->model->ropes.long_above;
  for (size_t i = 0; i < n; i++) {
    const uint32_t position = (uint32_t)(first + i);
    w->rows[i] = (batch_row){.id = ids != NULL ? ids[i] : 0,
                             .position = position,
                             .page = s->pages[position / PAGE_POSITIONS],
                             .long_factors = long_factors,
                             .runs = s->runs};
    if (logits) w->rows[i].logits = row_logits + i * (size_t)w->model->config.vocab_size;
  }
  return w->model->backend->ops->begin(w->model->backend, w->rows, n, err);
}

/* The rows at work from STREAM to the caller's memory, and back. */
static void read_stream(layerwise *w, size_t n, float *stream) {
  backend *b = w->model->backend;
  b->ops->read_rows(b, BUFFER_STREAM, n, stream, w->model->config.hidden_size);
}

static void write_stream(layerwise *w, size_t n, const float *stream) {
  backend *b = w->model->backend;
  b->ops->write_rows(b, BUFFER_STREAM, n, stream, w->model->config.hidden_size);
}

static size_t piece_of(size_t left) { return left < BACKEND_MAX_ROWS ? left : BACKEND_MAX_ROWS; }

ellm_status layerwise_begin(layerwise *w, const uint32_t *ids, size_t n, float *stream, ellm_error *err) {
  const size_t hidden = w->model->config.hidden_size;
  if (n > w->positions) return ellm_fail(err, ELLM_ERR_INTERNAL, "%zu positions are too many", n);
  for (size_t i = 0; i < n; i++)
    if (ids[i] >= w->model->config.vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: token id %u is beyond the %u rows of the embedding", w->model->path,
                       (unsigned)ids[i], (unsigned)w->model->config.vocab_size);
  for (size_t first = 0, m; first < n; first += m) {
    m = piece_of(n - first);
    ELLM_TRY(begin(w, ids + first, first, m, false, NULL, err));
    read_stream(w, m, stream + first * hidden);
  }
  return ELLM_OK;
}

/* Each piece goes into STREAM, through the layer, and back. */
ellm_status layerwise_layer(layerwise *w, uint32_t layer, size_t n, float *stream, const forward_watch *watch,
                            ellm_error *err) {
  const size_t hidden = w->model->config.hidden_size;
  if (n > w->positions) return ellm_fail(err, ELLM_ERR_INTERNAL, "%zu positions are too many", n);
  ellm_status status = forward_set_watch(w->model, watch, err);
  for (size_t first = 0, m; first < n && status == ELLM_OK; first += m) {
    m = piece_of(n - first);
    status = begin(w, NULL, first, m, false, NULL, err);
    if (status != ELLM_OK) break;
    write_stream(w, m, stream + first * hidden);
    status = forward_layer(w->model, layer, w->rows, m, err);
    if (status == ELLM_OK) read_stream(w, m, stream + first * hidden);
  }
  forward_set_watch(w->model, NULL, NULL);
  return status;
}

/* The last norm and, where logits are asked for, the product with the vocabulary. */
ellm_status layerwise_head(layerwise *w, size_t first, size_t n, const float *stream, float *logits,
                           const forward_watch *watch, ellm_error *err) {
  const size_t hidden = w->model->config.hidden_size, vocab = w->model->config.vocab_size;
  backend *b = w->model->backend;
  if (n > w->positions) return ellm_fail(err, ELLM_ERR_INTERNAL, "%zu positions are too many", n);
  ellm_status status = forward_set_watch(w->model, watch, err);
  for (size_t at = first, m; at < n && status == ELLM_OK; at += m) {
    m = piece_of(n - at);
    float *rows = logits != NULL ? logits + (at - first) * vocab : NULL;
    status = begin(w, NULL, at, m, logits != NULL, rows, err);
    if (status != ELLM_OK) break;
    write_stream(w, m, stream + at * hidden);
    if (logits != NULL) b->ops->select(b);
    b->ops->norm(b, w->model->weights.norm, BUFFER_STREAM, BUFFER_NORMED);
    forward_show(w->model, w->model->weights.n_layers, INPUT_HEAD, w->rows, m, BUFFER_NORMED);
    if (logits != NULL) status = b->ops->logits(b, &w->model->weights.head, BUFFER_NORMED, err);
  }
  forward_set_watch(w->model, NULL, NULL);
  return status;
}
