/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts through a sequence in pieces: rows of logits are kept for one piece
 * only (PIECE_BYTES), reduced to log-probabilities, and forgotten. What the
 * text before left in the sequence is used again as far as the ids agree, so
 * the common prefix of several continuations is computed once; what follows it
 * is computed for several of them in one batch, each in a fork of the sequence.
 *
 * How long a text is is announced before anything of it is evaluated.
 */
#include "model/scorer.h"

#include <stdlib.h>

#include "base/memory.h"
#include "model/score.h"
#include "model/sequence.h"

enum { PIECE_BYTES = 32 << 20, PIECE_ROWS = 512, MOST_FORKS = 64 };

struct scorer {
  ellm_model *model;
  ellm_sequence *sequence;
  uint32_t vocab_size, capacity;
  size_t piece;      /* most rows of logits at once */
  float *logits;     /* [piece][vocab_size] */
};

ellm_status scorer_create(ellm_model *model, uint32_t n_ctx, size_t more, scorer **out, ellm_error *err) {
  ellm_model_info info;
  size_t bytes;
  *out = NULL;
  ellm_model_get_info(model, &info);
  scorer *s = calloc(1, sizeof *s);
  if (!s) return ellm_fail_memory(err, sizeof *s, "scoring");
  s->model = model;
  s->vocab_size = info.vocab_size;
  s->piece = PIECE_BYTES / sizeof(float) / (info.vocab_size ? info.vocab_size : 1);
  if (s->piece > PIECE_ROWS) s->piece = PIECE_ROWS;
  if (s->piece > n_ctx + more) s->piece = n_ctx + more;
  if (s->piece == 0) s->piece = 1;
  ellm_status status = ELLM_OK;
  if (n_ctx > info.max_context)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: a context of %u positions is beyond the model's %u", model->path,
                       (unsigned)n_ctx, (unsigned)info.max_context);
  if (more > UINT32_MAX / 4) more = UINT32_MAX / 4;
  if (status == ELLM_OK)
    status = ellm_model_reserve(model, (pages_of(n_ctx) + pages_of(more)) * PAGE_POSITIONS, err);
  if (status == ELLM_OK) status = ellm_sequence_create(model, &s->sequence, err);
  if (status == ELLM_OK) {
    s->capacity = n_ctx;
    if (!ellm_mul_size(s->piece, info.vocab_size, &bytes) ||
        !(s->logits = ellm_aligned_calloc(bytes, sizeof *s->logits)))
      status = ellm_fail_memory(err, s->piece * info.vocab_size * sizeof *s->logits, "rows of logits");
  }
  if (status != ELLM_OK) {
    scorer_free(s);
    return status;
  }
  *out = s;
  return ELLM_OK;
}

void scorer_free(scorer *s) {
  if (!s) return;
  ellm_sequence_free(s->sequence);
  ellm_aligned_free(s->logits);
  free(s);
}

size_t scorer_piece(const scorer *s) { return s->piece; }

/* Rows of one piece; row i is that of the position before ids[label + i]. */
typedef struct piece_job {
  const scorer *s;
  const uint32_t *ids;
  size_t label;
  double *log_probs; /* of ids[label] on */
  score_row_fn row;
  void *user;
} piece_job;

static void reduce_row(void *user, size_t i, int thread) {
  const piece_job *job = user;
  const float *row = job->s->logits + i * job->s->vocab_size;
  double log_sum = score_log_sum_exp(row, job->s->vocab_size);
  (void)thread;
  job->log_probs[i] = (double)row[job->ids[job->label + i]] - log_sum;
  if (job->row) job->row(job->user, job->label + i, row, log_sum);
}

static void for_rows(scorer *s, size_t n, void (*fn)(void *user, size_t row, int thread), void *user) {
  pthread_mutex_lock(&s->model->lock);
  pool_for(compute_pool(s->model->compute), n, fn, user);
  pthread_mutex_unlock(&s->model->lock);
}

static ellm_status check_labels(const scorer *s, const uint32_t *ids, size_t n, size_t first, ellm_error *err) {
  if (first < 1 || first > n || n - 1 > s->capacity)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "scoring: %zu ids, the first label %zu, room for %u", n, first,
                     (unsigned)s->capacity);
  for (size_t i = first; i < n; i++)
    if (ids[i] >= s->vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "token id %u is beyond the %u rows of the model's vocabulary",
                       (unsigned)ids[i], (unsigned)s->vocab_size);
  return ELLM_OK;
}

/* NaN among the logits is no figure but an error. */
static ellm_status check_rows(const scorer *s, size_t n, size_t position, ellm_error *err) {
  for (size_t i = 0; i < n; i++)
    ELLM_TRY(ellm_logits_check(s->logits + i * s->vocab_size, s->vocab_size, (uint32_t)(position + i), err));
  return ELLM_OK;
}

/* The sequence holds ids[0, n) and, when they were computed, it was known that `length` would be evaluated. */
static ellm_status begin_with(scorer *s, const uint32_t *ids, size_t n, size_t length, ellm_error *err) {
  const size_t held = ellm_sequence_length(s->sequence);
  const size_t same = sequence_common_ids(ellm_sequence_ids(s->sequence), ids, held < n ? held : n);
  ELLM_TRY(ellm_sequence_truncate(s->sequence, (uint32_t)same, err));
  ELLM_TRY(ellm_sequence_announce(s->sequence, (uint32_t)length, err));
  if (same == n) return ELLM_OK;
  return ellm_evaluate(s->model, &(ellm_batch_item){s->sequence, ids + same, n - same, NULL, 0}, 1, err);
}

