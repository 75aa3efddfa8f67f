/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunk by chunk, and within a chunk piece by piece, so that the rows of the
 * reference that wait for the model's stay bounded. An item is a chunk; each of
 * its labels gives four values: KL, whether both name the same token first, and
 * the negative log-likelihoods of the reference and of the model.
 */
#include "eval/divergence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/memory.h"
#include "eval/chunks.h"
#include "eval/reference.h"
#include "model/score.h"
#include "model/scorer.h"

enum { KL, SAME, REFERENCE, MODEL, N_LABEL_VALUES };

typedef struct comparison {
  text_chunks chunks;
  uint32_t vocab_size;
  size_t piece;            /* rows at once */
  scorer *model, *reference; /* reference: NULL if saved */
  reference_file *saved;   /* or NULL */
  uint8_t *records;        /* [piece] of them, if saved */
  float *rows;             /* [piece][vocab_size] of the reference */
  double *log_sums;        /* [piece] of these rows */
  uint32_t *tops;          /* [piece] */
  double *log_probs;       /* [n_ctx] */
  size_t first;            /* label of rows[0] */
  double *values;          /* of the chunk's first label */
} comparison;

static double *label_values(const comparison *c, size_t label) {
  return c->values + (label - c->chunks.first) * N_LABEL_VALUES;
}

static void keep_row(void *user, size_t label, const float *row, double log_sum) {
  comparison *c = user;
  size_t i = label - c->first;
  memcpy(c->rows + i * c->vocab_size, row, c->vocab_size * sizeof *row);
  c->log_sums[i] = log_sum;
  c->tops[i] = score_top(row, c->vocab_size);
  label_values(c, label)[REFERENCE] = log_sum - (double)row[c->chunks.chunk[label]];
}

static void compare_row(void *user, size_t label, const float *row, double log_sum) {
  comparison *c = user;
  size_t i = label - c->first;
  double *values = label_values(c, label);
  double kl = score_divergence(c->rows + i * c->vocab_size, c->log_sums[i], row, log_sum, c->vocab_size);
  values[KL] = kl < 0 ? 0 : kl; /* roundings of equal rows */
  values[SAME] = score_top(row, c->vocab_size) == c->tops[i];
  values[MODEL] = log_sum - (double)row[c->chunks.chunk[label]];
}

/* The reference's rows of labels first .. first + n - 1 of a chunk from the file. */
static ellm_status load_rows(comparison *c, size_t index, size_t n, ellm_error *err) {
  const uint64_t record = reference_record_bytes(c->vocab_size);
  ELLM_TRY(reference_read(c->saved, (uint32_t)index, (uint32_t)(c->first - c->chunks.first), (uint32_t)n, c->records,
                          err));
  for (size_t i = 0; i < n; i++) {
    float *row = c->rows + i * c->vocab_size, logit;
    if (!reference_row_decode(c->records + i * record, c->vocab_size, row, &c->log_sums[i], &logit) ||
        reference_row_label(c->records + i * record) != c->chunks.chunk[c->first + i])
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: row %zu of chunk %zu is damaged", c->saved->reader.path,
                       c->first - c->chunks.first + i, index);
    c->tops[i] = score_top(row, c->vocab_size);
    label_values(c, c->first + i)[REFERENCE] = c->log_sums[i] - (double)logit;
  }
  return ELLM_OK;
}

