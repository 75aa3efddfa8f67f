/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of a chat. What they show goes to standard error: standard output has the answers alone. */
#include "cli/chat_commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/chat_answer.h"

const char chat_command_help[] =
    "in a chat:\n"
    "  /help               show this\n"
    "  /system [TEXT]      show or set the system prompt; \"-\" removes it\n"
    "  /reset              begin again; the system prompt stays\n"
    "  /regen              answer the last message again, with the next seed\n"
    "  /save FILE          write the conversation as JSON messages\n"
    "  /load FILE          continue a conversation that was saved, or one in the format of\n"
    "                      OpenAI's API\n"
    "  /set [NAME VALUE]   show or set temperature, top_k, top_p, min_p, repeat_penalty,\n"
    "                      seed (-1: a random one), n (the most tokens of an answer; -1: no\n"
    "                      limit); names from other programs (temp, num_predict) work, too\n"
    "  /set var [NAME VALUE]  show or set variables of the chat template; no VALUE removes one\n"
    "  /stats              show tokens, speed and memory\n"
    "  /quit               end; so does the end of the input\n"
    "  //...               a message that begins with a slash";

static void cmd_help(chat *c, const char *argument) {
  (void)c;
  (void)argument;
  fprintf(stderr, "%s\n", chat_command_help);
}

static void cmd_quit(chat *c, const char *argument) {
  (void)argument;
  c->quit = true;
}

/* ------------------------------------------------------------- conversation */

static void cmd_system(chat *c, const char *argument) {
  const size_t head = chat_head(c);
  if (!*argument) {
    for (size_t i = 0; i < head; i++)
      fprintf(stderr, "%s\n", json_string_value(json_object_get(json_array_get(c->messages, i), "content")));
    if (head == 0) chat_say(c, "[no system prompt]");
    return;
  }
  for (size_t i = 0; i < head; i++) json_array_remove(c->messages, 0);
  if (strcmp(argument, "-") == 0) return;
  json_t *message = json_pack("{s:s, s:o}", "role", "system", "content", cli_json_text(argument, strlen(argument)));
  if (!message || json_array_insert_new(c->messages, 0, message) != 0)
    chat_complain(c, ELLM_ERR_IO, "out of memory for the system prompt");
}

static void cmd_reset(chat *c, const char *argument) {
  (void)argument;
  const size_t head = chat_head(c);
  while (json_array_size(c->messages) > head) json_array_remove(c->messages, json_array_size(c->messages) - 1);
  chat_say(c, "[a new conversation]");
}

static void cmd_regen(chat *c, const char *argument) {
  (void)argument;
  size_t n = json_array_size(c->messages);
  json_t *old = NULL;
  if (n > 0 && strcmp(chat_role(c, n - 1), "assistant") == 0) {
    old = json_incref(json_array_get(c->messages, --n));
    json_array_remove(c->messages, n);
  }
  if (n <= chat_head(c)) chat_complain(c, ELLM_ERR_USAGE, "/regen: there is no message to answer");
  else {
    if (old) {
      c->settings.seed.value++;
      chat_say(c, "[seed %" PRIu64 "]", c->settings.seed.value);
    }
    if (chat_answer(c)) {
      json_decref(old);
      return;
    }
  }
  if (old && json_array_append_new(c->messages, old) != 0) chat_complain(c, ELLM_ERR_IO, "out of memory for a message");
}

/* The messages; in an object where more was loaded with them. */
static char *conversation_text(const chat *c) {
  if (json_object_size(c->more) == 0) return json_dumps(c->messages, JSON_INDENT(1));
  json_t *all = json_copy(c->more);
  const bool good = all && json_object_set(all, "messages", c->messages) == 0;
  char *text = good ? json_dumps(all, JSON_INDENT(1)) : NULL;
  json_decref(all);
  return text;
}

