/* SPDX-License-Identifier: Apache-2.0 */
/* See team.h. */
#include "convert/team.h"

#include <stdlib.h>

#include "base/memory.h"
#include "container/hash.h"
#include "convert/strips.h"

static ellm_status worker_create(const team *t, team_worker *worker, ellm_error *err) {
  worker->failure = t->failure;
  worker->raw = ellm_aligned_calloc(t->raw_bytes + TEAM_SLACK, 1);
  worker->codes = ellm_aligned_calloc(t->strip_codes + TEAM_SLACK, 1);
  worker->tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1);
  worker->block = ellm_aligned_calloc(CODER_MAX_BLOCK_BYTES + CODER_SLACK, 1);
  worker->patches = ellm_aligned_calloc(CODER_MAX_CODES, sizeof *worker->patches);
  worker->scratch = ellm_aligned_calloc(1, sizeof *worker->scratch);
  if (worker->raw == NULL || worker->codes == NULL || worker->tiles == NULL || worker->block == NULL ||
      worker->patches == NULL || worker->scratch == NULL)
    return ellm_fail_memory(err, t->raw_bytes + t->strip_codes, "a thread's buffers");
  return coder_encoder_create(&worker->encoder, err);
}

void team_free(team *t) {
  for (int i = 0; t->workers != NULL && i < t->n_threads; i++) {
    team_worker *worker = &t->workers[i];
    ellm_aligned_free(worker->raw);
    ellm_aligned_free(worker->codes);
    ellm_aligned_free(worker->tiles);
    ellm_aligned_free(worker->block);
    ellm_aligned_free(worker->patches);
    ellm_aligned_free(worker->scratch);
    coder_encoder_free(worker->encoder);
    free(worker->patterns);
  }
  free(t->workers);
  free(t->failure);
  thread_pool_free(t->pool);
  *t = (team){0};
}

ellm_status team_create(int threads, team *out, ellm_error *err) {
  *out = (team){0};
  if (threads < 0) return ellm_fail(err, ELLM_ERR_USAGE, "%d threads make no sense", threads);
  if (threads == 0) threads = cpu_affinity_count();
  if (threads > TEAM_MAX_THREADS) threads = TEAM_MAX_THREADS;
  ELLM_TRY(thread_pool_create(threads, &out->pool, err));
  out->n_threads = thread_pool_size(out->pool);
  out->strip_codes = strip_codes_for(out->n_threads);
  out->raw_bytes = 4 * out->strip_codes > HASH_CHUNK ? 4 * out->strip_codes : HASH_CHUNK;
  out->workers = calloc((size_t)out->n_threads, sizeof *out->workers);
  out->failure = malloc(sizeof *out->failure);
  if (out->failure != NULL) work_failure_init(out->failure);
  ellm_status status = out->workers != NULL && out->failure != NULL
                           ? ELLM_OK
                           : ellm_fail_memory(err, sizeof *out->workers, "threads");
  for (int i = 0; status == ELLM_OK && i < out->n_threads; i++) status = worker_create(out, &out->workers[i], err);
  if (status != ELLM_OK) team_free(out);
  return status;
}

void team_fail(team_worker *worker, uint64_t item, ellm_status status) {
  worker->status = status;
  work_fail(worker->failure, item, &worker->error);
}

ellm_status team_collect(team *t, ellm_error *err) {
  for (int i = 0; i < t->n_threads; i++) t->workers[i].status = ELLM_OK;
  return work_failure_take(t->failure, err);
}
