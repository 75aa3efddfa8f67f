/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files in memory, field by field, so that each field can lie. Zero-initialize; free with ellm_buffer_free. */
#ifndef TESTS_GGUF_BUILDER_H
#define TESTS_GGUF_BUILDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "gguf/gguf.h"

static inline void put(ellm_buffer *b, const void *data, size_t bytes) { assert_true(ellm_buffer_append(b, data,
                                                                                                        bytes)); }

static inline void put_u8(ellm_buffer *b, uint8_t value) { put(b, &value, 1); }

static inline void put_u32(ellm_buffer *b, uint32_t value) {
  uint8_t bytes[4];
  store_u32(bytes, value);
  put(b, bytes, 4);
}

static inline void put_u64(ellm_buffer *b, uint64_t value) {
  uint8_t bytes[8];
  store_u64(bytes, value);
  put(b, bytes, 8);
}

static inline void put_string(ellm_buffer *b, const char *text) {
  put_u64(b, strlen(text));
  put(b, text, strlen(text));
}

static inline void put_header(ellm_buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
  put(b, "GGUF", 4);
  put_u32(b, version);
  put_u64(b, n_tensors);
  put_u64(b, n_keys);
}

/* The beginning of a value; it follows. */
static inline void put_key(ellm_buffer *b, const char *key, uint32_t type) {
  put_string(b, key);
  put_u32(b, type);
}

static inline void put_integer(ellm_buffer *b, const char *key, uint32_t value) {
  put_key(b, key, GGUF_VALUE_U32);
  put_u32(b, value);
}

/* The beginning of an array; n elements follow. */
static inline void put_array(ellm_buffer *b, const char *key, uint32_t element, uint64_t n) {
  put_key(b, key, GGUF_VALUE_ARRAY);
  put_u32(b, element);
  put_u64(b, n);
}

/* A description with two dimensions, columns first as in files. */
static inline void put_tensor(ellm_buffer *b, const char *name, uint64_t columns, uint64_t rows, uint32_t type,
                              uint64_t offset) {
  put_string(b, name);
  put_u32(b, 2);
  put_u64(b, columns);
  put_u64(b, rows);
  put_u32(b, type);
  put_u64(b, offset);
}

/* Zeros up to the next multiple of `alignment`, then `bytes` more of them. */
static inline void put_data(ellm_buffer *b, size_t alignment, size_t bytes) {
  while (b->size % alignment != 0) put_u8(b, 0);
  for (size_t i = 0; i < bytes; i++) put_u8(b, 0);
}

/* Open a copy that has exactly the file's size, so that reading past it is seen; the caller frees *copy. */
static inline ellm_status open_copy(const ellm_buffer *b, uint8_t **copy, gguf_file **file, ellm_error *err) {
  *copy = malloc(b->size > 0 ? b->size : 1);
  assert_non_null(*copy);
  if (b->size > 0) memcpy(*copy, b->data, b->size);
  return gguf_open_memory(*copy, b->size, "f.gguf", file, err);
}

/* Is refused with a message that has `part` in it; frees the buffer. */
static inline void refused(ellm_buffer *b, const char *part) {
  gguf_file *file;
  uint8_t *copy;
  ellm_error err = {0};
  if (open_copy(b, &copy, &file, &err) != ELLM_ERR_INPUT) fail_msg("not refused; wanted: %s", part);
  if (strncmp(err.message, "f.gguf: ", 8) != 0 || strstr(err.message, part) == NULL)
    fail_msg("message: %s\nwanted:  %s", err.message, part);
  assert_null(file);
  free(copy);
  ellm_buffer_free(b);
}

#endif