static void cmd_save(chat *c, const char *argument) {
  ellm_error err;
  cli_output output;
  if (!*argument || strcmp(argument, "-") == 0) {
    chat_complain(c, ELLM_ERR_USAGE, "/save: the name of a file is missing");
    return;
  }
  char *text = conversation_text(c);
  ellm_status status = text ? cli_output_open(&output, argument, c->path, &err)
                            : prog_failure_memory(&err, 0, "the conversation");
  if (status == ELLM_OK) {
    status = cli_output_write(&output, text, strlen(text), &err);
    if (status == ELLM_OK) status = cli_output_write(&output, "\n", 1, &err);
    if (status == ELLM_OK) status = cli_output_close(&output, &err);
    else cli_output_abort(&output);
  }
  free(text);
  if (status != ELLM_OK) chat_fail(c, &err);
  else chat_say(c, "[%zu messages are in %s]", json_array_size(c->messages), argument);
}

/* A list of parts {"type": "text", "text": ...} becomes one text, a line each: most templates know only texts. */
static ellm_status join_parts(const char *path, size_t number, json_t *message, ellm_error *err) {
  const json_t *parts = json_object_get(message, "content");
  prog_buffer text = {0};
  ellm_status status = ELLM_OK;
  for (size_t i = 0; status == ELLM_OK && i < json_array_size(parts); i++) {
    const json_t *part = json_array_get(parts, i), *own = json_object_get(part, "text");
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!json_is_string(own) || (type && strcmp(type, "text") != 0))
      status = prog_failure(err, ELLM_ERR_INPUT,
                           "%s: message %zu, part %zu: only parts of type \"text\" are taken, not %s", path, number,
                           i + 1, type ? type : "one without a text");
    else if ((i > 0 && !prog_append(&text, "\n", 1)) ||
             !prog_append(&text, json_string_value(own), json_string_length(own)))
      status = prog_failure_memory(err, text.bytes, "a message");
  }
  json_t *content = json_stringn(text.bytes > 0 ? text.data : "", text.bytes);
  if (status != ELLM_OK) json_decref(content);
  else if (json_object_set_new(message, "content", content) != 0)
    status = prog_failure_memory(err, text.bytes, "a message");
  prog_buffer_free(&text);
  return status;
}

/* Messages of a chat have a role and a text; one with tool_calls may have none, as OpenAI's API writes them. */
static ellm_status check_messages(const char *path, json_t *messages, ellm_error *err) {
  if (!json_is_array(messages))
    return prog_failure(err, ELLM_ERR_INPUT, "%s: a list of messages is expected, or an object with one in \"messages\"",
                     path);
  for (size_t i = 0; i < json_array_size(messages); i++) {
    json_t *message = json_array_get(messages, i);
    const json_t *content = json_object_get(message, "content");
    const bool calls = json_array_size(json_object_get(message, "tool_calls")) > 0;
    if (!json_is_string(json_object_get(message, "role")))
      return prog_failure(err, ELLM_ERR_INPUT, "%s: message %zu has no role that is a text", path, i + 1);
    if (json_is_array(content)) PROG_TRY(join_parts(path, i + 1, message, err));
    else if (!json_is_string(content) && !(calls && (!content || json_is_null(content))))
      return prog_failure(err, ELLM_ERR_INPUT, "%s: message %zu has no content that is a text or a list of texts", path,
                       i + 1);
  }
  return ELLM_OK;
}

static void cmd_load(chat *c, const char *argument) {
  ellm_error err;
  json_t *loaded = NULL;
  if (!*argument || strcmp(argument, "-") == 0) {
    chat_complain(c, ELLM_ERR_USAGE, "/load: the name of a file is missing");
    return;
  }
  ellm_status status = cli_conversation_read(argument, &loaded, &err);
  if (status == ELLM_OK) status = check_messages(argument, json_object_get(loaded, "messages"), &err);
  if (status == ELLM_OK) {
    json_decref(c->messages);
    json_decref(c->more);
    c->messages = json_incref(json_object_get(loaded, "messages"));
    json_object_del(loaded, "messages");
    c->more = json_incref(loaded);
    const size_t n = json_array_size(c->messages);
    const bool waiting = n > 0 && strcmp(chat_role(c, n - 1), "user") == 0;
    chat_say(c, "[%zu messages from %s%s]", n, argument, waiting ? "; /regen answers the last one" : "");
  } else {
    chat_fail(c, &err);
  }
  json_decref(loaded);
}

