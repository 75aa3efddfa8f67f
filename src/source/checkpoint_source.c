/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint_source.h. */
#include "source/checkpoint_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "source/fp8.h"
#include "source/mxfp4.h"
#include "source/packed.h"

typedef struct folder_source {
  checkpoint *ckpt;
  const checkpoint_tensor **stored; /* [n_tensors] */
} folder_source;

static folder_source *folder_of(const tensor_source *s) { return s->own; }
static checkpoint *checkpoint_of(const tensor_source *s) { return folder_of(s)->ckpt; }

static const checkpoint_tensor *stored(const tensor_source *s, const source_tensor *tensor) {
  return folder_of(s)->stored[tensor - s->tensors];
}

static void close_folder(tensor_source *s) {
  folder_source *folder = s->own;
  if (folder == NULL) return;
  checkpoint_close(folder->ckpt);
  free(folder->stored);
  free(folder);
}

static const char *origin(const tensor_source *s, const source_tensor *tensor) {
  return checkpoint_shard_path(checkpoint_of(s), stored(s, tensor)->shard);
}

static ellm_status read_elements(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out,
                                 size_t bytes, ellm_error *err) {
  return checkpoint_read(checkpoint_of(s), stored(s, tensor), offset, out, bytes, err);
}

static ellm_status map_elements(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  return checkpoint_map(checkpoint_of(s), stored(s, tensor), data, err);
}

static size_t asset_count(const tensor_source *s) { return checkpoint_asset_count(checkpoint_of(s)); }
static const char *asset_name(const tensor_source *s, size_t index) { return checkpoint_asset_name(checkpoint_of(s), index); }
static const void *asset(const tensor_source *s, const char *name, size_t *bytes) {
  return checkpoint_asset(checkpoint_of(s), name, bytes);
}
static const char *metadata(const tensor_source *s) { return checkpoint_metadata(checkpoint_of(s)); }

/* What the largest tensor that is made floats was before. */
static const char *quantized(const tensor_source *s) {
  const char *what = NULL;
  uint64_t most = 0;
  for (size_t i = 0; i < s->n_tensors; i++) {
    if (s->made[i] == NULL || s->tensors[i].n_elements <= most) continue;
    most = s->tensors[i].n_elements;
    what = s->made[i]->what;
  }
  return what;
}

static size_t left_out(const tensor_source *s, uint64_t *bytes, char text[280]) {
  return checkpoint_left_out(checkpoint_of(s), bytes, text);
}

static bool reads_file(const tensor_source *s, const char *path) {
  for (uint32_t i = 0; i < checkpoint_shard_count(checkpoint_of(s)); i++)
    if (file_same(path, checkpoint_shard_path(checkpoint_of(s), i))) return true;
  return false;
}

static bool state(const tensor_source *s, ellm_buffer *out) {
  bool ok = true;
  for (size_t i = 0; ok && i < checkpoint_tensor_count(checkpoint_of(s)); i++) {
    const checkpoint_tensor *tensor = checkpoint_tensor_at(checkpoint_of(s), i);
    uint64_t bytes;
    struct timespec changed; /* of the open file: another may have its name by now */
    char line[256];
    checkpoint_shard_state(checkpoint_of(s), tensor->shard, &bytes, &changed);
    const int n = snprintf(line, sizeof line, "%u %llu %lld.%09ld %llu %d", tensor->shard, (unsigned long long)bytes,
                           (long long)changed.tv_sec, (long)changed.tv_nsec, (unsigned long long)tensor->offset,
                           (int)tensor->dtype);
    ok = ellm_buffer_append(out, line, (size_t)n + 1) &&
         ellm_buffer_append(out, tensor->name, strlen(tensor->name) + 1) &&
         ellm_buffer_append(out, tensor->shape, sizeof tensor->shape);
  }
  return ok;
}

static ellm_status unchanged(const tensor_source *s, ellm_error *err) {
  return checkpoint_unchanged(checkpoint_of(s), err);
}

