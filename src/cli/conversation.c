/* SPDX-License-Identifier: Apache-2.0 */
/* See conversation.h. No weights are read, only the small files beside them. */
#include "cli/conversation.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json/json.h"
#include "template/template.h"
#include "text/marked.h"

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

/* The other fields of the object become variables; they do not replace those that are set already. */
static ellm_status add_fields(json_t *variables, json_t *root, ellm_error *err) {
  if (!json_is_object(root) || json_object_update_missing(variables, root) == 0) return ELLM_OK;
  return ellm_fail_memory(err, 64, "the variables of a chat template");
}

/* ------------------------------------------------------------------ format */

struct chat_format {
  model_files files;
  char *model;
  chat_template *template_;
};

ellm_status chat_format_open(const char *model, bool tools, chat_format **out, ellm_error *err) {
  chat_format *format = calloc(1, sizeof *format);
  *out = NULL;
  if (format) format->model = strdup(model);
  ellm_status status = format && format->model ? open_files(format->model, &format->files, err)
                                               : ellm_fail_memory(err, strlen(model), "a chat template");
  if (status == ELLM_OK) {
    status = chat_template_find(asset, &format->files, model, tools, &format->template_, err);
    if (format->files.status != ELLM_OK) { /* the true cause */
      status = format->files.status;
      *err = format->files.err;
    }
  }
  if (status == ELLM_OK) *out = format;
  else chat_format_free(format);
  return status;
}

void chat_format_free(chat_format *format) {
  if (!format) return;
  chat_template_free(format->template_);
  close_files(&format->files);
  free(format->model);
  free(format);
}

ellm_status chat_format_render(chat_format *format, const conversation *c, bool prompt, char **text, size_t *bytes,
                               ellm_error *err) {
  json_t *variables = NULL;
  struct tm now;
  const time_t seconds = time(NULL);
  ellm_status status = chat_template_variables(asset, &format->files, format->model, c->messages, c->tools,
                                               c->documents, prompt, &variables, err);
  if (format->files.status != ELLM_OK) {
    status = format->files.status;
    *err = format->files.err;
  }
  if (status == ELLM_OK) status = add_fields(variables, c->root, err);
  if (status == ELLM_OK)
    status = chat_template_render(format->template_, variables, localtime_r(&seconds, &now), text, bytes, err);
  json_decref(variables);
  return status;
}

ellm_status conversation_render(const char *model, const conversation *c, bool prompt, char **text, size_t *bytes,
                                ellm_error *err) {
  chat_format *format;
  ELLM_TRY(chat_format_open(model, json_array_size(c->tools) > 0, &format, err));
  const ellm_status status = chat_format_render(format, c, prompt, text, bytes, err);
  chat_format_free(format);
  return status;
}

/* --------------------------------------------------------------------- ids */

typedef struct marking { const ellm_tokenizer *tokenizer; text_marker marker; ellm_error *err; } marking;

/* Is it a name, as roles are? Templates compare roles, so that a name must stay what it is even where it is a special
 * token; anything else that stands for a role is text like the rest. */
static bool is_role(int depth, const char *key, const json_t *field) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const char *name = json_string_value(field);
  return depth == 1 && name && strcmp(key, "role") == 0 && strspn(name, letters) == json_string_length(field);
}

/* A copy of the messages in which all strings but roles are marked; NULL after an error. */
static json_t *marked_copy(const marking *m, const json_t *value, int depth) {
  ellm_error *err = m->err;
  if (json_is_string(value)) {
    ellm_buffer text = {0};
    json_t *copy = NULL;
    if (text_mark_special(m->tokenizer, &m->marker, json_string_value(value), json_string_length(value), &text, err) ==
        ELLM_OK) {
      copy = json_stringn(text.size > 0 ? (const char *)text.data : "", text.size);
      if (!copy) ellm_fail_memory(err, text.size, "a message");
    }
    ellm_buffer_free(&text);
    return copy;
  }
  if (!json_is_array(value) && !json_is_object(value)) return json_deep_copy(value);
  json_t *copy = json_is_array(value) ? json_array() : json_object();
  bool good = copy != NULL && depth < CHAT_TEMPLATE_MAX_NESTING;
  if (!good) ellm_fail(err, ELLM_ERR_INPUT, "the messages are nested too deep");
  for (size_t i = 0; good && i < json_array_size(value); i++) {
    json_t *item = marked_copy(m, json_array_get(value, i), depth + 1);
    good = item && json_array_append_new(copy, item) == 0;
  }
  const char *key;
  json_t *field;
  json_object_foreach((json_t *)value, key, field) {
    json_t *item = !good                        ? NULL
                   : is_role(depth, key, field) ? json_deep_copy(field)
                                                : marked_copy(m, field, depth + 1);
    good = item && json_object_set_new(copy, key, item) == 0;
    if (!good) break;
  }
  if (good) return copy;
  json_decref(copy);
  return NULL;
}

ellm_status conversation_ids(chat_format *format, const ellm_tokenizer *tokenizer, json_t *messages, bool prompt,
                             uint32_t **ids, size_t *n_ids, ellm_error *err) {
  marking m = {.tokenizer = tokenizer, .err = err};
  char *all = json_dumps(messages, JSON_COMPACT), *text = NULL;
  size_t bytes = 0;
  *err = (ellm_error){0};
  ellm_status status = all ? ELLM_OK : ellm_fail_memory(err, 64, "a conversation");
  if (status == ELLM_OK && !text_marker_choose(all, strlen(all), &m.marker))
    status = ellm_fail(err, ELLM_ERR_INPUT, "the messages hold all characters of the private use plane 15");
  if (status == ELLM_OK) {
    conversation marked = {.messages = marked_copy(&m, messages, 0)};
    status = marked.messages         ? chat_format_render(format, &marked, prompt, &text, &bytes, err)
             : err->status != ELLM_OK ? err->status
                                      : ellm_fail_memory(err, 64, "a conversation");
    json_decref(marked.messages);
  }
  if (status == ELLM_OK) status = text_encode_marked(tokenizer, &m.marker, text, bytes, ids, n_ids, err);
  free(text);
  free(all);
  return status;
}

/* ---------------------------------------------------------------- messages */

static ellm_status check_messages(const char *path, const json_t *messages, ellm_error *err) {
  if (!json_is_array(messages))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a list of messages is expected, or an object with one in \"messages\"",
                     path);
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: message %zu is not an object", path, i + 1);
  return ELLM_OK;
}

ellm_status conversation_read(const char *path, conversation *c, ellm_error *err) {
  const bool from_stdin = strcmp(path, "-") == 0;
  const char *origin = from_stdin ? "standard input" : path;
  char *text = NULL;
  uint8_t *data = NULL;
  size_t bytes = 0;
  *c = (conversation){0};
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

ellm_status conversation_of_text(const char *system, const char *text, size_t bytes, conversation *c, ellm_error *err) {
  *c = (conversation){.root = json_array()};
  bool good = c->root != NULL;
  if (good && system)
    good = json_array_append_new(c->root, json_pack("{s:s, s:s}", "role", "system", "content", system)) == 0;
  good = good && json_array_append_new(
                     c->root, json_pack("{s:s, s:s%}", "role", "user", "content", text, bytes)) == 0;
  c->messages = c->root;
  return good ? ELLM_OK : ellm_fail_memory(err, bytes, "a message");
}

void conversation_free(conversation *c) {
  json_decref(c->root);
  *c = (conversation){0};
}