/* ------------------------------------------------------------------ settings */

/* What llama.cpp and ollama call these; '-' is taken for '_'. */
static const struct { const char *name, *own; } aliases[] = {
    {"temp", "temperature"}, {"repetition_penalty", "repeat_penalty"}, {"tokens", "n"}, {"predict", "n"},
    {"n_predict", "n"},      {"num_predict", "n"},                     {"max_tokens", "n"}};

/* The name of a setting that a word means, up to 31 bytes of it. */
static void setting_name(const char *word, size_t bytes, char name[32]) {
  snprintf(name, 32, "%.*s", (int)(bytes < 31 ? bytes : 31), word);
  for (char *c = name; *c; c++)
    if (*c == '-') *c = '_';
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
    if (strcmp(aliases[i].name, name) == 0) snprintf(name, 32, "%s", aliases[i].own);
}

static void show(const option *o) {
  if (o->kind == OPTION_REAL) fprintf(stderr, "%-15s%g\n", o->name, *(const double *)o->target);
  else if (o->kind == OPTION_SEED) fprintf(stderr, "%-15s%" PRIu64 "\n", o->name, ((option_seed *)o->target)->value);
  else fprintf(stderr, "%-15s%d\n", o->name, *(const int *)o->target);
}

/* "var", "var NAME VALUE": variables of the template. */
static void set_variable(chat *c, const char *word) {
  word += strspn(word, " \t");
  if (*word && !cli_template_set(c->variables, word))
    chat_complain(c, ELLM_ERR_USAGE, "/set var takes NAME and VALUE, not '%s'", word);
  const char *name;
  json_t *value;
  json_object_foreach(c->variables, name, value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    fprintf(stderr, "%-19s%s\n", name, text ? text : "?");
    free(text);
  }
}

static void cmd_set(chat *c, const char *argument) {
  cli_sampling *s = &c->settings;
  option rows[] = {OPT_REAL("temperature", 0, &s->temperature, 0, 100, "", ""),
                   OPT_INT("top_k", 0, &s->top_k, 0, 1 << 24, "", ""),
                   OPT_REAL("top_p", 0, &s->top_p, 0, 1, "", ""),
                   OPT_REAL("min_p", 0, &s->min_p, 0, 1, "", ""),
                   OPT_REAL("repeat_penalty", 0, &s->repeat_penalty, 0.01, 100, "", ""),
                   OPT_SEED("seed", 0, &s->seed, "", ""),
                   OPT_INT("n", 0, &s->tokens, -1, 1 << 24, "", "")};
  enum { N_ROWS = sizeof rows / sizeof *rows };
  if (strncmp(argument, "parameter ", 10) == 0) argument += 10 + strspn(argument + 10, " \t"); /* ollama's */
  const size_t length = strcspn(argument, " \t=");
  if (length == 3 && strncmp(argument, "var", 3) == 0) {
    set_variable(c, argument + 3);
    return;
  }
  const char *value = argument + length + strspn(argument + length, " \t=");
  char name[32];
  setting_name(argument, length, name);
  for (size_t i = 0; i < N_ROWS; i++) {
    if (!*argument) {
      show(&rows[i]);
    } else if (strcmp(rows[i].name, name) == 0) {
      if (!*value || option_parse_value(&rows[i], value)) show(&rows[i]);
      else if (rows[i].kind == OPTION_SEED)
        chat_complain(c, ELLM_ERR_USAGE, "/set: seed is a whole number from 0 to 2^64 - 1, or -1, not '%s'", value);
      else
        chat_complain(c, ELLM_ERR_USAGE, "/set: %s is a %s from %g to %.8g, not '%s'", rows[i].name,
                      rows[i].kind == OPTION_INT ? "whole number" : "number", rows[i].low, rows[i].high, value);
      return;
    }
  }
  if (*argument)
    chat_complain(c, ELLM_ERR_USAGE,
                  "/set: '%.*s' is none of temperature, top_k, top_p, min_p, repeat_penalty, seed, n",
                  (int)(length < 64 ? length : 64), argument);
}

