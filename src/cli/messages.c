/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/messages.h"

#include <stdarg.h>
#include <stdio.h>

static bool quiet_mode;

void cli_set_quiet(bool quiet) { quiet_mode = quiet; }
bool cli_quiet(void) { return quiet_mode; }

/* One line; what the user typed may hold anything, so it is made printable. */
static void message(const char *before, const char *format, va_list arguments) {
  char text[1024];
  ellm_error line;
  vsnprintf(text, sizeof text, format, arguments);
  prog_failure(&line, ELLM_ERR_INTERNAL, "%s", text);
  fprintf(stderr, "entrollm: %s%s\n", before, line.message);
}

int cli_error(ellm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  message("", format, arguments);
  va_end(arguments);
  return (int)status;
}

int cli_fail(const ellm_error *err) {
  if (err->status == ELLM_INTERRUPTED) return cli_error(ELLM_INTERRUPTED, "interrupted");
  if (err->status == ELLM_ERR_EXISTS) return cli_error(err->status, "%s (use --force to replace it)", err->message);
  return cli_error(err->status, "%s", err->message);
}

void cli_note(const char *format, ...) {
  if (quiet_mode) return;
  va_list arguments;
  va_start(arguments, format);
  message("note: ", format, arguments);
  va_end(arguments);
}

static void take_note(void *user, const char *line) {
  (void)user;
  cli_note("%s", line);
}

const ellm_notes cli_notes = {.take = take_note};
