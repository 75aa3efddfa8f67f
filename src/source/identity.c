/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. */
#include "source/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "base/work_failure.h"
#include "container/hash.h"
#include "source/kind.h"

enum { CHUNKS_PER_THREAD = 8 }; /* between two looks at the progress callback */

/* ------------------------------------------------------------- all digests */

typedef struct digest_run {
  const tensor_source *s;
  thread_pool *pool;
  uint8_t **chunks;     /* HASH_CHUNK bytes of each thread */
  progress_meter meter;
  uint64_t done;        /* bytes of the tensors before */
  const source_tensor *tensor;
  uint8_t *sums;        /* 8 bytes a chunk of the tensor */
  uint64_t first_chunk;
  work_failure failure; /* by chunk */
} digest_run;

static void read_chunk(void *user, size_t item, int thread) {
  digest_run *run = user;
  uint8_t *data = run->chunks[thread];
  ellm_error err;
  const uint64_t chunk = run->first_chunk + item, at = chunk * HASH_CHUNK, left = run->tensor->bytes - at;
  const size_t bytes = left < HASH_CHUNK ? (size_t)left : HASH_CHUNK;
  if (work_failed_before(&run->failure, chunk)) return;
  if (source_read(run->s, run->tensor, at, data, bytes, &err) != ELLM_OK) work_fail(&run->failure, chunk, &err);
  else store_u64(run->sums + 8 * chunk, hash64(data, bytes));
}

/* D(data) of one tensor. */
static ellm_status digest_tensor(digest_run *run, const source_tensor *tensor, uint8_t digest[16], ellm_error *err) {
  const uint64_t n_chunks = tensor->bytes / HASH_CHUNK + (tensor->bytes % HASH_CHUNK != 0);
  run->tensor = tensor;
  run->sums = malloc((size_t)n_chunks * 8 + 8);
  if (run->sums == NULL) return ellm_fail_memory(err, (size_t)n_chunks * 8, "chunk checksums");
  ellm_status status = ELLM_OK;
  for (run->first_chunk = 0; status == ELLM_OK && run->first_chunk < n_chunks;) {
    uint64_t n = (uint64_t)thread_pool_size(run->pool) * CHUNKS_PER_THREAD;
    if (n > n_chunks - run->first_chunk) n = n_chunks - run->first_chunk;
    pool_for(run->pool, (size_t)n, read_chunk, run);
    run->first_chunk += n;
    status = work_failure_take(&run->failure, err);
    if (status == ELLM_OK)
      status = progress_report(&run->meter, "identify", tensor->name, run->done + run->first_chunk * HASH_CHUNK, err);
  }
  if (status == ELLM_OK) hash128(run->sums, (size_t)n_chunks * 8, digest);
  free(run->sums);
  run->done += tensor->bytes;
  return status;
}

static ellm_status make_chunks(digest_run *run, ellm_error *err) {
  const int n = thread_pool_size(run->pool);
  run->chunks = calloc((size_t)n, sizeof *run->chunks);
  bool made = run->chunks != NULL;
  for (int i = 0; made && i < n; i++) made = (run->chunks[i] = malloc(HASH_CHUNK)) != NULL;
  return made ? ELLM_OK : ellm_fail_memory(err, HASH_CHUNK, "the identity of a model");
}

static void free_chunks(digest_run *run) {
  for (int i = 0; run->chunks != NULL && i < thread_pool_size(run->pool); i++) free(run->chunks[i]);
  free(run->chunks);
}

static ellm_status find_identity(digest_run *run, char text[33], ellm_error *err) {
  const size_t n = source_count(run->s);
  uint8_t(*digests)[16] = calloc(n + 1, sizeof *digests), identity[16];
  ellm_status status =
      digests != NULL ? make_chunks(run, err) : ellm_fail_memory(err, n * sizeof *digests, "the identity of a model");
  for (size_t i = 0; i < n && status == ELLM_OK; i++)
    status = digest_tensor(run, source_at(run->s, i), digests[i], err);
  if (status == ELLM_OK) status = progress_finish(&run->meter, "identify", err);
  if (status == ELLM_OK) status = source_identity_of(run->s, digests, identity, err);
  if (status == ELLM_OK) hash_hex(identity, text);
  free_chunks(run);
  free(digests);
  return status;
}

