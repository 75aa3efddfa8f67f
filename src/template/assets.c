/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: which template a model has, and the variables that Transformers renders it with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/template.h"

/* --------------------------------------------------------------- the template */

static ellm_status no_memory(ellm_error *err) { return ellm_fail_memory(err, 256, "a chat template"); }

/* "ORIGIN: NAME", malloc'ed. */
static char *join_origin(const char *origin, const char *name) {
  const size_t bytes = strlen(origin) + strlen(name) + 3;
  char *text = malloc(bytes);
  if (text) snprintf(text, bytes, "%s: %s", origin, name);
  return text;
}

/* The JSON object of an asset; *root is NULL if there is no such asset. Integers are read as floats:
 * none is needed, and model_max_length is often written as 10^30. */
static ellm_status asset_json(chat_template_asset_fn asset, void *user, const char *origin, const char *name,
                              json_t **root, ellm_error *err) {
  size_t bytes;
  const void *text = asset(user, name, &bytes);
  *root = NULL;
  if (!text) return ELLM_OK;
  char *where = join_origin(origin, name);
  if (!where) return no_memory(err);
  json_error_t problem;
  ellm_status status = ELLM_OK;
  *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &problem);
  if (!*root) {
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: not valid JSON: %s (line %d, column %d)", where, problem.text,
                       problem.line, problem.column);
  } else if (!json_is_object(*root)) {
    json_decref(*root);
    *root = NULL;
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", where);
  }
  free(where);
  return status;
}

/* The template of this name in a list of {"name": ..., "template": ...}; NULL: none. */
static const json_t *named_template(const json_t *list, const char *name) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *entry = json_array_get(list, i);
    const char *own = json_string_value(json_object_get(entry, "name"));
    const json_t *text = json_object_get(entry, "template");
    if (own && strcmp(own, name) == 0 && json_is_string(text)) return text;
  }
  return NULL;
}

/* From "chat_template" of one file; *out stays NULL if it has none. */
static ellm_status template_of_json(chat_template_asset_fn asset, void *user, const char *origin, const char *name,
                                    bool tools, chat_template **out, ellm_error *err) {
  json_t *root;
  ELLM_TRY(asset_json(asset, user, origin, name, &root, err));
  const json_t *text = json_object_get(root, "chat_template");
  ellm_status status = ELLM_OK;
  if (text && !json_is_null(text)) {
    const json_t *list = text;
    if (json_is_array(list)) {
      text = tools ? named_template(list, "tool_use") : NULL;
      if (!text) text = named_template(list, "default");
    }
    char *where = join_origin(origin, name);
    if (!where) status = no_memory(err);
    else if (!text)
      status =
          ellm_fail(err, ELLM_ERR_INPUT, "%s: chat_template has several templates and none is named 'default'", where);
    else if (!json_is_string(text)) status = ellm_fail(err, ELLM_ERR_INPUT, "%s: chat_template is no text", where);
    else status = chat_template_create(json_string_value(text), json_string_length(text), where, out, err);
    free(where);
  }
  json_decref(root);
  return status;
}

ellm_status chat_template_find(chat_template_asset_fn asset, void *user, const char *origin, bool tools,
                               chat_template **out, ellm_error *err) {
  size_t bytes;
  *out = NULL;
  const void *text = asset(user, "chat_template.jinja", &bytes);
  if (text) {
    char *where = join_origin(origin, "chat_template.jinja");
    if (!where) return no_memory(err);
    const ellm_status status = chat_template_create(text, bytes, where, out, err);
    free(where);
    return status;
  }
  ELLM_TRY(template_of_json(asset, user, origin, "chat_template.json", tools, out, err));
  if (!*out) ELLM_TRY(template_of_json(asset, user, origin, "tokenizer_config.json", tools, out, err));
  if (*out) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: the model has no chat template", origin);
}

/* -------------------------------------------------------------- the variables */

/* A token is a text, or an object with its text in "content". NULL: neither. */
static json_t *token_text(json_t *token) {
  if (json_is_object(token)) token = json_object_get(token, "content");
  return json_is_string(token) ? token : NULL;
}

/* Add the special tokens of a file that are not there yet. */
static bool add_tokens(json_t *variables, const json_t *from) {
  static const char *const names[] = {"bos_token", "eos_token",  "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *text = token_text(json_object_get(from, names[i]));
    if (text && !json_object_get(variables, names[i]) && json_object_set(variables, names[i], text) != 0) return false;
  }
  json_t *more = json_object_get(from, "additional_special_tokens");
  if (!json_is_array(more) || json_object_get(variables, "additional_special_tokens")) return true;
  json_t *list = json_array();
  bool good = list != NULL;
  for (size_t i = 0; good && i < json_array_size(more); i++) {
    json_t *text = token_text(json_array_get(more, i));
    good = !text || json_array_append(list, text) == 0;
  }
  if (good) return json_object_set_new(variables, "additional_special_tokens", list) == 0;
  json_decref(list);
  return false;
}

static bool set_or_null(json_t *variables, const char *name, json_t *value) {
  return value ? json_object_set(variables, name, value) == 0 : json_object_set_new(variables, name, json_null()) == 0;
}

ellm_status chat_template_variables(chat_template_asset_fn asset, void *user, const char *origin, json_t *messages,
                                    json_t *tools, json_t *documents, bool add_generation_prompt, json_t **variables,
                                    ellm_error *err) {
  static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
  json_t *all = json_object();
  bool good = all != NULL;
  *variables = NULL;
  for (size_t i = 0; good && i < 2; i++) {
    json_t *root;
    const ellm_status status = asset_json(asset, user, origin, files[i], &root, err);
    if (status != ELLM_OK) {
      json_decref(all);
      return status;
    }
    good = !root || add_tokens(all, root);
    json_decref(root);
  }
  good = good && set_or_null(all, "messages", messages) && set_or_null(all, "tools", tools) &&
         set_or_null(all, "documents", documents) &&
         json_object_set_new(all, "add_generation_prompt", json_boolean(add_generation_prompt)) == 0;
  if (!good) {
    json_decref(all);
    return no_memory(err);
  }
  *variables = all;
  return ELLM_OK;
}
