/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: limits and errors of a rendering. */
#include "template/value/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tpl_fail(tpl_limits *limits, const char *format, ...) {
  char text[400];
  va_list arguments;
  if (limits->status != ELLM_OK) return false; /* the first one counts */
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const uint32_t line = limits->at ? limits->at->line : 1, column = limits->at ? limits->at->column : 1;
  limits->status = tpl_syntax_error(limits->origin, line, column, limits->err, "%s", text);
  return false;
}

bool tpl_no_memory(tpl_limits *limits, size_t bytes) {
  if (limits->arena.limited)
    return tpl_fail(limits, "more than %d bytes of values are needed", CHAT_TEMPLATE_MAX_MEMORY);
  if (limits->status == ELLM_OK) limits->status = ellm_fail_memory(limits->err, bytes, "rendering a chat template");
  return false;
}

bool tpl_charge(tpl_limits *limits, size_t n) {
  if (n <= limits->steps_left) {
    limits->steps_left -= n;
    return true;
  }
  return tpl_fail(limits, "more steps are needed than allowed");
}

bool tpl_deeper(tpl_limits *limits) {
  if (limits->depth >= CHAT_TEMPLATE_MAX_DEPTH)
    return tpl_fail(limits, "nested more than %d deep", CHAT_TEMPLATE_MAX_DEPTH);
  limits->depth++;
  return true;
}

void *tpl_alloc(tpl_limits *limits, size_t bytes) {
  void *memory = tpl_arena_alloc(&limits->arena, bytes);
  if (!memory) tpl_no_memory(limits, bytes);
  return memory;
}

void *tpl_alloc_array(tpl_limits *limits, size_t count, size_t size) {
  size_t bytes;
  if (!ellm_mul_size(count, size, &bytes)) {
    limits->arena.limited = true;
    tpl_no_memory(limits, SIZE_MAX);
    return NULL;
  }
  return tpl_alloc(limits, bytes);
}
