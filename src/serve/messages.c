/* SPDX-License-Identifier: Apache-2.0 */
/* See messages.h. Everything is checked, so that no template meets a type that it does not expect. */
#include "serve/messages.h"

#include <stdio.h>
#include <string.h>

enum { MOST_MESSAGES = 10000, MOST_TOOLS = 512 };

/* The texts of a list of parts, joined; NULL after a problem. */
static json_t *join_parts(const json_t *parts, const char *name, problem *p) {
  prog_buffer all = {0};
  bool good = true;
  for (size_t i = 0; i < json_array_size(parts) && good; i++) {
    const json_t *part = json_array_get(parts, i), *piece = json_object_get(part, "text");
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type || !json_is_string(piece) || strcmp(type, "text") != 0)
      good = problem_set(p, 400, name, "%s has a part of type \"%.40s\": only text is supported", name,
                         type ? type : "");
    else prog_append(&all, json_string_value(piece), json_string_length(piece));
  }
  json_t *joined = good && !all.failed ? json_stringn(all.data ? all.data : "", all.bytes) : NULL;
  if (good && !joined) problem_memory(p);
  prog_buffer_free(&all);
  return joined;
}

static bool normalize_content(json_t *message, const char *name, bool needed, problem *p) {
  json_t *content = json_object_get(message, "content");
  if (json_is_string(content)) return true;
  if (json_is_array(content)) {
    json_t *joined = join_parts(content, name, p);
    if (!joined) return false;
    return json_object_set_new(message, "content", joined) == 0 || problem_memory(p);
  }
  if (needed || (content && !json_is_null(content)))
    return problem_set(p, 400, name, "%s must be a text or a list of text parts", name);
  return json_object_set_new(message, "content", json_string("")) == 0 || problem_memory(p);
}

/* Arguments come as the text of a JSON object; templates write objects. */
static bool normalize_calls(const json_t *message, const char *name, problem *p) {
  json_t *calls = json_object_get(message, "tool_calls");
  if (!calls || json_is_null(calls)) return true;
  if (!json_is_array(calls)) return problem_set(p, 400, name, "%s must be a list", name);
  for (size_t i = 0; i < json_array_size(calls); i++) {
    json_t *function = json_object_get(json_array_get(calls, i), "function");
    const json_t *arguments = json_object_get(function, "arguments");
    if (!json_is_string(json_object_get(function, "name")))
      return problem_set(p, 400, name, "%s[%zu].function.name must be a text", name, i);
    if (!json_is_string(arguments)) continue;
    json_t *object;
    problem ignored;
    if (!fields_parse(json_string_value(arguments), json_string_length(arguments), &object, &ignored))
      return problem_set(p, 400, name, "%s[%zu].function.arguments is not the text of a JSON object", name, i);
    if (json_object_set_new(function, "arguments", object) != 0) return problem_memory(p);
  }
  return true;
}

static bool normalize_message(json_t *message, size_t index, problem *p) {
  static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
  char name[64];
  snprintf(name, sizeof name, "messages[%zu]", index);
  if (!json_is_object(message)) return problem_set(p, 400, name, "%s must be an object", name);
  const char *role = json_string_value(json_object_get(message, "role"));
  snprintf(name, sizeof name, "messages[%zu].role", index);
  if (!role) return problem_set(p, 400, name, "%s must be a text", name);
  bool known = false;
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) known = known || strcmp(role, roles[i]) == 0;
  if (!known)
    return problem_set(p, 400, name, "%s is \"%.40s\": system, developer, user, assistant and tool are known", name,
                       role);
  const bool answers = strcmp(role, "assistant") == 0;
  if (strcmp(role, "developer") == 0 && json_object_set_new(message, "role", json_string("system")) != 0)
    return problem_memory(p);
  snprintf(name, sizeof name, "messages[%zu].content", index);
  if (!normalize_content(message, name, !answers, p)) return false;
  snprintf(name, sizeof name, "messages[%zu].tool_calls", index);
  return normalize_calls(message, name, p);
}

static bool check_tools(const json_t *tools, problem *p) {
  char name[64];
  if (json_array_size(tools) > MOST_TOOLS)
    return problem_set(p, 400, "tools", "tools has more than %d entries", MOST_TOOLS);
  for (size_t i = 0; i < json_array_size(tools); i++) {
    const json_t *tool = json_array_get(tools, i), *function = json_object_get(tool, "function");
    const char *type = json_string_value(json_object_get(tool, "type"));
    snprintf(name, sizeof name, "tools[%zu]", i);
    if (!type || strcmp(type, "function") != 0)
      return problem_set(p, 400, name, "%s.type must be \"function\"", name);
    if (!json_is_string(json_object_get(function, "name")))
      return problem_set(p, 400, name, "%s.function.name must be a text", name);
    const json_t *parameters = json_object_get(function, "parameters");
    if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
      return problem_set(p, 400, name, "%s.function.parameters must be an object", name);
  }
  return true;
}

