/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures what rounding a matrix does to the output. The model's elements are replaced by the rounded ones, the text
 * is computed from the first changed layer on, and the elements are put back. The layers before it need not be computed
 * again: the stream (the text's vectors before a layer) was stored for every layer in one pass through the unchanged
 * model. Streams are in a scratch file, so memory does not grow with the number of layers.
 */
#include "tune/damage.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "model/score.h"

static size_t stream_bytes(const damage_meter *d) {
  return d->length * d->model->config.hidden_size * sizeof *d->stream;
}

static uint64_t stream_at(const damage_meter *d, size_t sequence, uint32_t layer) {
  return (uint64_t)(sequence * d->model->config.n_layers + layer) * stream_bytes(d);
}

/* The largest part is the logits of the unchanged model: a float for each scored token and each token of the
 * vocabulary. */
static ellm_status allocate(damage_meter *d, ellm_error *err) {
  const size_t vocab = d->model->config.vocab_size;
  size_t bytes = SIZE_MAX;
  if (ellm_mul_size(d->n * d->scored, vocab, &bytes) && ellm_mul_size(bytes, sizeof *d->reference, &bytes)) {
    d->reference = malloc(bytes);
    d->logits = malloc(d->scored * vocab * sizeof *d->logits);
  }
  d->stream = malloc(stream_bytes(d));
  d->log_sum = malloc(d->n * d->scored * sizeof *d->log_sum);
  d->divergence = malloc(d->scored * sizeof *d->divergence);
  return d->reference != NULL && d->logits != NULL && d->stream != NULL && d->log_sum != NULL && d->divergence != NULL
             ? ELLM_OK
             : ellm_fail_memory(err, bytes, "measuring damage");
}

/* Once through the model as it is: streams before all layers, and the logits that others are compared with. */
static ellm_status run_reference(damage_meter *d, size_t sequence, ellm_error *err) {
  const size_t vocab = d->model->config.vocab_size;
  float *logits = d->reference + sequence * d->scored * vocab;
  ELLM_TRY(layerwise_begin(d->layers, d->ids[sequence], d->length, d->stream, err));
  for (uint32_t layer = 0; layer < d->model->config.n_layers; layer++) {
    ELLM_TRY(scratch_file_write(&d->streams, stream_at(d, sequence, layer), d->stream, stream_bytes(d), err));
    ELLM_TRY(layerwise_layer(d->layers, layer, d->length, d->stream, NULL, err));
  }
  ELLM_TRY(layerwise_head(d->layers, d->skipped, d->length, d->stream, logits, NULL, err));
  for (size_t i = 0; i < d->scored; i++) {
    ELLM_TRY(ellm_logits_check(logits + i * vocab, vocab, (uint32_t)(d->skipped + i), err));
    d->log_sum[sequence * d->scored + i] = score_log_sum_exp(logits + i * vocab, vocab);
  }
  return ELLM_OK;
}

/* What failed half-way is freed by damage_close. */
ellm_status damage_open(ellm_model *model, const damage_text *on, const char *path, damage_meter *out, ellm_error *err) {
  const size_t n = on->n, length = on->length;
  *out = (damage_meter){.model = model,
                        .n = n,
                        .length = length,
                        .skipped = on->skipped,
                        .scored = length - on->skipped,
                        .streams = {.fd = -1}};
  if (n > DAMAGE_MOST_SEQUENCES || length > on->text->length || on->first + n > on->text->n || on->skipped >= length)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "damage: %zu sequences of %zu tokens", n, length);
  for (size_t k = 0; k < n; k++) out->ids[k] = on->text->ids + (on->first + k) * on->text->length;
  ELLM_TRY(allocate(out, err));
  ELLM_TRY(layerwise_create(model, (uint32_t)length, &out->layers, err));
  ELLM_TRY(scratch_file_open(path, &out->streams, err));
  for (size_t k = 0; k < n; k++) ELLM_TRY(run_reference(out, k, err));
  return ELLM_OK;
}

void damage_close(damage_meter *d) {
  layerwise_free(d->layers);
  scratch_file_close(&d->streams);
  free(d->stream);
  free(d->reference);
  free(d->logits);
  free(d->log_sum);
  free(d->divergence);
  *d = (damage_meter){.streams = {.fd = -1}};
}

typedef struct compare_job { const damage_meter *d; const float *reference; const double *log_sum; } compare_job;

/* One scored token: its divergence from the model as it is. */
static void compare_row(void *user, size_t i, int thread) {
  const compare_job *job = user;
  const size_t vocab = job->d->model->config.vocab_size;
  const float *row = job->d->logits + i * vocab;
  (void)thread;
  job->d->divergence[i] = score_divergence(job->reference + i * vocab, job->log_sum[i], row,
                                           score_log_sum_exp(row, vocab), vocab);
}

/* From the first layer that matrices like this one change on. */
static ellm_status run_changed(damage_meter *d, const tune_matrix *m, size_t sequence, ellm_error *err) {
  const uint32_t n_layers = d->model->config.n_layers;
  const bool embedding = m->twin != NULL || m->looked_up;
  const uint32_t first = embedding ? 0 : m->layer < n_layers ? m->layer : n_layers - 1;
  if (embedding) ELLM_TRY(layerwise_begin(d->layers, d->ids[sequence], d->length, d->stream, err));
  else ELLM_TRY(scratch_file_read(&d->streams, stream_at(d, sequence, first), d->stream, stream_bytes(d), err));
  for (uint32_t layer = first; layer < n_layers; layer++)
    ELLM_TRY(layerwise_layer(d->layers, layer, d->length, d->stream, NULL, err));
  return layerwise_head(d->layers, d->skipped, d->length, d->stream, d->logits, NULL, err);
}