static const source_kind checkpoint_kind = {.format = "safetensors",
                                            .close = close_folder,
                                            .origin = origin,
                                            .read = read_elements,
                                            .map = map_elements,
                                            .asset_count = asset_count,
                                            .asset_name = asset_name,
                                            .asset = asset,
                                            .metadata = metadata,
                                            .quantized = quantized,
                                            .left_out = left_out,
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

/* What the tensor is the elements of, where it is of a type that is made floats. */
static ellm_status find_made(checkpoint *ckpt, const quantization *q, fp8_blocks blocks, const checkpoint_tensor *t,
                             packed_found *found, ellm_error *err) {
  ELLM_TRY(packed_find(ckpt, q, t, found, err));
  if (found->made == NULL) ELLM_TRY(mxfp4_find(ckpt, q, t, found, err));
  if (found->made != NULL) return ELLM_OK;
  ELLM_TRY(fp8_find(ckpt, t, blocks, &found->made, &found->parts[0], err));
  if (found->made == NULL) return ELLM_OK;
  found->n_parts = 1;
  found->n_dims = t->n_dims;
  memcpy(found->shape, t->shape, sizeof t->shape);
  return ELLM_OK;
}

/* A made tensor as what it is made to. */
static ellm_status describe_made(source_tensor *out, const checkpoint_tensor *t, const packed_found *found,
                                 ellm_error *err) {
  describe(out, t);
  if (found->made == NULL) return ELLM_OK;
  if (found->made->name != NULL) out->name = found->made->name;
  out->dtype = ELLM_F32;
  out->n_dims = found->n_dims;
  memset(out->shape, 0, sizeof out->shape);
  out->n_elements = 1;
  bool good = true;
  for (int i = 0; i < found->n_dims; i++) {
    out->shape[i] = found->shape[i];
    good = good && ellm_mul_u64(out->n_elements, out->shape[i], &out->n_elements);
  }
  return good && ellm_mul_u64(out->n_elements, sizeof(float), &out->bytes)
             ? ELLM_OK
             : ellm_fail(err, ELLM_ERR_INPUT, "tensor %s has too many elements", out->name);
}

/* The parts of made tensors, by address. */
typedef struct part_list { const checkpoint_tensor **items; size_t n; } part_list;

static ellm_status make_all(tensor_source *s, packed_found *found, part_list *parts, ellm_error *err) {
  const size_t n = checkpoint_tensor_count(checkpoint_of(s));
  const fp8_blocks blocks = fp8_blocks_of(checkpoint_of(s));
  quantization q;
  quantization_of(checkpoint_of(s), &q);
  for (size_t i = 0; i < n; i++) {
    ELLM_TRY(find_made(checkpoint_of(s), &q, blocks, checkpoint_tensor_at(checkpoint_of(s), i), &found[i], err));
    s->made[i] = found[i].made; /* owned from now on */
    for (size_t k = 0; found[i].made != NULL && k < found[i].n_parts; k++)
      parts->items[parts->n++] = found[i].parts[k];
  }
  if (parts->n > 0) qsort(parts->items, parts->n, sizeof *parts->items, by_address);
  return ELLM_OK;
}

/* Two tensors of one name: NAME.weight beside the parts that it is made of. */
static ellm_status check_made_names(const tensor_source *s, ellm_error *err) {
  for (size_t i = 0; i < s->n_tensors; i++) {
    if (s->made[i] == NULL || s->made[i]->name == NULL) continue;
    const checkpoint_tensor *other = checkpoint_find(checkpoint_of(s), s->made[i]->name);
    if (other != NULL && other != folder_of(s)->stored[i])
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is there, and quantized as %s, too", s->path,
                       s->made[i]->name, folder_of(s)->stored[i]->name);
  }
  return ELLM_OK;
}

/* Tensors that are made, as what they are made to, without the parts that went into them. */
static ellm_status keep_whole(tensor_source *s, const packed_found *found, const part_list *parts, ellm_error *err) {
  size_t n_left = 0;
  ellm_status status = ELLM_OK;
  for (size_t i = 0, n = checkpoint_tensor_count(checkpoint_of(s)); status == ELLM_OK && i < n; i++) {
    const checkpoint_tensor *t = checkpoint_tensor_at(checkpoint_of(s), i);
    if (parts->n > 0 && found[i].made == NULL &&
        bsearch(&t, parts->items, parts->n, sizeof *parts->items, by_address) != NULL)
      continue;
    s->made[i] = NULL;
    s->made[n_left] = found[i].made;
    status = describe_made(&s->tensors[n_left], t, &found[i], err);
    folder_of(s)->stored[n_left++] = t;
  }
  if (status == ELLM_OK) s->n_tensors = n_left;
  return status == ELLM_OK ? check_made_names(s, err) : status;
}

static ellm_status add_tensors(tensor_source *s, ellm_error *err) {
  const size_t n = checkpoint_tensor_count(checkpoint_of(s));
  ELLM_TRY(source_make_tensors(s, n, err));
  folder_source *folder = folder_of(s);
  folder->stored = calloc(n + 1, sizeof *folder->stored);
  part_list parts = {.items = calloc(PACKED_PARTS * n + 1, sizeof *parts.items)};
  packed_found *found = calloc(n + 1, sizeof *found);
  ellm_status status = folder->stored != NULL && parts.items != NULL && found != NULL
                           ? make_all(s, found, &parts, err)
                           : ellm_fail_memory(err, n * sizeof *found, "tensors");
  if (status == ELLM_OK) status = keep_whole(s, found, &parts, err);
  free(found);
  free(parts.items);
  return status;
}

ellm_status checkpoint_source_open(const char *path, const source_options *options, tensor_source *s, ellm_error *err) {
  const checkpoint_options from = {.assets = options->assets, .small_files_only = options->small_files_only};
  s->kind = &checkpoint_kind;
  folder_source *folder = s->own = calloc(1, sizeof *folder);
  if (folder == NULL) return ellm_fail_memory(err, sizeof *folder, "a checkpoint folder");
  ELLM_TRY(checkpoint_open(path, &from, &folder->ckpt, err));
  s->path = strdup(checkpoint_path(checkpoint_of(s)));
  if (s->path == NULL) return ellm_fail_memory(err, strlen(path), "a path");
  return add_tensors(s, err);
}
