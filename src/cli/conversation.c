/* SPDX-License-Identifier: Apache-2.0 */
/* See conversation.h. */
#include "cli/conversation.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/input.h"
#include "cli/team.h"

/* ------------------------------------------------------------------ options */

ellm_status cli_chat_open(ellm_model *model, const char *path, const cli_template *options, ellm_chat **chat,
                          ellm_error *err) {
  ellm_chat_options o;
  cli_text source = {0};
  ellm_status status = ELLM_OK;
  *chat = NULL;
  ellm_chat_options_init(&o);
  if (options->choice && cli_file_exists(options->choice)) {
    status = cli_text_read(options->choice, &source, err);
    o.source = source.data;
    o.source_bytes = source.bytes;
    o.origin = options->choice;
  } else if (options->choice && (strchr(options->choice, '/') || strstr(options->choice, ".jinja"))) {
    status = prog_failure(err, ELLM_ERR_IO, "%s: there is no such file", options->choice);
  } else {
    o.name = options->choice;
  }
  if (status == ELLM_OK)
    status = model ? ellm_chat_open(model, &o, chat, err) : ellm_chat_open_files(path, &o, chat, err);
  cli_text_free(&source);
  return status;
}

bool cli_template_set(json_t *variables, const char *word) {
  const size_t name = strcspn(word, "= \t");
  const char *value = word + name + strspn(word + name, " \t");
  if (*value == '=') value++;
  value += strspn(value, " \t");
  char *key = strndup(word, name);
  bool good = key && name > 0 && prog_valid_utf8(word, strlen(word));
  if (good && !*value) {
    json_object_del(variables, key);
  } else if (good) {
    json_t *parsed = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    good = json_object_set_new(variables, key, parsed ? parsed : json_string(value)) == 0;
  }
  free(key);
  return good;
}

json_t *cli_template_variables(const cli_template *options, const char *command, int *status) {
  json_t *all = json_object();
  *status = all ? ELLM_OK : cli_error(ELLM_ERR_IO, "out of memory for the options");
  for (size_t i = 0; *status == ELLM_OK && i < options->variables.count; i++) {
    const char *word = options->variables.items[i];
    if (!strchr(word, '=') || !cli_template_set(all, word))
      *status = cli_error(ELLM_ERR_USAGE, "%s: --template-var takes NAME=VALUE, not '%s'", command, word);
  }
  if (*status == ELLM_OK) return all;
  json_decref(all);
  return NULL;
}

/* ------------------------------------------------------------ conversations */

ellm_status cli_conversation_read(const char *path, json_t **conversation, ellm_error *err) {
  const char *origin = strcmp(path, "-") == 0 ? "standard input" : path;
  cli_text text;
  json_error_t problem;
  *conversation = NULL;
  PROG_TRY(cli_text_read(path, &text, err));
  json_t *root = json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
  cli_text_free(&text);
  if (!root)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: not valid JSON: %s (line %d, column %d)", origin, problem.text,
                     problem.line, problem.column);
  if (!json_is_object(root)) root = json_pack("{s:o}", "messages", root);
  *conversation = root;
  return root ? ELLM_OK : prog_failure_memory(err, 64, "a conversation");
}

ellm_status cli_conversation_of_text(const char *system, const char *text, size_t bytes, json_t **conversation,
                                     ellm_error *err) {
  json_t *messages = json_array();
  bool good = messages != NULL;
  if (good && system)
    good = json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system)) == 0;
  good = good &&
         json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "user", "content", text, bytes)) == 0;
  *conversation = good ? json_pack("{s:O}", "messages", messages) : NULL;
  json_decref(messages);
  return *conversation ? ELLM_OK : prog_failure_memory(err, bytes, "a message");
}

/* The text that the library parses; malloc'ed. */
static ellm_status dump(json_t *conversation, json_t *variables, char **json, ellm_error *err) {
  json_t *all = json_copy(conversation);
  const char *name;
  json_t *value;
  bool good = all != NULL;
  json_object_foreach(variables, name, value) good = good && json_object_set(all, name, value) == 0;
  *json = good ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(all);
  return *json ? ELLM_OK : prog_failure_memory(err, 64, "a conversation");
}

static void prepare(ellm_conversation *c, const char *json, struct tm *now) {
  const time_t seconds = time(NULL);
  ellm_conversation_init(c);
  c->json = json;
  c->bytes = strlen(json);
  c->now = localtime_r(&seconds, now);
  if (c->now == NULL) return;
  struct tm first = *now;
  cli_team_broadcast(&first, sizeof first);
  first.tm_zone = now->tm_zone; /* an address of this process */
  *now = first;
}

ellm_status cli_conversation_render(const ellm_chat *chat, json_t *conversation, json_t *variables, const char *origin,
                                    bool answer, char **text, size_t *bytes, ellm_error *err) {
  char *json;
  struct tm now;
  ellm_conversation c;
  PROG_TRY(dump(conversation, variables, &json, err));
  prepare(&c, json, &now);
  c.origin = origin;
  c.answer = answer;
  const ellm_status status = ellm_chat_render(chat, &c, text, bytes, err);
  free(json);
  return status;
}

ellm_status cli_conversation_encode(const ellm_chat *chat, json_t *conversation, json_t *variables, bool recognize,
                                    uint32_t **ids, size_t *n_ids, ellm_error *err) {
  char *json;
  struct tm now;
  ellm_conversation c;
  PROG_TRY(dump(conversation, variables, &json, err));
  prepare(&c, json, &now);
  c.answer = true;
  c.recognize_special = recognize;
  const ellm_status status = ellm_chat_encode(chat, &c, ids, n_ids, err);
  free(json);
  return status;
}