ellm_status scorer_run(scorer *s, const uint32_t *ids, size_t n, size_t first, double *log_probs, score_row_fn row,
                       void *user, ellm_error *err) {
  ELLM_TRY(check_labels(s, ids, n, first, err));
  ELLM_TRY(begin_with(s, ids, first - 1, n - 1, err));
  for (size_t done = first - 1; done < n - 1;) {
    size_t count = n - 1 - done < s->piece ? n - 1 - done : s->piece;
    ELLM_TRY(ellm_evaluate(s->model, &(ellm_batch_item){s->sequence, ids + done, count, s->logits, count}, 1, err));
    ELLM_TRY(check_rows(s, count, done, err));
    piece_job job = {s, ids, done + 1, log_probs + (done + 1 - first), row, user};
    for_rows(s, count, reduce_row, &job);
    done += count;
  }
  return ELLM_OK;
}

/* --------------------------------------------------------- several sequences */

/* Ids that all have in common before the position of their first label. */
static size_t common_prefix(const scored_sequence *sequences, size_t count) {
  size_t common = count ? sequences[0].first - 1 : 0;
  for (size_t k = 1; k < count; k++) {
    const size_t most = sequences[k].first - 1 < common ? sequences[k].first - 1 : common;
    common = sequence_common_ids(sequences[k].ids, sequences[0].ids, most);
  }
  return common;
}

/* Pages that a fork behind the first `common` ids takes. */
static size_t fork_pages(const scored_sequence *q, size_t common) {
  return pages_of(q->n - 1) - common / PAGE_POSITIONS;
}

size_t scorer_more(const scored_sequence *sequences, size_t count) {
  const size_t common = common_prefix(sequences, count);
  size_t pages = 0;
  for (size_t k = 0; k < count; k++) pages += fork_pages(&sequences[k], common);
  return pages * PAGE_POSITIONS;
}

/* How many of sequences[0 .. count) can be computed together: rows of logits and pages are bounded. */
static size_t plan(const scorer *s, const scored_sequence *sequences, size_t count, size_t common) {
  uint32_t free_positions;
  size_t pages = 0, rows = 0, k = 0;
  ellm_model_cache_usage(s->model, NULL, &free_positions);
  for (; k < count && k < MOST_FORKS; k++) {
    pages += fork_pages(&sequences[k], common);
    rows += sequences[k].n - sequences[k].first;
    if (rows > s->piece || pages > free_positions / PAGE_POSITIONS) break;
  }
  return k;
}

typedef struct fork_job {
  const scorer *s;
  const scored_sequence *sequences;
} fork_job;

/* Row i of the logits of all forks, one after the other. */
static void reduce_fork_row(void *user, size_t i, int thread) {
  const fork_job *job = user;
  const scored_sequence *q = job->sequences;
  const float *row = job->s->logits + i * job->s->vocab_size;
  (void)thread;
  for (; i >= q->n - q->first; q++) i -= q->n - q->first;
  q->log_probs[i] = (double)row[q->ids[q->first + i]] - score_log_sum_exp(row, job->s->vocab_size);
}

/* Fork the sequence, which holds the first `common` ids, for each of sequences[n] and evaluate what follows. */
static ellm_status run_forks(scorer *s, const scored_sequence *sequences, size_t n, size_t common, ellm_error *err) {
  ellm_batch_item items[MOST_FORKS] = {{.sequence = NULL}};
  float *logits = s->logits;
  ellm_status status = ELLM_OK;
  for (size_t k = 0; k < n && status == ELLM_OK; k++) {
    const scored_sequence *q = &sequences[k];
    status = ellm_sequence_fork(s->sequence, &items[k].sequence, err);
    if (status == ELLM_OK) status = ellm_sequence_announce(items[k].sequence, (uint32_t)(q->n - 1), err);
    items[k].ids = q->ids + common;
    items[k].n_ids = q->n - 1 - common;
    items[k].logits = logits;
    items[k].n_logits = q->n - q->first;
    logits += items[k].n_logits * s->vocab_size;
  }
  if (status == ELLM_OK) status = ellm_evaluate(s->model, items, n, err);
  for (size_t k = 0; k < n; k++) ellm_sequence_free(items[k].sequence);
  for (size_t k = 0, at = 0; k < n && status == ELLM_OK; at += items[k++].n_logits)
    for (size_t i = 0; i < items[k].n_logits && status == ELLM_OK; i++)
      status = ellm_logits_check(s->logits + (at + i) * s->vocab_size, s->vocab_size,
                                 (uint32_t)(sequences[k].first - 1 + i), err);
  if (status != ELLM_OK) return status;
  fork_job job = {s, sequences};
  for_rows(s, (size_t)(logits - s->logits) / s->vocab_size, reduce_fork_row, &job);
  return ELLM_OK;
}

ellm_status scorer_run_all(scorer *s, const scored_sequence *sequences, size_t count, ellm_error *err) {
  const size_t common = common_prefix(sequences, count);
  for (size_t k = 0; k < count; k++)
    ELLM_TRY(check_labels(s, sequences[k].ids, sequences[k].n, sequences[k].first, err));
  for (size_t k = 0, n; k < count; k += n) {
    const scored_sequence *q = &sequences[k];
    ELLM_TRY(begin_with(s, q->ids, common, q->n - 1, err));
    n = plan(s, q, count - k, common);
    if (n >= 2) {
      const ellm_status status = run_forks(s, q, n, common, err);
      if (status == ELLM_OK) continue;
      if (status != ELLM_ERR_FULL) return status; /* full: where longrope's factors change, forks share nothing */
    }
    n = 1;
    ELLM_TRY(scorer_run(s, q->ids, q->n, q->first, q->log_probs, NULL, NULL, err));
  }
  return ELLM_OK;
}
