/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a checkpoint folder: find the weight files, validate all their
 * headers, read the small files. Everything is checked here, once; reading
 * tensors afterwards can only fail by the system.
 */
#include "checkpoint/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "checkpoint/assets.h"
#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "json/json.h"

enum { MAX_INDEX_BYTES = 128 << 20 };

typedef struct shard {
  char *name; /* in the folder */
  file_reader reader;
  file_map map; /* data NULL until checkpoint_map wants it */
} shard;

struct checkpoint {
  char *path;
  shard *shards;
  size_t n_shards;
  checkpoint_tensor *tensors;
  size_t n_tensors;
  const checkpoint_tensor **by_name; /* sorted, once all are known */
  char *metadata;
  checkpoint_assets assets;
};

/* Read and validate one shard's header; its tensors are appended. */
static ellm_status open_shard(checkpoint *ckpt, size_t index, ellm_error *err) {
  shard *s = &ckpt->shards[index];
  char *path = path_join(ckpt->path, s->name);
  if (path == NULL) return ellm_fail_memory(err, strlen(s->name), "a path");
  /* an unfinished download, most likely: the folder is at fault, not the system */
  const ellm_status opened = file_exists(path) ? file_reader_open(path, &s->reader, err)
                                               : ellm_fail(err, ELLM_ERR_INPUT,
                                                           "%s: a file of this checkpoint is missing", path);
  free(path);
  ELLM_TRY(opened);
  if (s->reader.size < 8) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: %llu bytes are too few for a safetensors file", s->reader.path,
                     (unsigned long long)s->reader.size);
  }
  uint8_t first[FILE_KIND_BYTES];
  const size_t n_first = s->reader.size < sizeof first ? (size_t)s->reader.size : sizeof first;
  size_t bytes;
  ELLM_TRY(file_reader_read(&s->reader, 0, first, n_first, err));
  const ellm_status sized = safetensors_header_bytes(first, s->reader.size, s->reader.path, &bytes, err);
  if (sized != ELLM_OK) { /* the cause, where it is known */
    if (!file_kind_is_safetensors(first, n_first)) ELLM_TRY(file_kind_check(first, n_first, s->reader.path, err));
    return sized;
  }
  char *json = malloc(bytes);
  if (json == NULL) return ellm_fail_memory(err, bytes, "a safetensors header");
  safetensors_header header = {0};
  ellm_status status = file_reader_read(&s->reader, 8, json, bytes, err);
  if (status == ELLM_OK) status = safetensors_parse(json, bytes, s->reader.size, s->reader.path, &header, err);
  free(json);
  ELLM_TRY(status);

  checkpoint_tensor *grown = realloc(ckpt->tensors, (ckpt->n_tensors + header.n_tensors + 1) * sizeof *grown);
  if (grown == NULL) {
    safetensors_free(&header);
    return ellm_fail_memory(err, header.n_tensors * sizeof *grown, "tensor records");
  }
  ckpt->tensors = grown;
  for (size_t i = 0; i < header.n_tensors; i++) {
    checkpoint_tensor *t = &grown[ckpt->n_tensors++];
    *t = header.tensors[i];
    t->shard = (uint32_t)index;
    t->offset += 8 + bytes;
  }
  header.n_tensors = 0; /* the names have moved */
  if (ckpt->metadata == NULL) {
    ckpt->metadata = header.metadata;
    header.metadata = NULL;
  }
  safetensors_free(&header);
  return ELLM_OK;
}

/* The place of a shard in the list, which is ordered by name; *found says whether it is there. */
static size_t shard_place(const checkpoint *ckpt, const char *name, bool *found) {
  size_t low = 0, high = ckpt->n_shards;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = strcmp(ckpt->shards[middle].name, name);
    if (order == 0) low = high = middle;
    else if (order < 0) low = middle + 1;
    else high = middle;
  }
  *found = low < ckpt->n_shards && strcmp(ckpt->shards[low].name, name) == 0;
  return low;
}

static ellm_status add_shard(checkpoint *ckpt, const char *name, ellm_error *err) {
  bool found;
  const size_t place = shard_place(ckpt, name, &found);
  if (found) return ELLM_OK;
  shard *grown = realloc(ckpt->shards, (ckpt->n_shards + 1) * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, (ckpt->n_shards + 1) * sizeof *grown, "shards");
  ckpt->shards = grown;
  char *copy = strdup(name);
  if (copy == NULL) return ellm_fail_memory(err, strlen(name) + 1, "a shard name");
  memmove(grown + place + 1, grown + place, (ckpt->n_shards - place) * sizeof *grown);
  grown[place] = (shard){.name = copy, .reader = {.fd = -1}};
  ckpt->n_shards++;
  return ELLM_OK;
}

/* A shard is a file of the folder itself: an index must not lead elsewhere. */
static bool is_plain_file_name(const char *name) {
  return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 256;
}

