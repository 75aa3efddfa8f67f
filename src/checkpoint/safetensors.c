/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The safetensors format (huggingface.co/docs/safetensors): 8 bytes of header
 * length, a JSON object, the data. Nothing of a size that the header names is
 * allocated; the tensors are bounded by the header's own length.
 */
#include "checkpoint/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "json/json.h"

ellm_status safetensors_header_bytes(const uint8_t first[8], uint64_t file_bytes, const char *path, size_t *bytes,
                                     ellm_error *err) {
  const uint64_t n = load_u64(first);
  if (n > SAFETENSORS_MAX_HEADER) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: header length %llu is beyond the format's limit of %d", path,
                     (unsigned long long)n, SAFETENSORS_MAX_HEADER);
  }
  if (file_bytes < 8 || n > file_bytes - 8) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: header length %llu is beyond the end of the file (%llu bytes)", path,
                     (unsigned long long)n, (unsigned long long)file_bytes);
  }
  if (n < 2) return ellm_fail(err, ELLM_ERR_INPUT, "%s: header length %llu is too small", path, (unsigned long long)n);
  *bytes = (size_t)n;
  return ELLM_OK;
}

static ellm_status parse_dtype(const char *name, const char *path, const char *tensor, ellm_dtype *dtype,
                               ellm_error *err) {
  for (int d = 0; ellm_dtype_size((ellm_dtype)d) != 0; d++) {
    if (strcmp(name, ellm_dtype_name((ellm_dtype)d)) == 0) {
      *dtype = (ellm_dtype)d;
      return ELLM_OK;
    }
  }
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: dtype %s is not known", path, tensor, name);
}

static ellm_status wrong(const json_t *value, const char *field, const char *path, const char *tensor,
                         const char *wanted, ellm_error *err) {
  char text[80];
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %s is %s, %s is expected", path, tensor, field,
                   json_brief(value, text), wanted);
}

/* Shape and byte count; the byte count also bounds what the shape may claim. */
static ellm_status parse_shape(const json_t *shape, const char *path, checkpoint_tensor *t, ellm_error *err) {
  if (!json_is_array(shape)) return wrong(shape, "shape", path, t->name, "a list", err);
  if (json_array_size(shape) > ELLM_MAX_DIMS) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: shape has %zu dimensions, at most %d are supported", path,
                     t->name, json_array_size(shape), ELLM_MAX_DIMS);
  }
  t->n_dims = (int)json_array_size(shape);
  t->n_elements = 1;
  for (int d = 0; d < t->n_dims; d++) {
    const json_t *size = json_array_get(shape, (size_t)d);
    if (!json_is_integer(size) || json_integer_value(size) < 0) {
      char field[24];
      snprintf(field, sizeof field, "shape[%d]", d);
      return wrong(size, field, path, t->name, "an integer of at least 0", err);
    }
    t->shape[d] = (uint64_t)json_integer_value(size);
    if (!ellm_mul_u64(t->n_elements, t->shape[d], &t->n_elements)) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: shape overflows at shape[%d] = %llu", path, t->name, d,
                       (unsigned long long)t->shape[d]);
    }
  }
  if (!ellm_mul_u64(t->n_elements, ellm_dtype_size(t->dtype), &t->bytes)) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: %llu elements of %s overflow", path, t->name,
                     (unsigned long long)t->n_elements, ellm_dtype_name(t->dtype));
  }
  return ELLM_OK;
}

static ellm_status parse_offsets(const json_t *offsets, const char *path, uint64_t data_bytes, checkpoint_tensor *t,
                                 ellm_error *err) {
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
      !json_is_integer(json_array_get(offsets, 1))) {
    return wrong(offsets, "data_offsets", path, t->name, "a pair of integers", err);
  }
  const json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
                   end = json_integer_value(json_array_get(offsets, 1));
  if (begin < 0 || end < begin || (uint64_t)end > data_bytes) {
    return ellm_fail(err, ELLM_ERR_INPUT,
                     "%s: tensor %s: data_offsets [%lld, %lld] are not within the data of %llu bytes (is the file "
                     "whole?)", path,
                     t->name, (long long)begin, (long long)end, (unsigned long long)data_bytes);
  }
  if ((uint64_t)(end - begin) != t->bytes) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: data_offsets span %lld bytes, shape and dtype %s want %llu",
                     path, t->name, (long long)(end - begin), ellm_dtype_name(t->dtype), (unsigned long long)t->bytes);
  }
  t->offset = (uint64_t)begin;
  return ELLM_OK;
}

