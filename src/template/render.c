/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: a rendering from variables to text. */
#include "template/render.h"

#include <stdlib.h>
#include <string.h>

#include "template/exec.h"
#include "template/json.h"

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