/* The distinct files of the index's weight_map, by name. */
static ellm_status collect_shards(checkpoint *ckpt, json_t *weight_map, const char *origin, ellm_error *err) {
  const char *tensor;
  json_t *value;
  json_object_foreach(weight_map, tensor, value) {
    const char *file = json_string_value(value);
    if (file == NULL || strlen(file) != json_string_length(value) || !is_plain_file_name(file)) {
      char text[80];
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: weight_map: tensor %s: %s is not the name of a file of the folder",
                       origin, tensor, json_brief(value, text));
    }
    ELLM_TRY(add_shard(ckpt, file, err));
    if (ckpt->n_shards > CHECKPOINT_MAX_SHARDS)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: weight_map: more than %d shards", origin, CHECKPOINT_MAX_SHARDS);
  }
  return ELLM_OK;
}

/* Index and shards name the same tensors, each in the same file. */
static ellm_status check_index(const checkpoint *ckpt, json_t *weight_map, const char *origin, ellm_error *err) {
  for (size_t i = 0; i < ckpt->n_tensors; i++) {
    const checkpoint_tensor *t = &ckpt->tensors[i];
    const char *file = json_string_value(json_object_get(weight_map, t->name));
    if (file == NULL) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s of %s is not in weight_map", origin, t->name,
                       ckpt->shards[t->shard].name);
    }
    if (strcmp(file, ckpt->shards[t->shard].name) != 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s lies in %s, weight_map says %s", origin, t->name,
                       ckpt->shards[t->shard].name, file);
    }
  }
  const char *tensor;
  json_t *value;
  json_object_foreach(weight_map, tensor, value) {
    if (checkpoint_find(ckpt, tensor) == NULL) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: weight_map names tensor %s, %s does not hold it", origin, tensor,
                       json_string_value(value));
    }
  }
  return ELLM_OK;
}

static int name_order(const void *a, const void *b) {
  return strcmp((*(const checkpoint_tensor *const *)a)->name, (*(const checkpoint_tensor *const *)b)->name);
}

static ellm_status sort_names(checkpoint *ckpt, ellm_error *err) {
  ckpt->by_name = calloc(ckpt->n_tensors + 1, sizeof *ckpt->by_name);
  if (ckpt->by_name == NULL) return ellm_fail_memory(err, ckpt->n_tensors * sizeof *ckpt->by_name, "tensor names");
  for (size_t i = 0; i < ckpt->n_tensors; i++) ckpt->by_name[i] = &ckpt->tensors[i];
  qsort(ckpt->by_name, ckpt->n_tensors, sizeof *ckpt->by_name, name_order);
  for (size_t i = 1; i < ckpt->n_tensors; i++) {
    const checkpoint_tensor *a = ckpt->by_name[i - 1], *b = ckpt->by_name[i];
    if (strcmp(a->name, b->name) == 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s is both in %s and in %s", ckpt->path, a->name,
                       ckpt->shards[a->shard].name, ckpt->shards[b->shard].name);
    }
  }
  return ELLM_OK;
}

static ellm_status open_shards(checkpoint *ckpt, ellm_error *err) {
  for (size_t i = 0; i < ckpt->n_shards; i++) ELLM_TRY(open_shard(ckpt, i, err));
  return sort_names(ckpt, err);
}

static ellm_status open_indexed(checkpoint *ckpt, const char *index_path, ellm_error *err) {
  uint8_t *text;
  size_t bytes;
  ELLM_TRY(file_read_all(index_path, MAX_INDEX_BYTES, &text, &bytes, err));
  json_t *root = NULL;
  ellm_status status = file_kind_check(text, bytes, index_path, err);
  if (status == ELLM_OK) status = json_parse(text, bytes, index_path, &root, err);
  free(text);
  ELLM_TRY(status);
  json_t *weight_map = json_object_get(root, "weight_map");
  if (!json_is_object(root)) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", index_path);
  else if (!json_is_object(weight_map))
    status = json_wrong(weight_map, "weight_map", index_path, "an object", err);
  if (status == ELLM_OK) status = collect_shards(ckpt, weight_map, index_path, err);
  if (status == ELLM_OK) status = open_shards(ckpt, err);
  if (status == ELLM_OK) status = check_index(ckpt, weight_map, index_path, err);
  json_decref(root);
  return status;
}

static ellm_status open_weights(checkpoint *ckpt, ellm_error *err) {
  folder_weights weights;
  ellm_status status = folder_find_weights(ckpt->path, &weights, err);
  if (status == ELLM_OK && weights.indexed) {
    char *index = path_join(ckpt->path, CHECKPOINT_INDEX_NAME);
    status = index != NULL ? open_indexed(ckpt, index, err) : ellm_fail_memory(err, strlen(ckpt->path), "a path");
    free(index);
  } else if (status == ELLM_OK) {
    for (size_t i = 0; i < weights.n_names && status == ELLM_OK; i++) status = add_shard(ckpt, weights.names[i], err);
    if (status == ELLM_OK) status = open_shards(ckpt, err);
  }
  folder_weights_free(&weights);
  return status;
}

