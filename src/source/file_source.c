/* SPDX-License-Identifier: Apache-2.0 */
/* See file_source.h. */
#include "source/file_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "container/hash.h"

static ellm_file *file_of(const tensor_source *s) { return s->own; }

static void close_file(tensor_source *s) { ellm_file_close(s->own); }

static const char *origin(const tensor_source *s, const source_tensor *tensor) {
  (void)tensor;
  return container_path(file_of(s));
}

static ellm_status map_elements(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  return container_kept(file_of(s), container_find(file_of(s), tensor->name), data, err);
}

static ellm_status read_elements(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out,
                                 size_t bytes, ellm_error *err) {
  const uint8_t *data;
  ELLM_TRY(container_kept(file_of(s), container_find(file_of(s), tensor->name), &data, err));
  memcpy(out, data + offset, bytes);
  return ELLM_OK;
}

static uint64_t parts(const tensor_source *s, const source_tensor *tensor) {
  (void)s;
  return tensor->coded != NULL ? container_stored_blocks(tensor->coded) : 1;
}

static ellm_status check_part(const tensor_source *s, const source_tensor *tensor, uint64_t part, ellm_error *err) {
  container_block block;
  const uint8_t *data;
  return tensor->coded != NULL ? container_checked_block(file_of(s), tensor->coded,
                                                         container_stored_block(tensor->coded, part), &block, err)
                               : container_kept(file_of(s), container_find(file_of(s), tensor->name), &data, err);
}

static ellm_status lock(const tensor_source *s, ellm_progress_fn progress, void *user, ellm_error *err) {
  return container_lock(file_of(s), progress, user, err);
}

static size_t asset_count(const tensor_source *s) { return ellm_file_asset_count(file_of(s)); }
static const char *asset_name(const tensor_source *s, size_t index) { return container_asset_name(file_of(s), index); }
static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  return ellm_file_asset(file_of(s), name, bytes);
}

static const char *metadata(const tensor_source *s) {
  const char *text = container_metadata(file_of(s), "safetensors.metadata");
  return text != NULL ? text : "{}";
}

static bool reads_file(const tensor_source *s, const char *path) { return file_same(path, container_path(file_of(s))); }

static bool state(const tensor_source *s, ellm_buffer *out) {
  char of_source[33], self[33];
  ellm_file_identity(file_of(s), of_source, self);
  return ellm_buffer_append(out, self, sizeof self);
}

static void identity(const tensor_source *s, char text[33]) {
  char of_source[33];
  const container_part *part = container_part_of(file_of(s));
  if (part != NULL) hash_hex(part->whole, text); /* what is computed is the whole's */
  else ellm_file_identity(file_of(s), of_source, text);
}

static const source_kind file_kind = {.format = "ellm",
                                      .close = close_file,
                                      .file = file_of,
                                      .origin = origin,
                                      .read = read_elements,
                                      .map = map_elements,
                                      .asset_count = asset_count,
                                      .asset_name = asset_name,
                                      .asset = asset,
                                      .metadata = metadata,
                                      .reads_file = reads_file,
                                      .state = state,
                                      .identity = identity,
                                      .parts = parts,
                                      .check_part = check_part,
                                      .lock = lock};

static ellm_status add_tensors(tensor_source *s, ellm_error *err) {
  const size_t n = ellm_file_tensor_count(file_of(s));
  ELLM_TRY(source_make_tensors(s, n, err));
  for (size_t i = 0; i < n; i++) {
    const container_tensor *t = container_tensor_at(file_of(s), i);
    s->tensors[i] = (source_tensor){.name = t->name,
                                    .dtype = t->dtype,
                                    .n_dims = t->n_dims,
                                    .n_elements = t->n_elements,
                                    .bytes = t->n_elements * ellm_dtype_size(t->dtype),
                                    .coded = t->storage == CONTAINER_CODED ? t : NULL};
    memcpy(s->tensors[i].shape, t->shape, sizeof t->shape);
  }
  return ELLM_OK;
}

ellm_status file_source_open(const char *path, const source_options *options, tensor_source *s, ellm_error *err) {
  s->kind = &file_kind;
  s->path = strdup(path);
  if (s->path == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  ellm_file *file;
  ELLM_TRY(options->load ? container_open_loaded(path, options->progress, options->progress_user, &file, err)
                         : ellm_file_open(path, &file, err));
  s->own = file;
  if (!options->parts) ELLM_TRY(container_need_whole(file, err));
  return add_tensors(s, err);
}