static void cmd_stats(chat *c, const char *argument) {
  (void)argument;
  const uint32_t capacity = c->capacity;
  const uint64_t cache = ellm_model_cache_bytes(c->model, capacity);
  char text[24];
  const uint32_t *ends;
  const size_t n_ends = ellm_chat_end_ids(c->format, &ends);
  struct rusage usage = {0};
  getrusage(RUSAGE_SELF, &usage);
  fprintf(stderr, "messages       %zu; turns dropped: %zu\n", json_array_size(c->messages), c->dropped);
  fprintf(stderr, "context        %u of %u tokens\n", (unsigned)ellm_sequence_length(c->sequence), (unsigned)capacity);
  fprintf(stderr, "prompt         %zu tokens evaluated, %.0f tokens/s\n", c->read_tokens,
          cli_rate((double)c->read_tokens, c->read_seconds));
  fprintf(stderr, "generated      %zu tokens, %.1f tokens/s\n", c->written_tokens,
          cli_rate((double)c->written_tokens, c->written_seconds));
  fprintf(stderr, "answers end    at");
  for (size_t i = 0; i < n_ends; i++) {
    const char *piece = ellm_tokenizer_piece(c->tokenizer, ends[i]);
    fprintf(stderr, "%s %s (%u)", i ? "," : "", piece ? piece : "an unknown token", (unsigned)ends[i]);
  }
  fprintf(stderr, "%s\n", n_ends ? "" : " no token: only -n ends them");
  fprintf(stderr, "model          %s\n", cli_size_text(cli_model_bytes(c->path), text));
  fprintf(stderr, "KV cache       %s\n", cli_size_text(cache, text));
  fprintf(stderr, "peak memory    %s\n", cli_size_text((uint64_t)usage.ru_maxrss * 1024, text));
}

/* ------------------------------------------------------------------- which */

static const struct { const char *name; void (*run)(chat *, const char *); } commands[] = {
    {"help", cmd_help}, {"system", cmd_system}, {"reset", cmd_reset}, {"regen", cmd_regen}, {"save", cmd_save},
    {"load", cmd_load}, {"set", cmd_set},       {"stats", cmd_stats}, {"quit", cmd_quit},
    /* as other programs call them */
    {"clear", cmd_reset}, {"exit", cmd_quit}, {"bye", cmd_quit}};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

void chat_command(chat *c, const char *text) {
  char word[32];
  const char *names[N_COMMANDS];
  const size_t length = strcspn(text, " \t\n");
  const char *argument = text + length + strspn(text + length, " \t\n");
  size_t end = strlen(argument);
  while (end > 0 && strchr(" \t\n", argument[end - 1])) end--;
  char *trimmed = strndup(argument, end);
  snprintf(word, sizeof word, "%.*s", (int)(length < 31 ? length : 31), text);
  size_t i = 0;
  while (i < N_COMMANDS && strcmp(commands[i].name, word) != 0) i++;
  if (!trimmed) chat_complain(c, ELLM_ERR_IO, "out of memory for a command");
  else if (i < N_COMMANDS) commands[i].run(c, trimmed);
  else {
    for (size_t k = 0; k < N_COMMANDS; k++) names[k] = commands[k].name;
    const char *near = options_nearest(word, names, N_COMMANDS);
    chat_complain(c, ELLM_ERR_USAGE, "unknown command '/%s' (%s%s; a message may begin with //)", word,
                  near ? "did you mean /" : "see /help", near ? near : "");
  }
  free(trimmed);
}
