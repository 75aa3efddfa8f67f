/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files and sets of files; see gguf.h. */
#include "gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "gguf/dequantize.h"

/* One file of a set. */
typedef struct gguf_part {
  file_map map; /* of bytes in memory: only its path is set */
  const uint8_t *data;
  uint64_t size;
} gguf_part;

struct gguf_file {
  gguf_part *parts;
  size_t n_parts;
  gguf_metadata metadata; /* of the first part */
  gguf_tensor *tensors;
  size_t n_tensors;
  const gguf_tensor **by_name;
};

/* What a file says about the set that it belongs to. */
typedef struct split_facts {
  int64_t no, count, tensors; /* tensors < 0: not given */
} split_facts;

bool gguf_begins(const void *first, size_t bytes) { return bytes >= 4 && memcmp(first, "GGUF", 4) == 0; }

/* ---- one file ---- */

static ellm_status read_version(gguf_cursor *c, ellm_error *err) {
  const uint8_t *magic;
  uint32_t version;
  if (!gguf_begins(c->data, (size_t)c->size))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: is not a GGUF file: it does not begin with \"GGUF\"", c->path);
  ELLM_TRY(gguf_take(c, 4, "the header", &magic, err));
  ELLM_TRY(gguf_take_u32(c, "the version", &version, err));
  if (version == 2 || version == 3) return ELLM_OK;
  if (version != 0 && (version & 0xffff) == 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a big-endian GGUF file; only little-endian ones are supported", c->path);
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: GGUF version %u is not supported, only 2 and 3", c->path,
                   (unsigned)version);
}

static ellm_status read_alignment(const gguf_metadata *m, uint32_t *alignment, ellm_error *err) {
  static const char key[] = "general.alignment";
  int64_t number = 32;
  if (gguf_find(m, key) != NULL) ELLM_TRY(gguf_get_integer(m, key, 0, UINT32_MAX, &number, err));
  if (number == 0 || (number & (number - 1)) != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: key %s is %lld, a power of two is expected", m->path, key,
                     (long long)number);
  }
  *alignment = (uint32_t)number;
  return ELLM_OK;
}

/* Appends to file->tensors. */
static ellm_status read_tensors(gguf_file *file, gguf_cursor *c, uint32_t alignment, size_t n, ellm_error *err) {
  if (n > GGUF_MAX_TENSORS - file->n_tensors) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the set has more than the limit of %d tensors", c->path,
                     GGUF_MAX_TENSORS);
  }
  const size_t bytes = (file->n_tensors + n + 1) * sizeof *file->tensors;
  gguf_tensor *grown = realloc(file->tensors, bytes);
  if (grown == NULL) return ellm_fail_memory(err, bytes, "tensor descriptions");
  file->tensors = grown;
  ELLM_TRY(gguf_tensors_read(c, alignment, n, grown + file->n_tensors, err));
  file->n_tensors += n;
  return ELLM_OK;
}

/* *metadata is to be freed by the caller, also after an error. */
static ellm_status read_part(gguf_file *file, const gguf_part *part, gguf_metadata *metadata, ellm_error *err) {
  gguf_cursor c = {.data = part->data, .size = part->size, .path = part->map.path};
  uint64_t n_tensors, n_keys;
  uint32_t alignment;
  ELLM_TRY(read_version(&c, err));
  ELLM_TRY(gguf_take_u64(&c, "the number of tensors", &n_tensors, err));
  ELLM_TRY(gguf_take_u64(&c, "the number of keys", &n_keys, err));
  if (n_tensors > GGUF_MAX_TENSORS || n_tensors > gguf_left(&c) / GGUF_LEAST_TENSOR) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the number of tensors, %llu, is beyond %s", c.path,
                     (unsigned long long)n_tensors,
                     n_tensors > GGUF_MAX_TENSORS ? "the limit of 262144" : "what the file can hold");
  }
  ELLM_TRY(gguf_metadata_read(&c, n_keys, metadata, err));
  ELLM_TRY(read_alignment(metadata, &alignment, err));
  return read_tensors(file, &c, alignment, (size_t)n_tensors, err);
}

/* ---- sets ---- */

static ellm_status read_split(const gguf_metadata *m, split_facts *split, ellm_error *err) {
  *split = (split_facts){.no = 0, .count = 1, .tensors = -1};
  if (gguf_find(m, "split.count") == NULL) return ELLM_OK;
  ELLM_TRY(gguf_get_integer(m, "split.count", 0, 65535, &split->count, err));
  if (split->count <= 1) return ELLM_OK;
  ELLM_TRY(gguf_get_integer(m, "split.no", 0, split->count - 1, &split->no, err));
  if (gguf_find(m, "split.tensors.count") != NULL)
    ELLM_TRY(gguf_get_integer(m, "split.tensors.count", 0, GGUF_MAX_TENSORS, &split->tensors, err));
  return ELLM_OK;
}

