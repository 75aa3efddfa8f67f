/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm render: a conversation through the model's chat template. No weights
 * are read, only the small files beside them.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checkpoint/json.h"
#include "cli/cli.h"
#include "text/template.h"

enum { MAX_MODEL_FILES = 8 };
static const size_t file_limit = (size_t)64 << 20;

/* The files of a model that were asked for: of a .ellm file, or of a folder, where they are read once. */
typedef struct model_files {
  ellm_file *file;
  const char *folder;
  struct { const char *name; uint8_t *data; size_t bytes; } read[MAX_MODEL_FILES];
  size_t n_read;
  ellm_status status; /* a file that is there but cannot be read */
  ellm_error err;
} model_files;

static const void *asset(void *user, const char *name, size_t *bytes) {
  model_files *files = user;
  if (files->file) return ellm_file_asset(files->file, name, bytes);
  size_t i = 0;
  while (i < files->n_read && strcmp(files->read[i].name, name) != 0) i++;
  if (i == files->n_read && i < MAX_MODEL_FILES && files->status == ELLM_OK) {
    char *path = path_join(files->folder, name);
    files->read[i].name = name;
    if (!path) files->status = ellm_fail_memory(&files->err, strlen(name), "a path");
    else if (file_exists(path))
      files->status = file_read_all(path, file_limit, &files->read[i].data, &files->read[i].bytes, &files->err);
    free(path);
    files->n_read++;
  }
  if (i == files->n_read || !files->read[i].data) return NULL;
  *bytes = files->read[i].bytes;
  return files->read[i].data;
}

static ellm_status open_files(const char *path, model_files *files, ellm_error *err) {
  *files = (model_files){.folder = path};
  return file_is_directory(path) ? ELLM_OK : ellm_file_open(path, &files->file, err);
}

static void close_files(model_files *files) {
  if (files->file) ellm_file_close(files->file);
  for (size_t i = 0; i < files->n_read; i++) free(files->read[i].data);
}

/* A file of messages: the list itself, or an object with it and with tools, documents and whatever
 * else the template asks for. */
typedef struct conversation { json_t *root, *messages, *tools, *documents; } conversation;

static ellm_status check_messages(const char *path, const json_t *messages, ellm_error *err) {
  if (!json_is_array(messages))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a list of messages is expected, or an object with one in \"messages\"",
                     path);
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: message %zu is not an object", path, i + 1);
  return ELLM_OK;
}

static ellm_status read_conversation(const char *path, conversation *c, ellm_error *err) {
  const bool from_stdin = strcmp(path, "-") == 0;
  const char *origin = from_stdin ? "standard input" : path;
  char *text = NULL;
  uint8_t *data = NULL;
  size_t bytes = 0;
  ellm_status status =
      from_stdin ? cli_read_stdin(&text, &bytes, err) : file_read_all(path, file_limit, &data, &bytes, err);
  if (status == ELLM_OK) status = json_parse(from_stdin ? (void *)text : (void *)data, bytes, origin, &c->root, err);
  free(text);
  free(data);
  if (status != ELLM_OK) return status;
  c->messages = json_is_object(c->root) ? json_object_get(c->root, "messages") : c->root;
  c->tools = json_object_get(c->root, "tools");
  c->documents = json_object_get(c->root, "documents");
  if (c->tools && !json_is_array(c->tools) && !json_is_null(c->tools))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: \"tools\" is not a list", origin);
  return check_messages(origin, c->messages, err);
}

/* The other fields of the object become variables; they do not replace those that are set already. */
static ellm_status add_fields(json_t *variables, json_t *root, ellm_error *err) {
  if (!json_is_object(root) || json_object_update_missing(variables, root) == 0) return ELLM_OK;
  return ellm_fail_memory(err, 64, "the variables of a chat template");
}

static ellm_status render(const char *model, const conversation *c, bool prompt, char **text, size_t *bytes,
                          ellm_error *err) {
  model_files files;
  chat_template *template_ = NULL;
  json_t *variables = NULL;
  struct tm now;
  const time_t seconds = time(NULL);
  ELLM_TRY(open_files(model, &files, err));
  ellm_status status = chat_template_find(asset, &files, model, json_array_size(c->tools) > 0, &template_, err);
  if (status == ELLM_OK)
    status =
        chat_template_variables(asset, &files, model, c->messages, c->tools, c->documents, prompt, &variables, err);
  if (files.status != ELLM_OK) { /* the true cause */
    status = files.status;
    *err = files.err;
  }
  if (status == ELLM_OK) status = add_fields(variables, c->root, err);
  if (status == ELLM_OK)
    status = chat_template_render(template_, variables, localtime_r(&seconds, &now), text, bytes, err);
  json_decref(variables);
  chat_template_free(template_);
  close_files(&files);
  return status;
}

int cmd_render(int argc, char **argv) {
  cli_common common = {0};
  const char *messages = NULL;
  bool prompt = false;
  option options[] = {CLI_OPTION_MODEL(common),
                      OPT_TEXT("messages", 0, &messages, "FILE.json", "the conversation (\"-\": standard input)"),
                      OPT_FLAG("add-generation-prompt", 0, &prompt, "end with the beginning of an answer"),
                      CLI_OPTION_JSON(common),
                      CLI_OPTION_QUIET(common)};
  option_table table = {
      .command = "render",
      .synopsis = "[-m MODEL] --messages FILE.json [options]",
      .about =
          "Print a conversation as the model's chat template renders it; no newline is added. FILE.json is a list\n"
          "of messages, or an object with \"messages\" and \"tools\"; its other fields are variables of the template.\n"
          "MODEL is a .ellm file or a folder with a chat_template.jinja or a tokenizer_config.json.",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  int parsed = cli_parse(&table, argc, argv, &common);
  if (parsed >= 0) return parsed;
  if (!messages) return cli_error(ELLM_ERR_USAGE, "render: --messages is missing (see 'entrollm render --help')");

  ellm_error err;
  conversation c = {0};
  char *model = NULL, *text = NULL;
  size_t bytes = 0;
  ellm_status status = cli_model_path(&common, &model, &err);
  if (status == ELLM_OK) status = read_conversation(messages, &c, &err);
  if (status == ELLM_OK) status = render(model, &c, prompt, &text, &bytes, &err);
  int result = status == ELLM_OK ? ELLM_OK : cli_fail(&err);
  if (result == ELLM_OK && common.json) result = cli_print_json(json_pack("{s:o}", "text", cli_json_text(text, bytes)));
  else if (result == ELLM_OK) cli_write(text, bytes);
  free(text);
  free(model);
  json_decref(c.root);
  return result;
}
