/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences through a context in pieces: rows of logits are kept for one piece
 * only (PIECE_BYTES), reduced to log-probabilities, and forgotten. What the
 * sequence before left in the context is used again as far as the ids agree,
 * so the common prefix of several continuations is computed once; what follows
 * it is computed for several of them in one batch.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "model/branches.h"
#include "model/score.h"

enum { PIECE_BYTES = 32 << 20, PIECE_ROWS = 512, MOST_BRANCHES = 64 };

struct scorer {
  ellm_context *context;
  ellm_model *model;
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
  ellm_status status = context_create(model, n_ctx, more, &s->context, err);
  if (status == ELLM_OK) {
    s->capacity = ellm_context_capacity(s->context);
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
  ellm_context_free(s->context);
  ellm_aligned_free(s->logits);
  free(s);
}

size_t scorer_piece(const scorer *s) { return s->piece; }

void scorer_forget(scorer *s) { ellm_context_truncate(s->context, 0); }

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

ellm_status scorer_run(scorer *s, const uint32_t *ids, size_t n, size_t first, double *log_probs, score_row_fn row,
                       void *user, ellm_error *err) {
  ELLM_TRY(check_labels(s, ids, n, first, err));
  ELLM_TRY(context_follow(s->context, ids, first - 1, NULL, NULL, NULL, NULL, err));
  for (size_t done = first - 1; done < n - 1;) {
    size_t count = n - 1 - done < s->piece ? n - 1 - done : s->piece;
    ELLM_TRY(ellm_context_eval(s->context, ids + done, count, s->logits, count, err));
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
    common = context_common_ids(sequences[k].ids, sequences[0].ids, most);
  }
  return common;
}

size_t scorer_more(const scored_sequence *sequences, size_t count) {
  const size_t common = common_prefix(sequences, count);
  size_t slots = 0;
  for (size_t k = 0; k < count; k++) slots += context_branch_slots((uint32_t)common, sequences[k].n - 1 - common);
  return slots;
}

/* Branches of sequences[0 .. count) behind the first `common` ids, as many as there is room for. */
static size_t plan_branches(scorer *s, const scored_sequence *sequences, size_t count, size_t common,
                            context_branch *branches) {
  size_t slot = context_branch_first_slot(s->context), tokens = 0, rows = 0, k = 0;
  for (; k < count && k < MOST_BRANCHES; k++) {
    const scored_sequence *q = &sequences[k];
    const size_t n = q->n - 1 - common, slots = context_branch_slots((uint32_t)common, n);
    tokens += n;
    rows += q->n - q->first;
    if (tokens > s->context->batch || rows > s->piece || slots > s->context->slots - slot ||
        !context_can_branch(s->context, q->n - 1))
      break;
    context_branch_begin(s->context, (uint32_t)slot, &branches[k]);
    branches[k].ids = q->ids + common;
    branches[k].n = n;
    branches[k].n_logits = q->n - q->first;
    slot += slots;
  }
  return k;
}

typedef struct branch_job {
  const scorer *s;
  const scored_sequence *sequences;
} branch_job;

/* Row i of the logits of all branches, one after the other. */
static void reduce_branch_row(void *user, size_t i, int thread) {
  const branch_job *job = user;
  const scored_sequence *q = job->sequences;
  const float *row = job->s->logits + i * job->s->vocab_size;
  (void)thread;
  for (; i >= q->n - q->first; q++) i -= q->n - q->first;
  q->log_probs[i] = (double)row[q->ids[q->first + i]] - score_log_sum_exp(row, job->s->vocab_size);
}

ellm_status scorer_run_all(scorer *s, const scored_sequence *sequences, size_t count, ellm_error *err) {
  const size_t common = common_prefix(sequences, count);
  context_branch branches[MOST_BRANCHES];
  for (size_t k = 0; k < count; k++)
    ELLM_TRY(check_labels(s, sequences[k].ids, sequences[k].n, sequences[k].first, err));
  for (size_t k = 0; k < count;) {
    ELLM_TRY(context_follow(s->context, sequences[k].ids, common, NULL, NULL, NULL, NULL, err));
    const size_t n = plan_branches(s, sequences + k, count - k, common, branches);
    if (n < 2) {
      ELLM_TRY(scorer_run(s, sequences[k].ids, sequences[k].n, sequences[k].first, sequences[k].log_probs, NULL, NULL,
                          err));
      k++;
      continue;
    }
    size_t rows = 0;
    for (size_t i = k; i < k + n; i++) rows += sequences[i].n - sequences[i].first;
    ELLM_TRY(context_branches_eval(s->context, branches, n, s->logits, err));
    branch_job job = {s, sequences + k};
    for_rows(s, rows, reduce_branch_row, &job);
    k += n;
  }
  return ELLM_OK;
}
