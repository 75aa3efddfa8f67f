/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_buffer_reserve(cli_buffer *buffer, size_t extra) {
  if (extra > SIZE_MAX - buffer->size) return false;
  const size_t wanted = buffer->size + extra;
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

bool cli_buffer_append(cli_buffer *buffer, const void *data, size_t bytes) {
  if (!cli_buffer_reserve(buffer, bytes)) return false;
  if (bytes != 0) memcpy(buffer->data + buffer->size, data, bytes);
  buffer->size += bytes;
  return true;
}

bool cli_add(cli_buffer *buffer, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  const bool good = length >= 0 && cli_buffer_reserve(buffer, (size_t)length + 1);
  if (good) {
    vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, again);
    buffer->size += (size_t)length;
  }
  va_end(again);
  return good;
}

void cli_buffer_free(cli_buffer *buffer) {
  free(buffer->data);
  *buffer = (cli_buffer){0};
}