static ellm_status parse_tensor(const char *name, size_t name_bytes, const json_t *entry, const char *path,
                                uint64_t data_bytes, checkpoint_tensor *t, ellm_error *err) {
  if (name_bytes == 0 || strlen(name) != name_bytes)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor name \"%s\" is empty or contains NUL", path, name);
  if (!json_is_object(entry))
    return wrong(entry, "the entry", path, name, "an object", err);
  char *copy = strdup(name);
  if (copy == NULL) return ellm_fail_memory(err, name_bytes + 1, "a tensor name");
  t->name = copy;
  const char *field;
  json_t *value;
  json_object_foreach((json_t *)entry, field, value) {
    if (strcmp(field, "dtype") != 0 && strcmp(field, "shape") != 0 && strcmp(field, "data_offsets") != 0) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: field %s is not known", path, name, field);
    }
  }
  const json_t *dtype = json_object_get(entry, "dtype");
  if (!json_is_string(dtype) || strlen(json_string_value(dtype)) != json_string_length(dtype))
    return wrong(dtype, "dtype", path, name, "a string", err);
  ELLM_TRY(parse_dtype(json_string_value(dtype), path, name, &t->dtype, err));
  ELLM_TRY(parse_shape(json_object_get(entry, "shape"), path, t, err));
  return parse_offsets(json_object_get(entry, "data_offsets"), path, data_bytes, t, err);
}

static ellm_status parse_metadata(const json_t *entry, const char *path, safetensors_header *header, ellm_error *err) {
  if (!json_is_object(entry)) return json_wrong(entry, "__metadata__", path, "an object", err);
  const char *field;
  json_t *value;
  json_object_foreach((json_t *)entry, field, value) {
    char text[80];
    if (!json_is_string(value))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: __metadata__.%s is %s, a string is expected", path, field,
                       json_brief(value, text));
  }
  header->metadata = json_text(entry, JSON_COMPACT);
  return header->metadata != NULL ? ELLM_OK : ellm_fail_memory(err, 0, "__metadata__");
}

static int by_offset(const void *a, const void *b) {
  const checkpoint_tensor *x = a, *y = b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty tensors before the one that starts there */
  return strcmp(x->name, y->name);
}

static ellm_status check_cover(const safetensors_header *header, uint64_t data_bytes, const char *path,
                               ellm_error *err) {
  uint64_t at = 0;
  for (size_t i = 0; i < header->n_tensors; i++) {
    const checkpoint_tensor *t = &header->tensors[i];
    if (t->offset != at) {
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: data_offsets begin at %llu, %s; %llu is expected", path,
                       t->name, (unsigned long long)t->offset,
                       t->offset < at ? "overlapping another tensor" : "leaving a hole", (unsigned long long)at);
    }
    at += t->bytes;
  }
  if (at != data_bytes) {
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the tensors cover %llu of %llu bytes of data", path,
                     (unsigned long long)at, (unsigned long long)data_bytes);
  }
  return ELLM_OK;
}

static ellm_status parse_entries(json_t *root, uint64_t data_bytes, const char *path, safetensors_header *header,
                                 ellm_error *err) {
  if (!json_is_object(root)) return ellm_fail(err, ELLM_ERR_INPUT, "%s: the header is not a JSON object", path);
  const size_t n = json_object_size(root);
  header->tensors = calloc(n + 1, sizeof *header->tensors);
  if (header->tensors == NULL) return ellm_fail_memory(err, n * sizeof *header->tensors, "tensor records");
  for (void *i = json_object_iter(root); i != NULL; i = json_object_iter_next(root, i)) {
    const char *name = json_object_iter_key(i);
    const json_t *entry = json_object_iter_value(i);
    if (strcmp(name, "__metadata__") == 0) {
      ELLM_TRY(parse_metadata(entry, path, header, err));
    } else {
      ELLM_TRY(parse_tensor(name, strlen(name), entry, path, data_bytes, &header->tensors[header->n_tensors++], err));
    }
  }
  qsort(header->tensors, header->n_tensors, sizeof *header->tensors, by_offset);
  return check_cover(header, data_bytes, path, err);
}

ellm_status safetensors_parse(const char *json, size_t bytes, uint64_t file_bytes, const char *path,
                              safetensors_header *header, ellm_error *err) {
  *header = (safetensors_header){0};
  if (bytes == 0 || json[0] != '{')
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the header does not begin with '{'", path);
  json_t *root;
  ELLM_TRY(json_parse(json, bytes, path, &root, err));
  const uint64_t data_bytes = file_bytes - 8 - bytes; /* safetensors_header_bytes has checked this */
  const ellm_status status = parse_entries(root, data_bytes, path, header, err);
  json_decref(root);
  if (status != ELLM_OK) safetensors_free(header);
  return status;
}

void safetensors_free(safetensors_header *header) {
  for (size_t i = 0; i < header->n_tensors; i++) free((char *)header->tensors[i].name);
  free(header->tensors);
  free(header->metadata);
  *header = (safetensors_header){0};
}