enum { SET_ENDING = 20 }; /* "-00001-of-00003.gguf" */

/* The ending of file `no` (from 0) of a set. */
static void set_ending(int64_t no, int64_t count, char out[64]) {
  snprintf(out, 64, "-%05lld-of-%05lld.gguf", (long long)no + 1, (long long)count);
}

static ellm_status check_first(const char *path, const split_facts *split, ellm_error *err) {
  char ending[64];
  const size_t length = strlen(path);
  if (split->no != 0) {
    set_ending(0, split->count, ending);
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: is file %lld of a set of %lld: name the first one (...%s)", path,
                     (long long)split->no + 1, (long long)split->count, ending);
  }
  set_ending(0, split->count, ending);
  if (length > SET_ENDING && strcmp(path + length - SET_ENDING, ending) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: is the first file of a set of %lld: its name must end with %s", path,
                   (long long)split->count, ending);
}

/* Maps file `no` of the set; its path is that of the first with another ending. */
static ellm_status open_part(gguf_file *file, int64_t no, int64_t count, ellm_error *err) {
  const char *first = file->parts[0].map.path;
  const size_t stem = strlen(first) - SET_ENDING;
  char ending[64];
  set_ending(no, count, ending);
  char *path = malloc(stem + strlen(ending) + 1);
  if (path == NULL) return ellm_fail_memory(err, stem + sizeof ending, "a path");
  memcpy(path, first, stem);
  strcpy(path + stem, ending);
  ellm_status status;
  if (!file_exists(path)) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: file %lld of the set of %lld is missing: %s", first, (long long)no + 1,
                       (long long)count, path);
  } else {
    gguf_part *part = &file->parts[file->n_parts];
    status = file_map_open(path, &part->map, err);
    if (status == ELLM_OK) {
      part->data = part->map.data;
      part->size = part->map.size;
      file->n_parts++;
    }
  }
  free(path);
  return status;
}

static ellm_status read_other_part(gguf_file *file, int64_t no, int64_t count, ellm_error *err) {
  split_facts split;
  gguf_metadata metadata = {0};
  ELLM_TRY(open_part(file, no, count, err));
  const gguf_part *part = &file->parts[file->n_parts - 1];
  ellm_status status = read_part(file, part, &metadata, err);
  if (status == ELLM_OK) status = read_split(&metadata, &split, err);
  if (status == ELLM_OK && (split.no != no || split.count != count)) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: says that it is file %lld of %lld, its name says %lld of %lld",
                       part->map.path, (long long)split.no + 1, (long long)split.count, (long long)no + 1,
                       (long long)count);
  }
  gguf_metadata_free(&metadata);
  return status;
}

static ellm_status read_set(gguf_file *file, const split_facts *split, ellm_error *err) {
  gguf_part *grown = realloc(file->parts, (size_t)split->count * sizeof *grown);
  if (grown == NULL) return ellm_fail_memory(err, (size_t)split->count * sizeof *grown, "a set of files");
  file->parts = grown;
  for (int64_t no = 1; no < split->count; no++) ELLM_TRY(read_other_part(file, no, split->count, err));
  if (split->tensors >= 0 && (uint64_t)split->tensors != file->n_tensors) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the set has %zu tensors, split.tensors.count is %lld",
                     file->parts[0].map.path, file->n_tensors, (long long)split->tensors);
  }
  return ELLM_OK;
}

/* ---- tensors by name ---- */

static int by_name(const void *a, const void *b) {
  return strcmp((*(const gguf_tensor *const *)a)->name, (*(const gguf_tensor *const *)b)->name);
}

static ellm_status sort_names(gguf_file *file, ellm_error *err) {
  file->by_name = calloc(file->n_tensors + 1, sizeof *file->by_name);
  if (file->by_name == NULL) return ellm_fail_memory(err, file->n_tensors * sizeof *file->by_name, "tensor names");
  for (size_t i = 0; i < file->n_tensors; i++) file->by_name[i] = &file->tensors[i];
  qsort(file->by_name, file->n_tensors, sizeof *file->by_name, by_name);
  for (size_t i = 1; i < file->n_tensors; i++) {
    if (by_name(&file->by_name[i - 1], &file->by_name[i]) != 0) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s occurs twice", file->by_name[i]->path,
                     file->by_name[i]->name);
  }
  return ELLM_OK;
}

/* ---- opening ---- */

