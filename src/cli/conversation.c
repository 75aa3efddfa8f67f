/* SPDX-License-Identifier: Apache-2.0 */
/* See conversation.h. No weights are read, only the small files beside them. */
#include "cli/conversation.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "template/template.h"

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

ellm_status conversation_render(const char *model, const conversation *c, bool prompt, char **text, size_t *bytes,
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

ellm_status conversation_of_text(const char *text, conversation *c, ellm_error *err) {
  *c = (conversation){.root = json_pack("[{s:s, s:s}]", "role", "user", "content", text)};
  c->messages = c->root;
  return c->root ? ELLM_OK : ellm_fail_memory(err, strlen(text), "a message");
}

void conversation_free(conversation *c) {
  json_decref(c->root);
  *c = (conversation){0};
}
