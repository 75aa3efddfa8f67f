/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notes.h"

#include <stdarg.h>
#include <stdio.h>

void ellm_note(const ellm_notes *notes, const char *format, ...) {
  if (notes == NULL || notes->take == NULL) return;
  char text[1024];
  ellm_error line; /* for its rules of what is printable */
  va_list arguments;
  va_start(arguments, format);
  if (vsnprintf(text, sizeof text, format, arguments) < 0) text[0] = '\0';
  va_end(arguments);
  ellm_error_set(&line, ELLM_OK, "%s", text);
  notes->take(notes->user, line.message);
}
