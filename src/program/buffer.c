/* SPDX-License-Identifier: Apache-2.0 */
#include "program/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 256, LINE = 512 }; /* bytes: of a buffer; of what is printed most often */

bool prog_reserve(prog_buffer *buffer, size_t more) {
  if (buffer->failed || more >= SIZE_MAX - buffer->bytes) return !(buffer->failed = true);
  const size_t wanted = buffer->bytes + more + 1;
  if (wanted <= buffer->room) return true;
  size_t room = buffer->room > SIZE_MAX / 2 ? wanted : 2 * buffer->room;
  if (room < wanted) room = wanted;
  if (room < LEAST) room = LEAST;
  char *data = realloc(buffer->data, room);
  if (data == NULL) return !(buffer->failed = true);
  buffer->data = data;
  buffer->room = room;
  return true;
}

bool prog_append(prog_buffer *buffer, const void *data, size_t bytes) {
  if (!prog_reserve(buffer, bytes)) return false;
  if (bytes != 0) memcpy(buffer->data + buffer->bytes, data, bytes);
  buffer->bytes += bytes;
  buffer->data[buffer->bytes] = '\0';
  return true;
}

bool prog_print(prog_buffer *buffer, const char *format, ...) {
  char line[LINE];
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  bool good = length >= 0;
  if (!good) buffer->failed = true;
  else if ((size_t)length < sizeof line) good = prog_append(buffer, line, (size_t)length);
  else if ((good = prog_reserve(buffer, (size_t)length))) {
    vsnprintf(buffer->data + buffer->bytes, (size_t)length + 1, format, again);
    buffer->bytes += (size_t)length;
  }
  va_end(again);
  return good;
}

void prog_buffer_clear(prog_buffer *buffer) {
  buffer->bytes = 0;
  buffer->failed = false;
}

void prog_buffer_free(prog_buffer *buffer) {
  free(buffer->data);
  *buffer = (prog_buffer){0};
}