ellm_status checkpoint_open(const char *dir, const checkpoint_options *options, checkpoint **ckpt, ellm_error *err) {
  *ckpt = NULL;
  checkpoint *opened = calloc(1, sizeof *opened);
  if (opened == NULL) return ellm_fail_memory(err, sizeof *opened, "a checkpoint");
  ellm_status status = folder_find(dir, &opened->path, err);
  if (status == ELLM_OK) status = options->small_files_only ? sort_names(opened, err) : open_weights(opened, err);
  if (status == ELLM_OK) status = checkpoint_assets_read(opened->path, &options->assets, &opened->assets, err);
  if (status != ELLM_OK) {
    checkpoint_close(opened);
    return status;
  }
  *ckpt = opened;
  return ELLM_OK;
}

void checkpoint_close(checkpoint *ckpt) {
  if (ckpt == NULL) return;
  for (size_t i = 0; i < ckpt->n_shards; i++) {
    free(ckpt->shards[i].name);
    if (ckpt->shards[i].reader.path != NULL) file_reader_close(&ckpt->shards[i].reader);
    if (ckpt->shards[i].map.path != NULL) file_map_close(&ckpt->shards[i].map);
  }
  free(ckpt->shards);
  for (size_t i = 0; i < ckpt->n_tensors; i++) free((char *)ckpt->tensors[i].name);
  free(ckpt->tensors);
  free(ckpt->by_name);
  free(ckpt->metadata);
  checkpoint_assets_free(&ckpt->assets);
  free(ckpt->path);
  free(ckpt);
}

const char *checkpoint_path(const checkpoint *ckpt) { return ckpt->path; }
size_t checkpoint_tensor_count(const checkpoint *ckpt) { return ckpt->n_tensors; }
const checkpoint_tensor *checkpoint_tensor_at(const checkpoint *ckpt, size_t index) { return &ckpt->tensors[index]; }
const char *checkpoint_shard_path(const checkpoint *ckpt, uint32_t index) { return ckpt->shards[index].reader.path; }
size_t checkpoint_shard_count(const checkpoint *ckpt) { return ckpt->n_shards; }
const char *checkpoint_metadata(const checkpoint *ckpt) { return ckpt->metadata != NULL ? ckpt->metadata : "{}"; }
size_t checkpoint_asset_count(const checkpoint *ckpt) { return ckpt->assets.n_files; }
const char *checkpoint_asset_name(const checkpoint *ckpt, size_t index) { return ckpt->assets.files[index].name; }

size_t checkpoint_left_out(const checkpoint *ckpt, uint64_t *bytes, char text[280]) {
  *bytes = ckpt->assets.left_out_bytes;
  name_list_text(&ckpt->assets.left_out, text);
  return ckpt->assets.left_out.n;
}

const uint8_t *checkpoint_asset(const checkpoint *ckpt, const char *name, size_t *bytes) {
  for (size_t i = 0; i < ckpt->assets.n_files; i++) {
    const asset_file *file = &ckpt->assets.files[i];
    if (strcmp(file->name, name) != 0) continue;
    if (bytes != NULL) *bytes = file->bytes;
    return file->data;
  }
  return NULL;
}

const checkpoint_tensor *checkpoint_find(const checkpoint *ckpt, const char *name) {
  const checkpoint_tensor key = {.name = name}, *key_pointer = &key;
  const checkpoint_tensor **found =
      ckpt->n_tensors == 0 ? NULL
                           : bsearch(&key_pointer, ckpt->by_name, ckpt->n_tensors, sizeof *ckpt->by_name, name_order);
  return found != NULL ? *found : NULL;
}

ellm_status checkpoint_read(const checkpoint *ckpt, const checkpoint_tensor *tensor, uint64_t offset, void *out,
                            size_t bytes, ellm_error *err) {
  if (offset > tensor->bytes || bytes > tensor->bytes - offset) {
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: reading %zu bytes at %llu of %llu", ckpt->path,
                     tensor->name, bytes, (unsigned long long)offset, (unsigned long long)tensor->bytes);
  }
  return file_reader_read(&ckpt->shards[tensor->shard].reader, tensor->offset + offset, out, bytes, err);
}

void checkpoint_shard_state(const checkpoint *ckpt, uint32_t index, uint64_t *bytes, struct timespec *changed) {
  *bytes = ckpt->shards[index].reader.size;
  *changed = ckpt->shards[index].reader.changed;
}

ellm_status checkpoint_unchanged(const checkpoint *ckpt, ellm_error *err) {
  for (size_t i = 0; i < ckpt->n_shards; i++) ELLM_TRY(file_reader_unchanged(&ckpt->shards[i].reader, err));
  return ELLM_OK;
}

ellm_status checkpoint_map(checkpoint *ckpt, const checkpoint_tensor *tensor, const uint8_t **data, ellm_error *err) {
  shard *s = &ckpt->shards[tensor->shard];
  if (s->map.path == NULL) {
    ELLM_TRY(file_map_open(s->reader.path, &s->map, err));
    if (s->map.size != s->reader.size) {
      file_map_close(&s->map);
      s->map = (file_map){0};
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: the file has changed since it was opened", s->reader.path);
    }
  }
  *data = s->map.data + tensor->offset;
  return ELLM_OK;
}