ellm_status source_identity(tensor_source *s, int threads, ellm_progress_fn progress, void *user, char text[33],
                            ellm_error *err) {
  if (s->kind->identity != NULL) {
    s->kind->identity(s, text);
    return ELLM_OK;
  }
  pthread_mutex_lock(&s->lock);
  memcpy(text, s->identity, sizeof s->identity);
  pthread_mutex_unlock(&s->lock);
  if (text[0] != '\0') return ELLM_OK;
  digest_run run = {.s = s};
  work_failure_init(&run.failure);
  uint64_t total = 0;
  for (size_t i = 0; i < source_count(s); i++) total += source_at(s, i)->bytes;
  progress_start(&run.meter, progress, user, total);
  ELLM_TRY(thread_pool_create(threads, &run.pool, err));
  const ellm_status status = find_identity(&run, text, err); /* without the lock: the caller's function is called */
  thread_pool_free(run.pool);
  ELLM_TRY(status);
  pthread_mutex_lock(&s->lock);
  memcpy(s->identity, text, sizeof s->identity);
  pthread_mutex_unlock(&s->lock);
  return ELLM_OK;
}

/* ------------------------------------------------------- from the digests */

typedef struct identity_item { const source_tensor *tensor; const uint8_t *digest; } identity_item;

static int compare_items(const void *a, const void *b) {
  return strcmp(((const identity_item *)a)->tensor->name, ((const identity_item *)b)->tensor->name);
}

static bool append_u64(ellm_buffer *buffer, uint64_t value) {
  uint8_t bytes[8];
  store_u64(bytes, value);
  return ellm_buffer_append(buffer, bytes, sizeof bytes);
}

static bool append_item(ellm_buffer *buffer, const identity_item *item) {
  const source_tensor *tensor = item->tensor;
  uint8_t length[4], type[2] = {(uint8_t)tensor->dtype, (uint8_t)tensor->n_dims};
  store_u32(length, (uint32_t)strlen(tensor->name));
  bool ok = ellm_buffer_append(buffer, length, sizeof length) &&
            ellm_buffer_append(buffer, tensor->name, strlen(tensor->name)) &&
            ellm_buffer_append(buffer, type, sizeof type);
  for (int i = 0; ok && i < tensor->n_dims; i++) ok = append_u64(buffer, tensor->shape[i]);
  return ok && ellm_buffer_append(buffer, item->digest, 16);
}

ellm_status source_identity_of(const tensor_source *s, uint8_t (*digests)[16], uint8_t identity[16], ellm_error *err) {
  size_t n = source_count(s);
  identity_item *items = calloc(n + 1, sizeof *items);
  ellm_buffer bytes = {0};
  bool ok = items != NULL;
  for (size_t i = 0; ok && i < n; i++) items[i] = (identity_item){source_at(s, i), digests[i]};
  if (ok) qsort(items, n, sizeof *items, compare_items);
  for (size_t i = 0; ok && i < n; i++) ok = append_item(&bytes, &items[i]);
  size_t config_bytes = 0;
  const void *config = source_asset(s, "config.json", &config_bytes);
  if (config == NULL) config_bytes = 0;
  ok = ok && append_u64(&bytes, config_bytes) &&
       (config_bytes == 0 || ellm_buffer_append(&bytes, config, config_bytes));
  if (ok) hash128(bytes.data, bytes.size, identity);
  ellm_status status = ok ? ELLM_OK : ellm_fail_memory(err, bytes.size, "the source identity");
  free(items);
  ellm_buffer_free(&bytes);
  return status;
}