static ellm_status read_file(gguf_file *file, bool others, ellm_error *err) {
  split_facts split;
  ELLM_TRY(read_part(file, &file->parts[0], &file->metadata, err));
  ELLM_TRY(read_split(&file->metadata, &split, err));
  if (split.count > 1) {
    ELLM_TRY(check_first(file->parts[0].map.path, &split, err));
    if (!others) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: is one of a set of %lld files, which are not there",
                       file->parts[0].map.path, (long long)split.count);
    }
    ELLM_TRY(read_set(file, &split, err));
  }
  return sort_names(file, err);
}

static gguf_file *make_file(void) {
  gguf_file *file = calloc(1, sizeof *file);
  if (file != NULL) file->parts = calloc(1, sizeof *file->parts);
  if (file == NULL || file->parts == NULL) {
    free(file);
    return NULL;
  }
  return file;
}

ellm_status gguf_open(const char *path, gguf_file **out, ellm_error *err) {
  gguf_file *file = make_file();
  *out = NULL;
  if (file == NULL) return ellm_fail_memory(err, sizeof *file, "a GGUF file");
  ellm_status status = file_map_open(path, &file->parts[0].map, err);
  if (status == ELLM_OK) {
    file->n_parts = 1;
    file->parts[0].data = file->parts[0].map.data;
    file->parts[0].size = file->parts[0].map.size;
    status = read_file(file, true, err);
  }
  if (status == ELLM_OK) *out = file;
  else gguf_close(file);
  return status;
}

ellm_status gguf_open_memory(const uint8_t *data, size_t bytes, const char *path, gguf_file **out, ellm_error *err) {
  gguf_file *file = make_file();
  *out = NULL;
  if (file == NULL) return ellm_fail_memory(err, sizeof *file, "a GGUF file");
  file->n_parts = 1;
  file->parts[0] = (gguf_part){.map = {.path = strdup(path)}, .data = data, .size = bytes};
  ellm_status status = file->parts[0].map.path != NULL ? ELLM_OK : ellm_fail_memory(err, strlen(path) + 1, "a path");
  if (status == ELLM_OK) status = read_file(file, false, err);
  if (status == ELLM_OK) *out = file;
  else gguf_close(file);
  return status;
}

void gguf_close(gguf_file *file) {
  if (file == NULL) return;
  gguf_metadata_free(&file->metadata);
  free(file->by_name);
  free(file->tensors);
  for (size_t i = 0; i < file->n_parts; i++) file_map_close(&file->parts[i].map);
  free(file->parts);
  free(file);
}

/* ---- asking ---- */

const gguf_metadata *gguf_metadata_of(const gguf_file *file) { return &file->metadata; }
size_t gguf_file_count(const gguf_file *file) { return file->n_parts; }
const char *gguf_file_path(const gguf_file *file, size_t index) { return file->parts[index].map.path; }
size_t gguf_tensor_count(const gguf_file *file) { return file->n_tensors; }
const gguf_tensor *gguf_tensor_at(const gguf_file *file, size_t index) { return &file->tensors[index]; }

const gguf_tensor *gguf_tensor_find(const gguf_file *file, const char *name) {
  size_t low = 0, high = file->n_tensors;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = strcmp(name, file->by_name[middle]->name);
    if (order == 0) return file->by_name[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

/* A part of one block: `n` elements from `skip` on. */
static void part_of_block(gguf_type type, const uint8_t *block, size_t skip, size_t n, float *out) {
  float all[GGUF_MAX_BLOCK];
  gguf_dequantize(type, block, 1, all);
  memcpy(out, all + skip, n * sizeof *out);
}

ellm_status gguf_tensor_floats(const gguf_tensor *tensor, uint64_t first, size_t n, float *out, ellm_error *err) {
  const gguf_type_facts *type = gguf_type_find(tensor->type);
  if (!gguf_can_dequantize(tensor->type)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element type %s is not supported", tensor->path, tensor->name,
                     type->name);
  }
  if (first > tensor->n_elements || n > tensor->n_elements - first) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %zu elements from %llu on are beyond its %llu", tensor->path,
                     tensor->name, n, (unsigned long long)first, (unsigned long long)tensor->n_elements);
  }
  const uint8_t *block = tensor->data + first / type->elements * type->bytes;
  const size_t skip = (size_t)(first % type->elements);
  if (skip > 0 && n > 0) {
    const size_t rest = type->elements - skip, some = n < rest ? n : rest;
    part_of_block(tensor->type, block, skip, some, out);
    block += type->bytes;
    out += some;
    n -= some;
  }
  const size_t n_blocks = n / type->elements, whole = n_blocks * type->elements;
  gguf_dequantize(tensor->type, block, n_blocks, out);
  if (whole < n) part_of_block(tensor->type, block + n_blocks * type->bytes, 0, n - whole, out + whole);
  return ELLM_OK;
}
