/* SPDX-License-Identifier: Apache-2.0 */
/* See source.h. What is the same for all kinds of sources. */
#include "source/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "source/checkpoint_source.h"
#include "source/file_source.h"
#include "source/gguf_source.h"

static int name_order(const void *a, const void *b) {
  return strcmp((*(const source_tensor *const *)a)->name, (*(const source_tensor *const *)b)->name);
}

static void sort_names(tensor_source *s) {
  for (size_t i = 0; i < s->n_tensors; i++) s->by_name[i] = &s->tensors[i];
  if (s->n_tensors > 0) qsort(s->by_name, s->n_tensors, sizeof *s->by_name, name_order);
}

ellm_status source_create(source_opener open, void *user, tensor_source **out, ellm_error *err) {
  *out = NULL;
  tensor_source *s = calloc(1, sizeof *s);
  if (s == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
    free(s);
    return ellm_fail_memory(err, sizeof *s, "a model's tensors");
  }
  const ellm_status status = open(s, user, err);
  if (status != ELLM_OK) {
    source_close(s);
    return status;
  }
  sort_names(s);
  *out = s;
  return ELLM_OK;
}

/* Files that are told apart by how they begin; what is none of these is a .ellm file. A format more is a line more. */
static const struct {
  ellm_status (*is)(const char *path, bool *is, ellm_error *err);
  ellm_status (*open)(const char *path, tensor_source *s, ellm_error *err);
} file_kinds[] = {{gguf_source_is, gguf_source_open}};

typedef struct open_job { const char *path; const source_options *options; } open_job;

static ellm_status open_by_content(tensor_source *s, void *user, ellm_error *err) {
  const open_job *job = user;
  bool is_directory;
  ELLM_TRY(file_look(job->path, &is_directory, err));
  if (is_directory) return checkpoint_source_open(job->path, job->options, s, err);
  for (size_t i = 0; i < sizeof file_kinds / sizeof *file_kinds; i++) {
    bool is = false;
    ELLM_TRY(file_kinds[i].is(job->path, &is, err));
    if (is) return file_kinds[i].open(job->path, s, err);
  }
  return file_source_open(job->path, job->options, s, err);
}

ellm_status source_open(const char *path, const source_options *options, tensor_source **out, ellm_error *err) {
  const source_options none = {0};
  open_job job = {path, options != NULL ? options : &none};
  return source_create(open_by_content, &job, out, err);
}

void source_close(tensor_source *s) {
  if (s == NULL) return;
  for (size_t i = 0; s->made != NULL && s->made_data != NULL && i < s->n_tensors; i++) {
    made_tensor_free(s->made[i]);
    free(s->made_data[i]);
  }
  if (s->kind != NULL) s->kind->close(s);
  free(s->made);
  free(s->made_data);
  free(s->tensors);
  free(s->by_name);
  free(s->path);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

uint64_t source_parts(const tensor_source *s, const source_tensor *tensor) {
  return s->kind->parts != NULL ? s->kind->parts(s, tensor) : 0;
}

ellm_status source_check_part(const tensor_source *s, const source_tensor *tensor, uint64_t part, ellm_error *err) {
  return s->kind->check_part(s, tensor, part, err);
}

uint64_t source_stored_bytes(const source_tensor *tensor) {
  return tensor->coded != NULL ? tensor->coded->payload_bytes : tensor->bytes;
}

ellm_status source_lock(const tensor_source *s, ellm_progress_fn progress, void *user, ellm_error *err) {
  return s->kind->lock != NULL ? s->kind->lock(s, progress, user, err) : ELLM_OK;
}

const char *source_path(const tensor_source *s) { return s->path; }
bool source_compressed(const tensor_source *s) { return s->kind->file != NULL; }
ellm_file *source_file(const tensor_source *s) { return s->kind->file != NULL ? s->kind->file(s) : NULL; }
size_t source_count(const tensor_source *s) { return s->n_tensors; }
const source_tensor *source_at(const tensor_source *s, size_t index) { return &s->tensors[index]; }
size_t source_index(const tensor_source *s, const source_tensor *tensor) { return source_number(s, tensor); }

const source_tensor *source_find(const tensor_source *s, const char *name) {
  const source_tensor key = {.name = name}, *key_pointer = &key;
  const source_tensor **found =
      s->n_tensors == 0 ? NULL : bsearch(&key_pointer, s->by_name, s->n_tensors, sizeof *s->by_name, name_order);
  return found != NULL ? *found : NULL;
}

const char *source_origin(const tensor_source *s, const source_tensor *tensor) { return s->kind->origin(s, tensor); }

ellm_status source_read(const tensor_source *s, const source_tensor *tensor, uint64_t offset, void *out, size_t bytes,
                        ellm_error *err) {
  if (tensor->coded != NULL || offset > tensor->bytes || bytes > tensor->bytes - offset)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: reading %zu bytes at %llu of %llu", s->path, tensor->name,
                     bytes, (unsigned long long)offset, (unsigned long long)tensor->bytes);
  const made_tensor *made = s->made[source_index(s, tensor)];
  if (made == NULL) return s->kind->read(s, tensor, offset, out, bytes, err);
  const size_t size = ellm_dtype_size(tensor->dtype);
  if (offset % size != 0 || bytes % size != 0)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s: reading parts of elements", s->path, tensor->name);
  return made->read(made, offset / size, out, bytes / size, err);
}

ellm_status source_map(tensor_source *s, const source_tensor *tensor, const uint8_t **data, ellm_error *err) {
  if (tensor->coded != NULL)
    return ellm_fail(err, ELLM_ERR_INTERNAL, "%s: tensor %s has blocks, not elements", s->path, tensor->name);
  const size_t index = source_index(s, tensor);
  if (s->made[index] == NULL) return s->kind->map(s, tensor, data, err);
  if (s->made_data[index] == NULL) {
    uint8_t *all = malloc((size_t)tensor->bytes + 1);
    if (all == NULL) return ellm_fail_memory(err, (size_t)tensor->bytes, tensor->name);
    const ellm_status status = source_read(s, tensor, 0, all, (size_t)tensor->bytes, err);
    if (status != ELLM_OK) {
      free(all);
      return status;
    }
    s->made_data[index] = all;
  }
  *data = s->made_data[index];
  return ELLM_OK;
}

size_t source_asset_count(const tensor_source *s) { return s->kind->asset_count(s); }
const char *source_asset_name(const tensor_source *s, size_t index) { return s->kind->asset_name(s, index); }
const void *source_asset(const tensor_source *s, const char *name, size_t *bytes) {
  return s->kind->asset(s, name, bytes);
}
const char *source_metadata(const tensor_source *s) { return s->kind->metadata(s); }
const char *source_quantized(const tensor_source *s) {
  return s->kind->quantized != NULL ? s->kind->quantized(s) : NULL;
}
bool source_reads_file(const tensor_source *s, const char *path) { return s->kind->reads_file(s, path); }
bool source_state(const tensor_source *s, ellm_buffer *out) { return s->kind->state(s, out); }
ellm_status source_unchanged(const tensor_source *s, ellm_error *err) {
  return s->kind->unchanged == NULL ? ELLM_OK : s->kind->unchanged(s, err);
}

size_t source_left_out(const tensor_source *s, uint64_t *bytes, char text[280]) {
  *bytes = 0;
  text[0] = '\0';
  return s->kind->left_out != NULL ? s->kind->left_out(s, bytes, text) : 0;
}