/* Exchanges elements; a second call restores the original ones. */
static void exchange(damage_change *changes, size_t n) {
  for (size_t i = 0; i < n; i++) changes[i].elements = tune_matrix_replace(changes[i].matrix, changes[i].elements);
}

/* The sum is over sequences and tokens in their order, so it does not depend on threads. */
ellm_status damage_of(damage_meter *d, damage_change *changes, size_t n, double *divergence, ellm_error *err) {
  const size_t vocab = d->model->config.vocab_size;
  exchange(changes, n);
  ellm_status status = ELLM_OK;
  double sum = 0;
  for (size_t k = 0; k < d->n && status == ELLM_OK; k++) {
    compare_job job = {d, d->reference + k * d->scored * vocab, d->log_sum + k * d->scored};
    status = run_changed(d, changes[0].matrix, k, err);
    if (status != ELLM_OK) break;
    pool_for(compute_pool(d->model->compute), d->scored, compare_row, &job);
    for (size_t i = 0; i < d->scored; i++) sum += d->divergence[i];
  }
  exchange(changes, n);
  *divergence = sum / (double)(d->n * d->scored);
  if (status == ELLM_OK && !isfinite(*divergence))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: its damage is not a number", d->model->path,
                     changes[0].matrix->matrix->name);
  return status;
}

ellm_status damage_compare(damage_meter *d, ellm_model *other, size_t first, size_t n, damage_comparison *out,
                           ellm_error *err) {
  const size_t vocab = d->model->config.vocab_size;
  double sum = 0;
  uint64_t equal = 0;
  *out = (damage_comparison){.tokens = n * d->scored};
  ELLM_TRY(ellm_model_reserve(other, (uint32_t)d->length, err));
  for (size_t k = first; k < first + n; k++) {
    compare_job job = {d, d->reference + k * d->scored * vocab, d->log_sum + k * d->scored};
    ellm_sequence *s = NULL;
    ELLM_TRY(ellm_sequence_create(other, &s, err));
    const ellm_batch_item item = {
        .sequence = s, .ids = d->ids[k], .n_ids = d->length, .logits = d->logits, .n_logits = d->scored};
    const ellm_status status = ellm_evaluate(other, &item, 1, err);
    ellm_sequence_free(s);
    ELLM_TRY(status);
    pool_for(compute_pool(d->model->compute), d->scored, compare_row, &job);
    for (size_t i = 0; i < d->scored; i++) {
      sum += d->divergence[i];
      equal += score_top(job.reference + i * vocab, vocab) == score_top(d->logits + i * vocab, vocab);
    }
  }
  out->divergence = sum / (double)out->tokens;
  out->equal_top = (double)equal / (double)out->tokens;
  return isfinite(out->divergence) ? ELLM_OK
                                   : ellm_fail(err, ELLM_ERR_INPUT, "%s: its logits are not numbers", other->path);
}

/* ids [from, from + n) of sequence k; logits of all of them where there is a place. */
static ellm_status evaluate_piece(const damage_meter *d, ellm_model *model, ellm_sequence *s, size_t k, size_t from,
                                  size_t n, float *logits, ellm_error *err) {
  const ellm_batch_item item = {
      .sequence = s, .ids = d->ids[k] + from, .n_ids = n, .logits = logits, .n_logits = logits != NULL ? n : 0};
  return n > 0 ? ellm_evaluate(model, &item, 1, err) : ELLM_OK;
}

/* Adds the divergences of the scored tokens of sequence k: the first half of d->logits is base's, the second
 * other's. */
static ellm_status between_sequence(damage_meter *d, ellm_model *const models[2], ellm_sequence *const s[2], size_t k,
                                    double *sum, ellm_error *err) {
  const size_t vocab = d->model->config.vocab_size, most = d->scored / 2;
  float *const logits[2] = {d->logits, d->logits + most * vocab};
  for (int i = 0; i < 2; i++) ELLM_TRY(evaluate_piece(d, models[i], s[i], k, 0, d->skipped, NULL, err));
  for (size_t from = d->skipped, n; from < d->length; from += n) {
    n = d->length - from < most ? d->length - from : most;
    for (int i = 0; i < 2; i++) ELLM_TRY(evaluate_piece(d, models[i], s[i], k, from, n, logits[i], err));
    for (size_t row = 0; row < n; row++) {
      const float *p = logits[0] + row * vocab, *q = logits[1] + row * vocab;
      *sum += score_divergence(p, score_log_sum_exp(p, vocab), q, score_log_sum_exp(q, vocab), vocab);
    }
  }
  return ELLM_OK;
}

ellm_status damage_between(damage_meter *d, ellm_model *base, ellm_model *other, size_t first, size_t n,
                           double *divergence, ellm_error *err) {
  ellm_model *const models[2] = {base, other};
  double sum = 0;
  if (d->scored < 2) return ellm_fail(err, ELLM_ERR_INTERNAL, "damage: one token is too few for two models");
  for (int i = 0; i < 2; i++) ELLM_TRY(ellm_model_reserve(models[i], (uint32_t)d->length, err));
  for (size_t k = first; k < first + n; k++) {
    ellm_sequence *s[2] = {NULL, NULL};
    ellm_status status = ellm_sequence_create(base, &s[0], err);
    if (status == ELLM_OK) status = ellm_sequence_create(other, &s[1], err);
    if (status == ELLM_OK) status = between_sequence(d, models, s, k, &sum, err);
    for (int i = 0; i < 2; i++) ellm_sequence_free(s[i]);
    ELLM_TRY(status);
  }
  *divergence = sum / (double)(n * d->scored);
  return isfinite(*divergence) ? ELLM_OK
                               : ellm_fail(err, ELLM_ERR_INPUT, "%s: the divergence of i8 is not a number", other->path);
}
