/* SPDX-License-Identifier: Apache-2.0 */
/* Checked sizes and aligned memory. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ellm_mul_size(size_t a, size_t b, size_t *out) {
  if (a != 0 && b > SIZE_MAX / a) return false;
  *out = a * b;
  return true;
}

bool ellm_add_size(size_t a, size_t b, size_t *out) {
  if (b > SIZE_MAX - a) return false;
  *out = a + b;
  return true;
}

bool ellm_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
  if (a != 0 && b > UINT64_MAX / a) return false;
  *out = a * b;
  return true;
}

bool ellm_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
  if (b > UINT64_MAX - a) return false;
  *out = a + b;
  return true;
}

/*
 * From calloc, whose pages of a large request are zero without being touched: a
 * KV cache then takes memory only as it fills. What calloc gave is before
 * the aligned address.
 */
void *ellm_aligned_calloc(size_t count, size_t size) {
  size_t bytes;
  if (!ellm_mul_size(count, size, &bytes) || !ellm_add_size(bytes, 64 + 64, &bytes)) return NULL;
  uint8_t *memory = calloc(1, bytes);
  if (memory == NULL) return NULL;
  /* 8 to 64 bytes forward, as malloc aligns to 8 at least: room for the pointer before, 64 readable bytes behind */
  uint8_t *aligned = memory + (64 - (uintptr_t)memory % 64);
  memcpy(aligned - sizeof memory, &memory, sizeof memory);
  return aligned;
}

void ellm_aligned_free(void *memory) {
  if (memory == NULL) return;
  uint8_t *start;
  memcpy(&start, (uint8_t *)memory - sizeof start, sizeof start);
  free(start);
}

bool ellm_buffer_reserve(ellm_buffer *buffer, size_t extra) {
  size_t wanted;
  if (!ellm_add_size(buffer->size, extra, &wanted)) return false;
  if (wanted <= buffer->capacity) return true;
  size_t capacity = buffer->capacity > SIZE_MAX / 2 ? wanted : 2 * buffer->capacity;
  if (capacity < wanted) capacity = wanted;
  if (capacity < 256) capacity = 256;
  uint8_t *data = realloc(buffer->data, capacity);
  if (data == NULL) return false;
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool ellm_buffer_append(ellm_buffer *buffer, const void *data, size_t bytes) {
  if (!ellm_buffer_reserve(buffer, bytes)) return false;
  if (bytes != 0) memcpy(buffer->data + buffer->size, data, bytes);
  buffer->size += bytes;
  return true;
}

bool ellm_buffer_print(ellm_buffer *buffer, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(NULL, 0, format, arguments);
  const bool fits = length >= 0 && ellm_buffer_reserve(buffer, (size_t)length + 1);
  if (fits) {
    vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, again);
    buffer->size += (size_t)length;
  }
  va_end(again);
  va_end(arguments);
  return fits;
}

void ellm_buffer_free(ellm_buffer *buffer) {
  free(buffer->data);
  *buffer = (ellm_buffer){0};
}