static ellm_status compare_chunk(void *self, size_t index, double *values, ellm_error *err) {
  comparison *c = self;
  const uint32_t *ids = text_chunks_get(&c->chunks, index);
  c->values = values;
  for (c->first = c->chunks.first; c->first < c->chunks.n_ctx; c->first += c->piece) {
    size_t left = c->chunks.n_ctx - c->first, n = left < c->piece ? left : c->piece;
    if (c->saved) ELLM_TRY(load_rows(c, index, n, err));
    else ELLM_TRY(scorer_run(c->reference, ids, c->first + n, c->first, c->log_probs, keep_row, c, err));
    ELLM_TRY(scorer_run(c->model, ids, c->first + n, c->first, c->log_probs, compare_row, c, err));
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------ results */

static void running(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]) {
  const comparison *c = self;
  size_t labels = c->chunks.n_ctx - c->chunks.first, n = done * labels;
  double kl = 0, same = 0, difference = 0;
  for (size_t i = 0; i < n; i++) {
    kl += values[i * N_LABEL_VALUES + KL];
    same += values[i * N_LABEL_VALUES + SAME];
    difference += values[i * N_LABEL_VALUES + MODEL] - values[i * N_LABEL_VALUES + REFERENCE];
  }
  snprintf(text, EVAL_RUNNING_TEXT, "KL %.5f  same top %.2f %%  ratio %.4f", kl / (double)n, 100 * same / (double)n,
           exact_exp(difference / (double)n));
}

static void column(const double *values, size_t n, int which, int less, double *out) {
  for (size_t i = 0; i < n; i++)
    out[i] = values[i * N_LABEL_VALUES + (size_t)which] - (less < 0 ? 0 : values[i * N_LABEL_VALUES + (size_t)less]);
}

static ellm_status summarize(const comparison *c, const double *values, size_t n_chunks, ellm_divergence_result *result,
                             ellm_error *err) {
  size_t labels = c->chunks.n_ctx - c->chunks.first, n = n_chunks * labels, same = 0;
  double *one = malloc(n * sizeof *one);
  result->chunk_kl = calloc(n_chunks, sizeof *result->chunk_kl);
  if (!one || !result->chunk_kl) {
    free(one);
    return ellm_fail_memory(err, n * sizeof *one, "the result");
  }
  column(values, n, MODEL, -1, one);
  result->perplexity = eval_exp(eval_mean(one, n));
  column(values, n, REFERENCE, -1, one);
  result->reference_perplexity = eval_exp(eval_mean(one, n));
  column(values, n, MODEL, REFERENCE, one);
  result->ratio = eval_exp(eval_mean(one, n));
  column(values, n, KL, -1, one);
  result->kl = eval_mean(one, n);
  for (size_t i = 0; i < n_chunks; i++) result->chunk_kl[i] = eval_mean(one + i * labels, labels).value;
  eval_sort(one, n);
  result->median = eval_quantile_figure(one, n, 0.5);
  result->p90 = eval_quantile_figure(one, n, 0.9);
  result->p99 = eval_quantile_figure(one, n, 0.99);
  result->max = one[n - 1];
  for (size_t i = 0; i < n; i++) same += values[i * N_LABEL_VALUES + SAME] != 0;
  result->same_top = eval_share(same, n);
  result->scored = n;
  result->n_ctx = c->chunks.n_ctx;
  result->n_chunks = n_chunks;
  free(one);
  return ELLM_OK;
}

/* ------------------------------------------------------------------ running */

static ellm_status allocate(comparison *c, ellm_model *model, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  ELLM_TRY(scorer_create(model, c->chunks.n_ctx - 1, 0, &c->model, err));
  c->vocab_size = info.vocab_size;
  c->piece = scorer_piece(c->model);
  size_t labels = c->chunks.n_ctx - c->chunks.first;
  if (c->piece > labels) c->piece = labels;
  c->rows = ellm_aligned_calloc(c->piece * c->vocab_size, sizeof *c->rows); /* the scorer has checked this size */
  c->log_sums = calloc(c->piece, sizeof *c->log_sums);
  c->tops = calloc(c->piece, sizeof *c->tops);
  c->log_probs = calloc(c->chunks.n_ctx, sizeof *c->log_probs);
  if (c->saved) c->records = malloc(c->piece * (size_t)reference_record_bytes(c->vocab_size));
  if (!c->rows || !c->log_sums || !c->tops || !c->log_probs || (c->saved && !c->records))
    return ellm_fail_memory(err, c->piece * c->vocab_size * sizeof *c->rows, "rows of the reference");
  return ELLM_OK;
}

static void release(comparison *c) {
  text_chunks_free(&c->chunks);
  scorer_free(c->model);
  scorer_free(c->reference);
  ellm_aligned_free(c->rows);
  free(c->records);
  free(c->log_sums);
  free(c->tops);
  free(c->log_probs);
}

static ellm_status run_divergence(comparison *c, ellm_model *model, const char *reference, size_t n,
                                  const ellm_eval_options *options, ellm_divergence_result *result, ellm_error *err) {
  char fingerprint[33];
  ELLM_TRY(ellm_eval_fingerprint(model, fingerprint, err));
  if (options->limit && options->limit < n) n = options->limit;
  size_t n_values = (size_t)(c->chunks.n_ctx - c->chunks.first) * N_LABEL_VALUES;
  double *values = calloc(n, n_values * sizeof *values);
  json_t *identity =
      json_pack("{s:s, s:s, s:s, s:b, s:s, s:i, s:I}", "evaluation", "divergence", "model", fingerprint, "reference",
                reference, "saved", c->saved != NULL, "ids", c->chunks.identity, "ctx", (int)c->chunks.n_ctx, "bos",
                (json_int_t)c->chunks.bos);
  eval_task task = {"compare", identity, n, n_values, compare_chunk, running, c};
  ellm_status status = values && identity ? eval_run(&task, options, values, &result->n_resumed, err)
                                          : ellm_fail_memory(err, n * n_values * sizeof *values, "divergences");
  if (status == ELLM_OK) status = summarize(c, values, n, result, err);
  free(values);
  json_decref(identity);
  return status;
}

static ellm_status same_vocabulary(ellm_model *model, uint32_t reference, const char *what, ellm_error *err) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  if (info.vocab_size == reference) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s has a vocabulary of %u, the model one of %u: they cannot be compared", what,
                   (unsigned)reference, (unsigned)info.vocab_size);
}

