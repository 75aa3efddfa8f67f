/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of chat share: the messages of a conversation, and what the program itself has to say. */
#include "cli/chat_messages.h"

#include <stdarg.h>
#include <string.h>

static void say(const chat *c, const char *format, va_list arguments) {
  if (c->color) fputs("\33[2m", stderr);
  vfprintf(stderr, format, arguments);
  fputs(c->color ? "\33[0m\n" : "\n", stderr);
}

void chat_say(const chat *c, const char *format, ...) {
  va_list arguments;
  if (cli_quiet()) return;
  va_start(arguments, format);
  say(c, format, arguments);
  va_end(arguments);
}

void chat_fail(chat *c, const ellm_error *err) {
  const int status = cli_fail(err);
  if (!c->terminal && c->status == ELLM_OK) c->status = status;
}

void chat_complain(chat *c, ellm_status status, const char *format, ...) {
  ellm_error err;
  char text[480];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  prog_failure(&err, status, "%s", text);
  chat_fail(c, &err);
}

const char *chat_role(const chat *c, size_t i) {
  const char *role = json_string_value(json_object_get(json_array_get(c->messages, i), "role"));
  return role ? role : "";
}

size_t chat_head(const chat *c) {
  size_t n = 0;
  while (strcmp(chat_role(c, n), "system") == 0) n++;
  return n;
}

bool chat_append(chat *c, const char *role, const char *text, size_t bytes) {
  json_t *message = json_pack("{s:s, s:o}", "role", role, "content", cli_json_text(text, bytes));
  if (message && json_array_append_new(c->messages, message) == 0) return true;
  chat_complain(c, ELLM_ERR_IO, "out of memory for a message");
  return false;
}
