/* SPDX-License-Identifier: Apache-2.0 */
/* See workers.h. */
#include "convert/workers.h"

#include <stdlib.h>

#include "base/memory.h"
#include "container/hash.h"
#include "convert/strips.h"

static ellm_status worker_create(const convert_workers *workers, convert_worker *worker, ellm_error *err) {
  worker->failure = workers->failure;
  worker->raw = ellm_aligned_calloc(workers->raw_bytes + WORKER_SLACK, 1);
  worker->codes = ellm_aligned_calloc(workers->strip_codes + WORKER_SLACK, 1);
  worker->tiles = ellm_aligned_calloc(CODER_MAX_CODES + CODER_SLACK, 1);
  worker->block = ellm_aligned_calloc(CODER_MAX_BLOCK_BYTES + CODER_SLACK, 1);
  worker->patches = ellm_aligned_calloc(CODER_MAX_CODES, sizeof *worker->patches);
  worker->scratch = ellm_aligned_calloc(1, sizeof *worker->scratch);
  if (worker->raw == NULL || worker->codes == NULL || worker->tiles == NULL || worker->block == NULL ||
      worker->patches == NULL || worker->scratch == NULL)
    return ellm_fail_memory(err, workers->raw_bytes + workers->strip_codes, "a thread's buffers");
  return coder_encoder_create(&worker->encoder, err);
}

void workers_free(convert_workers *workers) {
  for (int i = 0; workers->each != NULL && i < workers->n_threads; i++) {
    convert_worker *worker = &workers->each[i];
    ellm_aligned_free(worker->raw);
    ellm_aligned_free(worker->codes);
    ellm_aligned_free(worker->tiles);
    ellm_aligned_free(worker->block);
    ellm_aligned_free(worker->patches);
    ellm_aligned_free(worker->scratch);
    coder_encoder_free(worker->encoder);
    free(worker->patterns);
  }
  free(workers->each);
  free(workers->failure);
  thread_pool_free(workers->pool);
  *workers = (convert_workers){0};
}

ellm_status workers_create(int threads, convert_workers *out, ellm_error *err) {
  *out = (convert_workers){0};
  if (threads < 0) return ellm_fail(err, ELLM_ERR_USAGE, "%d threads make no sense", threads);
  if (threads == 0) threads = cpu_affinity_count();
  if (threads > WORKERS_MOST) threads = WORKERS_MOST;
  ELLM_TRY(thread_pool_create(threads, &out->pool, err));
  out->n_threads = thread_pool_size(out->pool);
  out->strip_codes = strip_codes_for(out->n_threads);
  out->raw_bytes = 4 * out->strip_codes > HASH_CHUNK ? 4 * out->strip_codes : HASH_CHUNK;
  out->each = calloc((size_t)out->n_threads, sizeof *out->each);
  out->failure = malloc(sizeof *out->failure);
  if (out->failure != NULL) work_failure_init(out->failure);
  ellm_status status = out->each != NULL && out->failure != NULL
                           ? ELLM_OK
                           : ellm_fail_memory(err, sizeof *out->each, "threads");
  for (int i = 0; status == ELLM_OK && i < out->n_threads; i++) status = worker_create(out, &out->each[i], err);
  if (status != ELLM_OK) workers_free(out);
  return status;
}

void worker_fail(convert_worker *worker, uint64_t item, ellm_status status) {
  worker->status = status;
  work_fail(worker->failure, item, &worker->error);
}

ellm_status workers_collect(convert_workers *workers, ellm_error *err) {
  for (int i = 0; i < workers->n_threads; i++) workers->each[i].status = ELLM_OK;
  return work_failure_take(workers->failure, err);
}