ellm_status eval_divergence(ellm_model *model, ellm_model *reference, const ellm_divergence_request *r,
                            const ellm_eval_options *options, ellm_divergence_result *result, ellm_error *err) {
  comparison c = {0};
  text_chunks other = {0};
  ellm_model_info info;
  char fingerprint[33];
  memset(result, 0, sizeof *result);
  ellm_model_get_info(reference, &info);
  ELLM_TRY(same_vocabulary(model, info.vocab_size, "the reference", err));
  ellm_status status = text_chunks_create(model, r->text, r->bytes, r->origin, r->n_ctx, &c.chunks, err);
  if (status == ELLM_OK)
    status = text_chunks_create(reference, r->text, r->bytes, r->origin, c.chunks.n_ctx, &other, err);
  if (status == ELLM_OK && (strcmp(other.identity, c.chunks.identity) != 0 || other.bos != c.chunks.bos))
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: the model and the reference make different tokens of it", r->origin);
  text_chunks_free(&other);
  if (status == ELLM_OK) status = scorer_create(reference, c.chunks.n_ctx - 1, 0, &c.reference, err);
  if (status == ELLM_OK) status = allocate(&c, model, err);
  if (status == ELLM_OK) status = ellm_eval_fingerprint(reference, fingerprint, err);
  if (status == ELLM_OK) status = run_divergence(&c, model, fingerprint, c.chunks.count, options, result, err);
  release(&c);
  if (status != ELLM_OK) eval_divergence_free(result);
  return status;
}

/* Were the logits saved over these chunks? */
static ellm_status check_saved(const comparison *c, const char *origin, ellm_error *err) {
  const reference_head *head = &c->saved->head;
  const text_chunks *t = &c->chunks;
  const char *path = c->saved->reader.path;
  if (strcmp(head->text, t->identity) != 0)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: the logits are of another text than %s, or of other tokens", path,
                     origin);
  if (head->bos != t->bos || head->n_ctx != t->n_ctx || head->rows != t->n_ctx - t->first || head->chunks > t->count)
    return ellm_fail(err, ELLM_ERR_USAGE,
                     "%s: the logits are of chunks of %u tokens with BOS %lld, not of %u with %lld", path,
                     (unsigned)head->n_ctx, (long long)head->bos, (unsigned)t->n_ctx, (long long)t->bos);
  return ELLM_OK;
}

ellm_status eval_divergence_saved(ellm_model *model, const char *path, const ellm_divergence_request *r,
                                  const ellm_eval_options *options, ellm_divergence_result *result, ellm_error *err) {
  comparison c = {0};
  reference_file saved;
  memset(result, 0, sizeof *result);
  ELLM_TRY(reference_open(path, &saved, err));
  c.saved = &saved;
  ellm_status status = same_vocabulary(model, saved.head.vocab_size, path, err);
  if (status == ELLM_OK)
    status = text_chunks_create(model, r->text, r->bytes, r->origin, r->n_ctx ? r->n_ctx : saved.head.n_ctx, &c.chunks,
                                err);
  if (status == ELLM_OK) status = check_saved(&c, r->origin, err);
  if (status == ELLM_OK) status = allocate(&c, model, err);
  if (status == ELLM_OK) status = run_divergence(&c, model, saved.head.model, saved.head.chunks, options, result, err);
  release(&c);
  reference_close(&saved);
  if (status != ELLM_OK) eval_divergence_free(result);
  return status;
}

void eval_divergence_free(ellm_divergence_result *result) {
  free(result->chunk_kl);
  memset(result, 0, sizeof *result);
}
