/* SPDX-License-Identifier: Apache-2.0 */
/* ellm_file_codes: all codes of one tensor, decoded by blocks over threads. */
#include <string.h>

#include "container/container.h"
#include "convert/workers.h"
#include "kernels/kernels.h"

typedef struct codes_job {
  const ellm_file *file;
  const container_tensor *tensor;
  convert_workers *workers;
  uint8_t *codes;
} codes_job;

static void decode_item(void *user, size_t item, int thread) {
  const codes_job *job = user;
  convert_worker *worker = &job->workers->each[thread];
  if (worker->status != ELLM_OK) return;
  coder_patches patches;
  ellm_status status = container_decode_block(job->file, job->tensor, item, kernels_best()->decode_block,
                                              worker->scratch, worker->tiles, &patches, &worker->error);
  if (status != ELLM_OK) {
    worker_fail(worker, item, status);
    return;
  }
  coder_patch_codes(&patches, job->tensor->quant.bits, worker->tiles); /* beyond its fields a code is in its width yet */
  const coder_geometry *geometry = &job->tensor->geometry;
  coder_block block = coder_geometry_block(geometry, item);
  coder_untile_block(&block, worker->tiles, job->codes + block.first_row * geometry->columns + block.first_column,
                     (size_t)geometry->columns);
}

ellm_status ellm_file_codes(const ellm_file *file, size_t index, int threads, uint8_t *codes, ellm_error *err) {
  const container_tensor *tensor = container_tensor_at(file, index);
  if (tensor == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "%s: no tensor %zu", container_path(file), index);
  if (tensor->storage != CONTAINER_CODED)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: tensor %s is kept, it has no codes", container_path(file), tensor->name);
  ELLM_TRY(container_need_whole(file, err));
  convert_workers workers;
  ELLM_TRY(workers_create(threads, &workers, err));
  codes_job job = {file, tensor, &workers, codes};
  pool_for(workers.pool, (size_t)tensor->geometry.n_blocks, decode_item, &job);
  ellm_status status = workers_collect(&workers, err);
  workers_free(&workers);
  return status;
}
