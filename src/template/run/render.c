/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: a rendering from variables to text. */
#include "template/run/render.h"

#include <stdlib.h>
#include <string.h>

#include "template/run/exec.h"
#include "template/run/state.h"
#include "template/value/json.h"

/* Only what the template names is converted. */
static bool bind_variables(tpl_run *run, const json_t *variables) {
  run->state->scope = tpl_new_scope(run, NULL, NULL);
  if (!run->state->scope) return false;
  for (uint32_t id = 0; id < run->state->t->n_names; id++) {
    const tpl_string *name = run->state->t->names[id];
    const json_t *json = json_object_get(variables, name->data);
    tpl_value value;
    if (json && !(tpl_from_json(&run->limits, json, &value) && tpl_bind(run, id, value))) return false;
  }
  /* what the template sets hides them */
  run->state->scope = tpl_new_scope(run, run->state->scope, run->state->t->unset);
  return run->state->scope != NULL;
}

ellm_status tpl_render(const chat_template *t, const json_t *variables, const struct tm *now, uint64_t max_steps,
                       char **text, size_t *bytes, ellm_error *err) {
  ellm_buffer out = {0};
  tpl_state state = {.t = t, .now = now, .out = &out};
  tpl_run run = {.limits = {.origin = t->origin,
                            .err = err,
                            .steps_left = max_steps,
                            .arena = {.limit = CHAT_TEMPLATE_MAX_MEMORY}},
                 .state = &state};
  *text = NULL;
  *bytes = 0;
  const bool done = bind_variables(&run, variables) && tpl_exec(&run, t->body) && (ellm_buffer_append(&out, "", 1) ||
                                                                                  tpl_no_memory(&run.limits,
                                                                                                out.size + 1));
  tpl_arena_free(&run.limits.arena);
  if (!done) {
    ellm_buffer_free(&out);
    return run.limits.status;
  }
  *text = (char *)out.data;
  *bytes = out.size - 1;
  return ELLM_OK;
}

ellm_status chat_template_render(const chat_template *t, const json_t *variables, const struct tm *now, char **text,
                                 size_t *bytes, ellm_error *err) {
  return tpl_render(t, variables, now, CHAT_TEMPLATE_MAX_STEPS, text, bytes, err);
}
