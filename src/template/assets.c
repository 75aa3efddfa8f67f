/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: which template a model has, and the variables that Transformers renders it with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/lenient.h"
#include "template/template.h"

enum { MAX_NAME = 64 };

/* --------------------------------------------------------------- the template */

static ellm_status no_memory(ellm_error *err) { return ellm_fail_memory(err, 256, "a chat template"); }

/* "ORIGIN: NAME", malloc'ed. */
static char *join_origin(const char *origin, const char *name) {
  const size_t bytes = strlen(origin) + strlen(name) + 3;
  char *text = malloc(bytes);
  if (text) snprintf(text, bytes, "%s: %s", origin, name);
  return text;
}

/* The JSON object of an asset; *root is NULL if there is no such asset. */
static ellm_status asset_json(chat_template_asset_fn asset, void *user, const char *origin, const char *name,
                              json_t **root, ellm_error *err) {
  size_t bytes;
  const void *text = asset(user, name, &bytes);
  *root = NULL;
  if (!text) return ELLM_OK;
  char *where = join_origin(origin, name);
  if (!where) return no_memory(err);
  ellm_status status = json_parse_lenient(text, bytes, where, root, err);
  if (status == ELLM_OK && !json_is_object(*root)) {
    json_decref(*root);
    *root = NULL;
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: not a JSON object", where);
  }
  free(where);
  return status;
}

bool chat_template_is_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  const size_t bytes = strspn(name, letters);
  return bytes > 0 && bytes <= MAX_NAME && name[bytes] == '\0' && name[0] != '.';
}

/* The template of this name among several; NULL: none. */
static const json_t *named_template(const json_t *several, const char *name) {
  if (json_is_object(several)) return json_object_get(several, name);
  for (size_t i = 0; i < json_array_size(several); i++) {
    const json_t *entry = json_array_get(several, i);
    const char *own = json_string_value(json_object_get(entry, "name"));
    if (own && strcmp(own, name) == 0) return json_object_get(entry, "template");
  }
  return NULL;
}

/* From "chat_template" of one file. *found: the file has that field; *out stays NULL if no template of it has the
 * name. */
static ellm_status template_of_json(chat_template_asset_fn asset, void *user, const char *origin, const char *file,
                                    const char *name, bool *found, chat_template **out, ellm_error *err) {
  json_t *root;
  ELLM_TRY(asset_json(asset, user, origin, file, &root, err));
  const json_t *field = json_object_get(root, "chat_template"), *text = field;
  const bool is_default = strcmp(name, "default") == 0, several = json_is_array(field) || json_is_object(field);
  ellm_status status = ELLM_OK;
  *found = field && !json_is_null(field);
  if (several) text = named_template(field, name);
  else if (!is_default) text = NULL;
  char *where = join_origin(origin, file);
  if (!where) status = no_memory(err);
  else if (*found && json_is_string(text))
    status = chat_template_create(json_string_value(text), json_string_length(text), where, out, err);
  else if (*found && text)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: chat_template is not text", where);
  else if (*found && is_default)
    status =
        ellm_fail(err, ELLM_ERR_INPUT, "%s: chat_template has several templates and none is named 'default'", where);
  free(where);
  json_decref(root);
  return status;
}

ellm_status chat_template_find(chat_template_asset_fn asset, void *user, const char *origin, const char *name,
                               chat_template **out, ellm_error *err) {
  static const char *const files[] = {"chat_template.json", "tokenizer_config.json"};
  const bool is_default = strcmp(name, "default") == 0;
  char file[64 + MAX_NAME] = "chat_template.jinja";
  size_t bytes, default_bytes;
  *out = NULL;
  if (!chat_template_is_name(name)) return ELLM_OK;
  if (!is_default) snprintf(file, sizeof file, "additional_chat_templates/%s.jinja", name);
  const void *text = asset(user, file, &bytes);
  if (text) {
    char *where = join_origin(origin, file);
    if (!where) return no_memory(err);
    const ellm_status status = chat_template_create(text, bytes, where, out, err);
    free(where);
    return status;
  }
  if (!is_default && asset(user, "chat_template.jinja", &default_bytes)) return ELLM_OK; /* files go before fields */
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    bool found;
    ELLM_TRY(template_of_json(asset, user, origin, files[i], name, &found, out, err));
    if (found) return ELLM_OK;
  }
  return is_default ? ellm_fail(err, ELLM_ERR_INPUT, "%s: the model has no chat template", origin) : ELLM_OK;
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

ellm_status chat_template_tokens(chat_template_asset_fn asset, void *user, const char *origin, json_t **variables,
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
  if (!good) {
    json_decref(all);
    return no_memory(err);
  }
  *variables = all;
  return ELLM_OK;
}
