/* SPDX-License-Identifier: Apache-2.0 */
/* One-line error messages: formatted, made printable, cut on a character boundary. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at s (NUL-terminated), 0 if there is none. */
static size_t utf8_length(const unsigned char *s) {
  size_t n;
  unsigned low = 0x80, high = 0xbf;
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xc2 && s[0] <= 0xdf) {
    n = 2;
  } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
    n = 3;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
  } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
    n = 4;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < n; i++) {
    if (s[i] < 0x80 || s[i] > 0xbf) return 0;
  }
  return n;
}

/* Control characters (C1 too: terminals obey some), line separators and marks that reorder text are not. */
static bool printable(const unsigned char *s, size_t length) {
  if (length == 0) return false;
  if (length == 1) return s[0] >= 0x20 && s[0] != 0x7f;
  if (length == 2) return !(s[0] == 0xc2 && s[1] < 0xa0);
  if (length == 3 && s[0] == 0xe2 && s[1] == 0x80) return !(s[2] >= 0xa8 && s[2] <= 0xae); /* U+2028..202E */
  if (length == 3 && s[0] == 0xe2 && s[1] == 0x81) return !(s[2] >= 0xa6 && s[2] <= 0xa9); /* U+2066..2069 */
  return true;
}

void ellm_error_set(ellm_error *err, ellm_status status, const char *format, ...) {
  if (err == NULL) return;
  char text[2 * sizeof err->message];
  va_list arguments;
  va_start(arguments, format);
  const int formatted = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (formatted < 0) text[0] = '\0';
  err->status = status;
  size_t out = 0;
  for (size_t in = 0; text[in] != '\0';) {
    const unsigned char *from = (const unsigned char *)text + in;
    const size_t length = utf8_length(from), taken = length > 0 ? length : 1;
    const bool kept = printable(from, length);
    if (out + (kept ? taken : 1) >= sizeof err->message) break;
    if (kept) {
      memcpy(err->message + out, from, taken);
      out += taken;
    } else {
      err->message[out++] = '?';
    }
    in += taken;
  }
  err->message[out] = '\0';
}

void ellm_error_set_errno(ellm_error *err, int code, const char *what, const char *file) {
  char reason[128];
  if (strerror_r(code, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", code);
  ellm_error_set(err, ELLM_ERR_IO, "cannot %s %s: %s", what, file[0] != '\0' ? file : "a file without a name", reason);
}

void ellm_error_set_memory(ellm_error *err, size_t bytes, const char *what) {
  ellm_error_set(err, ELLM_ERR_IO, "out of memory (%zu bytes for %s)", bytes, what);
}
