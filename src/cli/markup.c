/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/markup.h"

#include <string.h>

#include "program/utf8.h"

bool cli_add_escaped(prog_buffer *buffer, const char *text) {
  bool good = true;
  if (!prog_valid_utf8(text, strlen(text))) text = "?";
  for (; good && *text; text++) {
    switch (*text) {
      case '<': good = prog_print(buffer, "&lt;"); break;
      case '>': good = prog_print(buffer, "&gt;"); break;
      case '&': good = prog_print(buffer, "&amp;"); break;
      case '"': good = prog_print(buffer, "&quot;"); break;
      case '\'': good = prog_print(buffer, "&#39;"); break;
      default: good = prog_append(buffer, (unsigned char)*text < 32 ? "?" : text, 1);
    }
  }
  return good;
}
