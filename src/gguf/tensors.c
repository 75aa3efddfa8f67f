/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A description is a name, the number of dimensions, their sizes (that of a row first), the number of the type, and the
 * offset from the beginning of the data. Bytes follow from sizes and type; the file does not say them.
 */
#include "gguf/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

static ellm_status read_name(gguf_cursor *c, size_t index, gguf_tensor *t, ellm_error *err) {
  uint64_t bytes;
  const uint8_t *data;
  ELLM_TRY(gguf_take_u64(c, "the length of a tensor's name", &bytes, err));
  if (bytes == 0 || bytes > GGUF_MAX_NAME) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor number %zu has a name of %llu bytes, 1 to %d are expected",
                     c->path,
                     index, (unsigned long long)bytes, GGUF_MAX_NAME);
  }
  ELLM_TRY(gguf_take(c, bytes, "the name of a tensor", &data, err));
  memcpy(t->name, data, (size_t)bytes);
  for (uint64_t i = 0; i < bytes; i++) {
    if (data[i] >= 0x20 && data[i] != 0x7f) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor number %zu (%s) has control character %u in its name", c->path,
                     index, t->name, (unsigned)data[i]);
  }
  return ELLM_OK;
}

static ellm_status read_shape(gguf_cursor *c, gguf_tensor *t, ellm_error *err) {
  uint32_t n_dims;
  ELLM_TRY(gguf_take_u32(c, "a tensor's number of dimensions", &n_dims, err));
  if (n_dims == 0 || n_dims > GGUF_MAX_DIMS) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s has %u dimensions, 1 to %d are expected", c->path, t->name,
                     (unsigned)n_dims, GGUF_MAX_DIMS);
  }
  t->n_dims = (int)n_dims;
  t->n_elements = 1;
  for (int d = 0; d < t->n_dims; d++) {
    uint64_t size;
    ELLM_TRY(gguf_take_u64(c, "a tensor's dimensions", &size, err));
    if (size == 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: dimension %d is 0", c->path, t->name, d);
    if (!ellm_mul_u64(t->n_elements, size, &t->n_elements)) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: the number of elements overflows at dimension %d, %llu",
                       c->path, t->name, d, (unsigned long long)size);
    }
    t->shape[t->n_dims - 1 - d] = size;
  }
  return ELLM_OK;
}

/* The type, and the bytes that follow from it. */
static ellm_status read_type(gguf_cursor *c, gguf_tensor *t, ellm_error *err) {
  uint32_t number;
  ELLM_TRY(gguf_take_u32(c, "a tensor's type", &number, err));
  const gguf_type_facts *type = gguf_type_find(number);
  if (type == NULL) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element type %u is not known", c->path, t->name,
                     (unsigned)number);
  }
  if (type->elements == 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: element type %u (%s) was removed from the format", c->path,
                     t->name, (unsigned)number, type->name);
  }
  const uint64_t columns = t->shape[t->n_dims - 1];
  if (columns % type->elements != 0) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: rows of %llu elements are not whole blocks of %u (%s)",
                     c->path, t->name, (unsigned long long)columns, (unsigned)type->elements, type->name);
  }
  if (!ellm_mul_u64(t->n_elements / type->elements, type->bytes, &t->bytes)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: the bytes of %llu elements of %s overflow", c->path, t->name,
                     (unsigned long long)t->n_elements, type->name);
  }
  t->type = (gguf_type)number;
  return ELLM_OK;
}

typedef struct extent { uint64_t offset; const gguf_tensor *tensor; } extent;

static int by_offset(const void *a, const void *b) {
  const extent *x = a, *y = b;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Extents are within the data. */
static ellm_status check_overlaps(extent *extents, size_t n, const char *path, ellm_error *err) {
  qsort(extents, n, sizeof *extents, by_offset);
  for (size_t i = 1; i < n; i++) {
    const extent *before = &extents[i - 1], *at = &extents[i];
    if (before->offset + before->tensor->bytes <= at->offset) continue;
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensors %s and %s overlap at offset %llu of the data", path,
                     before->tensor->name, at->tensor->name, (unsigned long long)at->offset);
  }
  return ELLM_OK;
}

/* Where the data begins; behind the file's end where there is none. */
static uint64_t data_begin(const gguf_cursor *c, uint32_t alignment) {
  const uint64_t rest = c->at % alignment;
  return rest == 0 ? c->at : c->at + (alignment - rest); /* no overflow: a file ends far below 2^64 */
}

static ellm_status place(const gguf_cursor *c, uint32_t alignment, size_t n, gguf_tensor *tensors, extent *extents,
                         ellm_error *err) {
  const uint64_t begin = data_begin(c, alignment), data_bytes = begin < c->size ? c->size - begin : 0;
  for (size_t i = 0; i < n; i++) {
    gguf_tensor *t = &tensors[i];
    const uint64_t offset = extents[i].offset;
    if (offset % alignment != 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: offset %llu is not a multiple of the alignment %u", c->path,
                       t->name, (unsigned long long)offset, (unsigned)alignment);
    }
    if (offset > data_bytes || t->bytes > data_bytes - offset) {
      return ellm_fail(err, ELLM_ERR_INPUT,
                       "%s: tensor %s: %llu bytes at offset %llu are not within the data of %llu (is the file whole?)",
                       c->path, t->name, (unsigned long long)t->bytes, (unsigned long long)offset,
                       (unsigned long long)data_bytes);
    }
    t->data = c->data + begin + offset;
  }
  return check_overlaps(extents, n, c->path, err);
}

static ellm_status read_tensors(gguf_cursor *c, uint32_t alignment, size_t n, gguf_tensor *out, extent *extents,
                                ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    out[i] = (gguf_tensor){.path = c->path};
    ELLM_TRY(read_name(c, i, &out[i], err));
    ELLM_TRY(read_shape(c, &out[i], err));
    ELLM_TRY(read_type(c, &out[i], err));
    ELLM_TRY(gguf_take_u64(c, "a tensor's offset", &extents[i].offset, err));
    extents[i].tensor = &out[i];
  }
  return place(c, alignment, n, out, extents, err);
}

ellm_status gguf_tensors_read(gguf_cursor *c, uint32_t alignment, size_t n_tensors, gguf_tensor *out, ellm_error *err) {
  extent *extents = calloc(n_tensors + 1, sizeof *extents);
  if (extents == NULL) return ellm_fail_memory(err, n_tensors * sizeof *extents, "tensor descriptions");
  const ellm_status status = read_tensors(c, alignment, n_tensors, out, extents, err);
  free(extents);
  return status;
}
