/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences through a context in pieces: rows of logits are kept for one piece
 * only (PIECE_BYTES), reduced to log-probabilities, and forgotten. What the
 * sequence before left in the context is used again as far as the ids agree,
 * so the common prefix of several continuations is computed once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "model/score.h"

enum { PIECE_BYTES = 32 << 20, PIECE_ROWS = 512 };

struct scorer {
  ellm_context *context;
  ellm_model *model;
  uint32_t vocab_size, capacity;
  size_t piece;      /* most rows of logits at once */
  float *logits;     /* [piece][vocab_size] */
  uint32_t *held;    /* ids in the context: ellm_context_length of them */
};

ellm_status scorer_create(ellm_model *model, uint32_t n_ctx, scorer **out, ellm_error *err) {
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
  if (s->piece > n_ctx) s->piece = n_ctx;
  if (s->piece == 0) s->piece = 1;
  ellm_status status = ellm_context_create(model, n_ctx, &s->context, err);
  if (status == ELLM_OK) {
    s->capacity = ellm_context_capacity(s->context);
    s->held = calloc(s->capacity, sizeof *s->held);
    if (!s->held || !ellm_mul_size(s->piece, info.vocab_size, &bytes) ||
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
  free(s->held);
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

static ellm_status eval_piece(scorer *s, const uint32_t *ids, size_t n, float *logits, ellm_error *err) {
  size_t at = ellm_context_length(s->context);
  ELLM_TRY(ellm_context_eval(s->context, ids, n, logits, logits ? n : 0, err));
  memcpy(s->held + at, ids, n * sizeof *ids);
  return ELLM_OK;
}

ellm_status scorer_run(scorer *s, const uint32_t *ids, size_t n, size_t first, double *log_probs, score_row_fn row,
                       void *user, ellm_error *err) {
  if (first < 1 || first > n || n - 1 > s->capacity)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "scoring: %zu ids, the first label %zu, room for %u", n, first,
                     (unsigned)s->capacity);
  for (size_t i = first; i < n; i++)
    if (ids[i] >= s->vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "token id %u is beyond the %u rows of the model's vocabulary",
                       (unsigned)ids[i], (unsigned)s->vocab_size);
  size_t done = 0, held = ellm_context_length(s->context);
  while (done < held && done < first - 1 && s->held[done] == ids[done]) done++;
  ellm_context_truncate(s->context, (uint32_t)done);
  while (done < first - 1) {
    size_t count = first - 1 - done < PIECE_ROWS ? first - 1 - done : PIECE_ROWS;
    ELLM_TRY(eval_piece(s, ids + done, count, NULL, err));
    done += count;
  }
  while (done < n - 1) {
    size_t count = n - 1 - done < s->piece ? n - 1 - done : s->piece;
    ELLM_TRY(eval_piece(s, ids + done, count, s->logits, err));
    piece_job job = {s, ids, done + 1, log_probs + (done + 1 - first), row, user};
    pthread_mutex_lock(&s->model->lock);
    pool_for(compute_pool(s->model->compute), count, reduce_row, &job);
    pthread_mutex_unlock(&s->model->lock);
    done += count;
  }
  return ELLM_OK;
}
