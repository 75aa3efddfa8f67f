/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint_source.h. */
#include "source/checkpoint_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "source/fp8.h"

static const checkpoint_tensor *stored(const tensor_source *s, const source_tensor *tensor) {
  return s->in_checkpoint[tensor - s->tensors];
}

static void close_folder(tensor_source *s) {
  checkpoint_close(s->ckpt);
  free(s->in_checkpoint);
}

static const char *origin(const tensor_source *s, const source_tensor *tensor) {
  return checkpoint_shard_path(s->ckpt, stored(s, tensor)->shard);
}

static ellm_status read_elements(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out,
                                 size_t bytes, ellm_error *err) {
  return checkpoint_read(s->ckpt, stored(s, tensor), offset, out, bytes, err);
}

static ellm_status map_elements(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  return checkpoint_map(s->ckpt, stored(s, tensor), data, err);
}

static size_t asset_count(const tensor_source *s) { return checkpoint_asset_count(s->ckpt); }
static const char *asset_name(const tensor_source *s, size_t index) { return checkpoint_asset_name(s->ckpt, index); }
static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  return checkpoint_asset(s->ckpt, name, bytes);
}
static const char *metadata(const tensor_source *s) { return checkpoint_metadata(s->ckpt); }

/* FP8 is the one such type that is made floats. */
static const char *quantized(const tensor_source *s) {
  for (size_t i = 0; i < s->n_tensors; i++)
    if (s->made[i] != NULL) return "FP8";
  return NULL;
}

static bool reads_file(const tensor_source *s, const char *path) {
  for (uint32_t i = 0; i < checkpoint_shard_count(s->ckpt); i++)
    if (file_same(path, checkpoint_shard_path(s->ckpt, i))) return true;
  return false;
}

static bool state(const tensor_source *s, ellm_buffer *out) {
  bool ok = true;
  for (size_t i = 0; ok && i < checkpoint_tensor_count(s->ckpt); i++) {
    const checkpoint_tensor *tensor = checkpoint_tensor_at(s->ckpt, i);
    uint64_t bytes;
    struct timespec changed; /* of the open file: another may have its name by now */
    char line[256];
    checkpoint_shard_state(s->ckpt, tensor->shard, &bytes, &changed);
    const int n = snprintf(line, sizeof line, "%u %llu %lld.%09ld %llu %d", tensor->shard, (unsigned long long)bytes,
                           (long long)changed.tv_sec, (long)changed.tv_nsec, (unsigned long long)tensor->offset,
                           (int)tensor->dtype);
    ok = ellm_buffer_append(out, line, (size_t)n + 1) &&
         ellm_buffer_append(out, tensor->name, strlen(tensor->name) + 1) &&
         ellm_buffer_append(out, tensor->shape, sizeof tensor->shape);
  }
  return ok;
}

static ellm_status unchanged(const tensor_source *s, ellm_error *err) { return checkpoint_unchanged(s->ckpt, err); }

static const source_kind checkpoint_kind = {.close = close_folder,
                                            .origin = origin,
                                            .read = read_elements,
                                            .map = map_elements,
                                            .asset_count = asset_count,
                                            .asset_name = asset_name,
                                            .asset = asset,
                                            .metadata = metadata,
                                            .quantized = quantized,
                                            .reads_file = reads_file,
                                            .state = state,
                                            .unchanged = unchanged};

static void describe(source_tensor *out, const checkpoint_tensor *t) {
  *out = (source_tensor){
      .name = t->name, .dtype = t->dtype, .n_dims = t->n_dims, .n_elements = t->n_elements, .bytes = t->bytes};
  memcpy(out->shape, t->shape, sizeof t->shape);
}

static int by_address(const void *a, const void *b) {
  const checkpoint_tensor *x = *(const checkpoint_tensor *const *)a, *y = *(const checkpoint_tensor *const *)b;
  return x < y ? -1 : x > y;
}

/* Tensors that are made, as what they are made to, without the scales that went into them. */
static ellm_status add_tensors(tensor_source *s, ellm_error *err) {
  const size_t n = checkpoint_tensor_count(s->ckpt);
  ELLM_TRY(source_make_tensors(s, n, err));
  s->in_checkpoint = calloc(n + 1, sizeof *s->in_checkpoint);
  const checkpoint_tensor **scales = calloc(n + 1, sizeof *scales);
  size_t n_scales = 0, n_left = 0;
  ellm_status status = s->in_checkpoint != NULL && scales != NULL
                           ? ELLM_OK
                           : ellm_fail_memory(err, n * sizeof *s->in_checkpoint, "tensors");
  const fp8_blocks blocks = fp8_blocks_of(s->ckpt);
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    const checkpoint_tensor *scale;
    status = fp8_find(s->ckpt, checkpoint_tensor_at(s->ckpt, i), blocks, &s->made[i], &scale, err);
    if (s->made[i] != NULL) scales[n_scales++] = scale;
  }
  if (n_scales > 0) qsort(scales, n_scales, sizeof *scales, by_address);
  for (size_t i = 0; status == ELLM_OK && i < n; i++) {
    const checkpoint_tensor *t = checkpoint_tensor_at(s->ckpt, i);
    if (n_scales > 0 && bsearch(&t, scales, n_scales, sizeof *scales, by_address) != NULL) continue;
    source_tensor *out = &s->tensors[n_left];
    describe(out, t);
    if (s->made[i] != NULL) {
      out->dtype = ELLM_F32;
      out->bytes = out->n_elements * sizeof(float);
    }
    made_tensor *made = s->made[i];
    s->made[i] = NULL;
    s->made[n_left] = made;
    s->in_checkpoint[n_left++] = t;
  }
  free(scales);
  if (status == ELLM_OK) s->n_tensors = n_left;
  return status;
}

ellm_status checkpoint_source_open(const char *path, const source_options *options, tensor_source *s, ellm_error *err) {
  const checkpoint_options from = {.assets = options->assets, .small_files_only = options->small_files_only};
  s->kind = &checkpoint_kind;
  ELLM_TRY(checkpoint_open_with(path, &from, &s->ckpt, err));
  s->path = strdup(checkpoint_path(s->ckpt));
  if (s->path == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  return add_tensors(s, err);
}
