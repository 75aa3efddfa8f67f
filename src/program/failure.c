/* SPDX-License-Identifier: Apache-2.0 */
/* One printable line: what users typed and files hold may be anything. */
#include "program/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "program/utf8.h"

/* Control characters, line separators and marks that reorder text are not. */
static bool printable(uint32_t cp) {
  return cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0) && !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2066 && cp <= 0x2069);
}

void prog_set_error(ellm_error *err, ellm_status status, const char *format, ...) {
  char text[2 * sizeof err->message];
  va_list arguments;
  if (err == NULL) return;
  va_start(arguments, format);
  const int formatted = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const size_t bytes = formatted < 0 ? 0 : strlen(text);
  size_t out = 0;
  for (size_t in = 0, length; in < bytes; in += length) {
    uint32_t cp;
    const bool good = prog_utf8_next(text + in, bytes - in, &cp, &length) == PROG_UTF8_CHARACTER && printable(cp);
    if (out + (good ? length : 1) >= sizeof err->message) break;
    memcpy(err->message + out, good ? text + in : "?", good ? length : 1);
    out += good ? length : 1;
  }
  err->message[out] = '\0';
  err->status = status;
}

void prog_set_error_errno(ellm_error *err, int code, const char *what, const char *file) {
  char reason[128];
  if (strerror_r(code, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", code);
  prog_set_error(err, ELLM_ERR_IO, "cannot %s %s: %s", what, file[0] != '\0' ? file : "a file without a name", reason);
}
