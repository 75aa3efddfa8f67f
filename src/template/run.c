/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: limits and errors of a rendering, and the entry to it. */
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
  run->status = tpl_syntax_error(run->t->origin, line, column, run->err, "%s", text);
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

static bool add_binding(tpl_run *run, tpl_scope *scope, uint32_t id, tpl_value value) {
  tpl_binding *binding = tpl_alloc(run, sizeof *binding);
  if (!binding) return false;
  *binding = (tpl_binding){.id = id, .next = scope->first, .value = value};
  scope->first = binding;
  return tpl_charge(run, 1);
}

tpl_scope *tpl_new_scope(tpl_run *run, tpl_scope *outer, const tpl_unset *unset) {
  tpl_scope *scope = tpl_alloc(run, sizeof *scope);
  if (!scope) return NULL;
  *scope = (tpl_scope){.outer = outer};
  for (; unset; unset = unset->next)
    if (!add_binding(run, scope, unset->id, tpl_undefined(run->t->names[unset->id]))) return NULL;
  return scope;
}

bool tpl_bind(tpl_run *run, uint32_t id, tpl_value value) {
  size_t seen = 0;
  for (tpl_binding *b = run->scope->first; b; b = b->next) {
    if (b->id == id) {
      b->value = value;
      return tpl_charge(run, seen / 16);
    }
    seen++;
  }
  return add_binding(run, run->scope, id, value) && tpl_charge(run, seen / 16);
}

/* Only what the template names is converted. */
static bool bind_variables(tpl_run *run, const json_t *variables) {
  run->scope = tpl_new_scope(run, NULL, NULL);
  if (!run->scope) return false;
  for (uint32_t id = 0; id < run->t->n_names; id++) {
    const tpl_string *name = run->t->names[id];
    const json_t *json = json_object_get(variables, name->data);
    tpl_value value;
    if (json && !(tpl_from_json(run, json, &value) && tpl_bind(run, id, value))) return false;
  }
  run->scope = tpl_new_scope(run, run->scope, run->t->unset); /* what the template sets hides them */
  return run->scope != NULL;
}

ellm_status tpl_render(const chat_template *t, const json_t *variables, const struct tm *now, uint64_t max_steps,
                       char **text, size_t *bytes, ellm_error *err) {
  ellm_buffer out = {0};
  tpl_run run = {.t = t, .now = now, .err = err, .out = &out, .steps_left = max_steps,
                 .arena = {.limit = CHAT_TEMPLATE_MAX_MEMORY}};
  *text = NULL;
  *bytes = 0;
  const bool done = bind_variables(&run, variables) && tpl_exec(&run, t->body) && (ellm_buffer_append(&out, "", 1) ||
                                                                                  tpl_no_memory(&run, out.size + 1));
  tpl_arena_free(&run.arena);
  if (!done) {
    ellm_buffer_free(&out);
    return run.status;
  }
  *text = (char *)out.data;
  *bytes = out.size - 1;
  return ELLM_OK;
}

ellm_status chat_template_render(const chat_template *t, const json_t *variables, const struct tm *now, char **text,
                                 size_t *bytes, ellm_error *err) {
  return tpl_render(t, variables, now, CHAT_TEMPLATE_MAX_STEPS, text, bytes, err);
}
