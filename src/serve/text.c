/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "serve/text.h"

#include <string.h>

#include "program/utf8.h"

void text_json(prog_buffer *out, const char *string, size_t bytes) {
  size_t plain = 0, length; /* plain: bytes before `i` that are copied as they are */
  prog_append(out, "\"", 1);
  for (size_t i = 0; i < bytes; i += length) {
    uint32_t cp;
    const bool good = prog_utf8_next(string + i, bytes - i, &cp, &length) == PROG_UTF8_CHARACTER;
    if (good && cp >= 0x20 && cp != '"' && cp != '\\' && cp != 0x7f) {
      plain += length;
      continue;
    }
    prog_append(out, string + i - plain, plain);
    plain = 0;
    if (!good) prog_append(out, "\xef\xbf\xbd", 3);
    else if (cp == '\n') prog_append(out, "\\n", 2);
    else if (cp == '"' || cp == '\\') prog_print(out, "\\%c", (int)cp);
    else prog_print(out, "\\u%04x", (unsigned)cp);
  }
  prog_append(out, string + bytes - plain, plain);
  prog_append(out, "\"", 1);
}

void text_json_or_null(prog_buffer *out, const char *string) {
  if (string) text_json(out, string, strlen(string));
  else prog_append(out, "null", 4);
}
