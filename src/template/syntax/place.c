/* SPDX-License-Identifier: Apache-2.0 */
#include "template/syntax/place.h"

#include <stdarg.h>
#include <stdio.h>

ellm_status tpl_syntax_error(const char *origin, uint32_t line, uint32_t column, ellm_error *err, const char *format,
                             ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: chat template: line %u column %u: %s", origin, (unsigned)line,
                   (unsigned)column, text);
}