/* tool_choice: a word, or an object that names a function; *named is that function's name, "" where any must be called,
 * NULL where none must. */
static bool read_choice(const json_t *body, bool *none, const char **named, problem *p) {
  const json_t *choice = json_object_get(body, "tool_choice");
  const char *word = json_string_value(choice);
  *named = json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
  *none = word && strcmp(word, "none") == 0;
  if (word && strcmp(word, "required") == 0) *named = "";
  if (!choice || json_is_null(choice) || *none || *named || (word && strcmp(word, "auto") == 0)) return true;
  return problem_set(p, 400, "tool_choice", "tool_choice must be \"none\", \"auto\", \"required\" or name a function");
}

/* What a call of a tool is, as a JSON Schema. */
static json_t *call_schema(const json_t *tool) {
  json_t *function = json_object_get(tool, "function"), *parameters = json_object_get(function, "parameters");
  json_t *any = json_is_object(parameters) ? json_incref(parameters) : json_pack("{s:s}", "type", "object");
  return json_pack("{s:s, s:{s:{s:O}, s:o}, s:[s,s], s:b}", "type", "object", "properties", "name", "const",
                   json_object_get(function, "name"), "arguments", any, "required", "name", "arguments",
                   "additionalProperties", 0);
}

bool messages_forced_call(const json_t *body, json_t **schema, problem *p) {
  bool none;
  const char *named;
  const json_t *tools = json_object_get(body, "tools");
  *schema = NULL;
  if (!read_choice(body, &none, &named, p)) return false;
  if (!named) return true;
  json_t *all = json_array();
  for (size_t i = 0; i < json_array_size(tools); i++) {
    const json_t *tool = json_array_get(tools, i);
    const char *name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    if (*named && (!name || strcmp(name, named) != 0)) continue;
    if (json_array_append_new(all, call_schema(tool)) != 0) {
      json_decref(all);
      return problem_memory(p);
    }
  }
  const size_t n = json_array_size(all);
  if (n == 1) *schema = json_incref(json_array_get(all, 0));
  else if (n > 1) *schema = json_pack("{s:O}", "anyOf", all);
  json_decref(all);
  if (n == 0) return problem_set(p, 400, "tool_choice", "tool_choice asks for a tool that tools does not have");
  return *schema || problem_memory(p);
}

static bool read_tools(const json_t *body, json_t *conversation, problem *p) {
  json_t *tools = NULL;
  const char *named;
  bool none;
  if (!field_array(body, "tools", &tools, p) || !read_choice(body, &none, &named, p)) return false;
  if (!tools || json_array_size(tools) == 0) return true;
  if (!check_tools(tools, p)) return false;
  return none || json_object_set(conversation, "tools", tools) == 0 || problem_memory(p);
}

static bool read_variables(const json_t *body, json_t *conversation, problem *p) {
  json_t *variables = NULL;
  const char *key;
  json_t *value;
  if (!field_object(body, "chat_template_kwargs", &variables, p)) return false;
  json_object_foreach(variables, key, value) {
    if (strcmp(key, "messages") == 0 || strcmp(key, "tools") == 0)
      return problem_set(p, 400, "chat_template_kwargs", "chat_template_kwargs must not have \"%s\"", key);
    if (json_object_set(conversation, key, value) != 0) return problem_memory(p);
  }
  return true;
}

bool messages_read(const json_t *body, json_t **conversation, problem *p) {
  json_t *given = NULL;
  *conversation = NULL;
  if (!field_array(body, "messages", &given, p)) return false;
  const size_t n = json_array_size(given);
  if (n == 0) return problem_set(p, 400, "messages", "messages must be a list with at least one message");
  if (n > MOST_MESSAGES) return problem_set(p, 400, "messages", "messages has more than %d entries", MOST_MESSAGES);
  json_t *whole = json_object(), *messages = json_deep_copy(given);
  bool good = whole && messages;
  if (!good) problem_memory(p);
  for (size_t i = 0; i < n && good; i++) good = normalize_message(json_array_get(messages, i), i, p);
  good = good && read_variables(body, whole, p) && read_tools(body, whole, p);
  if (good && json_object_set(whole, "messages", messages) != 0) good = problem_memory(p);
  json_decref(messages);
  if (good) *conversation = whole;
  else json_decref(whole);
  return good;
}

