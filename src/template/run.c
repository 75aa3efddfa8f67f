/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: limits, errors and scopes of a rendering. */
#include "template/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tpl_fail(tpl_run *run, const char *format, ...) {
  char text[400];
  va_list arguments;
  if (run->status != ELLM_OK) return false; /* the first one counts */
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const uint32_t line = run->at ? run->at->line : 1, column = run->at ? run->at->column : 1;
  run->status = tpl_syntax_error(run->origin, line, column, run->err, "%s", text);
  return false;
}


bool tpl_no_memory(tpl_run *run, size_t bytes) {
  if (run->arena.limited) return tpl_fail(run, "more than %d bytes of values are needed", CHAT_TEMPLATE_MAX_MEMORY);
  if (run->status == ELLM_OK) run->status = ellm_fail_memory(run->err, bytes, "rendering a chat template");
  return false;
}

bool tpl_charge(tpl_run *run, size_t n) {
  if (n <= run->steps_left) {
    run->steps_left -= n;
    return true;
  }
  return tpl_fail(run, "more steps are needed than allowed");
}

bool tpl_deeper(tpl_run *run) {
  if (run->depth >= CHAT_TEMPLATE_MAX_DEPTH) return tpl_fail(run, "nested more than %d deep", CHAT_TEMPLATE_MAX_DEPTH);
  run->depth++;
  return true;
}

void *tpl_alloc(tpl_run *run, size_t bytes) {
  void *memory = tpl_arena_alloc(&run->arena, bytes);
  if (!memory) tpl_no_memory(run, bytes);
  return memory;
}

void *tpl_alloc_array(tpl_run *run, size_t count, size_t size) {
  size_t bytes;
  if (!ellm_mul_size(count, size, &bytes)) {
    run->arena.limited = true;
    tpl_no_memory(run, SIZE_MAX);
    return NULL;
  }
  return tpl_alloc(run, bytes);
}
