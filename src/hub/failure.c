/* SPDX-License-Identifier: Apache-2.0 */
/* See failure.h. */
#include "hub/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hub_set_error(ellm_error *err, ellm_status status, const char *format, ...) {
  va_list arguments;
  if (err == NULL) return;
  va_start(arguments, format);
  if (vsnprintf(err->message, sizeof err->message, format, arguments) < 0) err->message[0] = '\0';
  va_end(arguments);
  for (char *c = err->message; *c != '\0'; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
  err->status = status;
}

void hub_set_error_errno(ellm_error *err, int code, const char *what, const char *file) {
  char reason[128];
  if (strerror_r(code, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", code);
  hub_set_error(err, ELLM_ERR_IO, "cannot %s %s: %s", what, file, reason);
}
