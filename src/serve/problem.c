/* SPDX-License-Identifier: Apache-2.0 */
/* See problem.h. */
#include "serve/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "serve/text.h"

bool problem_set(problem *p, int status, const char *param, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(p->message, sizeof p->message, format, arguments);
  va_end(arguments);
  for (char *c = p->message; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?'; /* what a client has sent may hold anything */
  p->status = status;
  p->code = NULL;
  snprintf(p->param, sizeof p->param, "%s", param ? param : "");
  return false;
}

bool problem_of(problem *p, const char *param, const ellm_error *err) {
  const bool own = err->status == ELLM_ERR_INPUT || err->status == ELLM_ERR_USAGE;
  return problem_set(p, own ? 400 : 500, own ? param : NULL, "%s", err->message);
}

bool problem_memory(problem *p) { return problem_set(p, 503, NULL, "out of memory"); }

static const char *type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

void problem_json(const problem *p, prog_buffer *out) {
  prog_print(out, "{\"error\":{\"message\":");
  text_json_or_null(out, p->message);
  prog_print(out, ",\"type\":\"%s\",\"param\":", type_of(p->status));
  text_json_or_null(out, *p->param ? p->param : NULL);
  prog_print(out, ",\"code\":");
  text_json_or_null(out, p->code);
  prog_print(out, "}}");
}
