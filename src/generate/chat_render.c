/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a conversation: which of a model's templates it takes, and the variables that this one sees. */
#include "generate/chat_render.h"

/* tools and documents that are missing are None to a template, as Transformers calls it. */
static bool or_null(json_t *variables, const char *name) {
  return json_object_get(variables, name) || json_object_set_new(variables, name, json_null()) == 0;
}

static ellm_status make_variables(const chat_rendering *r, json_t **out, ellm_error *err) {
  json_t *all = json_copy(r->chat->tokens);
  bool good = all != NULL;
  if (good && json_is_object(r->root)) good = json_object_update(all, r->root) == 0;
  else if (good) good = json_object_set(all, "messages", r->root) == 0;
  good = good && or_null(all, "tools") && or_null(all, "documents") &&
         json_object_set_new(all, "add_generation_prompt", json_boolean(r->answer)) == 0;
  *out = good ? all : NULL;
  if (good) return ELLM_OK;
  json_decref(all);
  return ellm_fail_memory(err, 64, "the variables of a chat template");
}

/* Tools count where they are given, an empty list, too: Transformers asks whether they are None. */
static const chat_choice *choice_for(const chat_rendering *r) {
  const json_t *tools = json_object_get(r->root, "tools");
  return tools && !json_is_null(tools) && (r->chat->tools.template_ || r->chat->tools.status != ELLM_OK)
             ? &r->chat->tools
             : &r->chat->plain;
}

ellm_status chat_render(const chat_rendering *r, char **text, size_t *bytes, ellm_error *err) {
  const chat_choice *choice = choice_for(r);
  json_t *variables;
  *text = NULL;
  if (choice->status != ELLM_OK) {
    if (err) *err = choice->err;
    return choice->status;
  }
  ELLM_TRY(make_variables(r, &variables, err));
  const ellm_status status = chat_template_render(choice->template_, variables, r->now, text, bytes, err);
  json_decref(variables);
  return status;
}
