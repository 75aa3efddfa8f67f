/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "serve/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(text *t, size_t more) {
  if (t->failed || more > (size_t)-1 / 4 - t->bytes) return !(t->failed = true);
  if (t->room > t->bytes + more) return true;
  size_t room = t->room > 0 ? t->room : 256;
  while (room <= t->bytes + more) room *= 2;
  char *data = realloc(t->data, room);
  if (!data) return !(t->failed = true);
  t->data = data;
  t->room = room;
  return true;
}

void text_add(text *t, const void *data, size_t bytes) {
  if (!reserve(t, bytes)) return;
  if (bytes > 0) memcpy(t->data + t->bytes, data, bytes);
  t->bytes += bytes;
  t->data[t->bytes] = '\0';
}

void text_print(text *t, const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (n > 0) text_add(t, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* Bytes of the character that s[n] begins with; 0: it is no UTF-8. */
static size_t character(const unsigned char *s, size_t n) {
  const unsigned char c = s[0];
  if (c < 0x80) return 1;
  const size_t length = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (length == 0 || length > n) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f)) return 0;
  if ((c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
  return length;
}

void text_json(text *t, const char *string, size_t bytes) {
  const unsigned char *s = (const unsigned char *)string;
  size_t plain = 0; /* bytes before `i` that are copied as they are */
  text_add(t, "\"", 1);
  for (size_t i = 0; i < bytes;) {
    const size_t length = character(s + i, bytes - i);
    const bool as_it_is = length > 0 && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] != 0x7f;
    if (as_it_is) {
      i += length;
      plain += length;
      continue;
    }
    text_add(t, s + i - plain, plain);
    plain = 0;
    if (length == 0) text_add(t, "\xef\xbf\xbd", 3);
    else if (s[i] == '\n') text_add(t, "\\n", 2);
    else if (s[i] == '"' || s[i] == '\\') text_print(t, "\\%c", s[i]);
    else text_print(t, "\\u%04x", s[i]);
    i += length > 0 ? length : 1;
  }
  text_add(t, s + bytes - plain, plain);
  text_add(t, "\"", 1);
}

void text_json_or_null(text *t, const char *string) {
  if (string) text_json(t, string, strlen(string));
  else text_add(t, "null", 4);
}

void text_free(text *t) {
  free(t->data);
  *t = (text){0};
}
