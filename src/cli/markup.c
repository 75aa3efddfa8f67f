/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/markup.h"

#include <string.h>

#include "cli/utf8.h"

bool cli_add_escaped(cli_buffer *buffer, const char *text) {
  bool good = true;
  if (!cli_valid_utf8(text, strlen(text))) text = "?";
  for (; good && *text; text++) {
    switch (*text) {
      case '<': good = cli_add(buffer, "&lt;"); break;
      case '>': good = cli_add(buffer, "&gt;"); break;
      case '&': good = cli_add(buffer, "&amp;"); break;
      case '"': good = cli_add(buffer, "&quot;"); break;
      case '\'': good = cli_add(buffer, "&#39;"); break;
      default: good = cli_buffer_append(buffer, (unsigned char)*text < 32 ? "?" : text, 1);
    }
  }
  return good;
}
