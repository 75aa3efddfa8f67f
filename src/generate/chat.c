/* SPDX-License-Identifier: Apache-2.0 */
/* Which template a model has for a conversation, and the variables that it sees. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sized.h"
#include "generate/chat_end.h"
#include "generate/chat_marks.h"
#include "model/model.h"

void ellm_chat_options_init_sized(ellm_chat_options *given, size_t size) {
  const ellm_chat_options own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_conversation_init_sized(ellm_conversation *given, size_t size) {
  const ellm_conversation own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

static const void *asset(void *user, const char *name, size_t *bytes) {
  const tensor_source *from = user;
  return source_asset(from, name, bytes);
}

/* --------------------------------------------------------------- templates */

/* A template that is not understood is an error when it is expected; one that the system does not give is one now. */
static ellm_status choose(tensor_source *from, const char *origin, const char *name, chat_choice *choice,
                          ellm_error *err) {
  choice->status = chat_template_find(asset, from, origin, name, &choice->template_, &choice->err);
  if (choice->status != ELLM_ERR_IO) return ELLM_OK;
  if (err) *err = choice->err;
  return choice->status;
}

/* The templates; an error only where none can be used at all. */
static ellm_status find_templates(ellm_chat *chat, tensor_source *from, const char *origin, const ellm_chat_options *o,
                                  ellm_error *err) {
  if (o->source) {
    return chat_template_create(o->source, o->source_bytes, o->origin ? o->origin : "the template",
                                &chat->plain.template_, err);
  }
  ELLM_TRY(choose(from, origin, o->name ? o->name : "default", &chat->plain, err));
  if (!o->name) ELLM_TRY(choose(from, origin, "tool_use", &chat->tools, err));
  if (o->name && chat->plain.status == ELLM_OK && !chat->plain.template_)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: the model has no chat template named '%s'", origin, o->name);
  if (chat->plain.status == ELLM_OK || chat->tools.template_) return ELLM_OK;
  if (err) *err = chat->plain.err;
  return chat->plain.status;
}

static ellm_status open_chat(tensor_source *from, const char *origin, const ellm_chat_options *given, ellm_chat **out,
                             ellm_error *err) {
  *out = NULL;
  ELLM_SIZED(ellm_chat_options, options, given, err);
  ellm_chat *chat = calloc(1, sizeof *chat);
  if (!chat) return ellm_fail_memory(err, sizeof *chat, "a chat template");
  ellm_status status = find_templates(chat, from, origin, &options, err);
  if (status == ELLM_OK) status = chat_template_tokens(asset, from, origin, &chat->tokens, err);
  if (status == ELLM_OK) *out = chat;
  else ellm_chat_free(chat);
  return status;
}

ellm_status ellm_chat_open_files(const char *path, const ellm_chat_options *options, ellm_chat **chat,
                                 ellm_error *err) {
  const source_options small = {.small_files_only = true, .parts = true};
  tensor_source *from;
  *chat = NULL;
  ELLM_TRY(source_open(path, &small, &from, err));
  const ellm_status status = open_chat(from, path, options, chat, err);
  source_close(from);
  return status;
}

static void take_end_ids(ellm_model *model, ellm_chat *chat) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  for (size_t i = 0; i < info.n_eos; i++) chat->end_ids[chat->n_end_ids++] = info.eos_ids[i];
}

ellm_status ellm_chat_open(ellm_model *model, const ellm_chat_options *options, ellm_chat **out, ellm_error *err) {
  ellm_chat *chat;
  *out = NULL;
  ELLM_TRY(open_chat(model->source, model->path, options, &chat, err));
  chat->model = model;
  model_retain(model);
  ellm_status status = ellm_model_tokenizer(model, &chat->tokenizer, err);
  if (status == ELLM_OK) {
    take_end_ids(model, chat);
    status = chat_find_end(chat, err);
  }
  if (status == ELLM_OK) *out = chat;
  else ellm_chat_free(chat);
  return status;
}

void ellm_chat_free(ellm_chat *chat) {
  if (!chat) return;
  chat_template_free(chat->plain.template_);
  chat_template_free(chat->tools.template_);
  json_decref(chat->tokens);
  if (chat->model) model_release(chat->model);
  free(chat);
}

size_t ellm_chat_end_ids(const ellm_chat *chat, const uint32_t **ids) {
  *ids = chat->end_ids;
  return chat->n_end_ids;
}

/* -------------------------------------------------------------- conversations */

static ellm_status check(const json_t *root, const char *origin, ellm_error *err) {
  const json_t *messages = json_is_object(root) ? json_object_get(root, "messages") : root;
  const json_t *tools = json_object_get(root, "tools");
  if (!json_is_array(messages))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: a list of messages is expected, or an object with one in \"messages\"",
                     origin);
  for (size_t i = 0; i < json_array_size(messages); i++)
    if (!json_is_object(json_array_get(messages, i)))
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: message %zu is not an object", origin, i + 1);
  if (tools && !json_is_array(tools) && !json_is_null(tools))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: \"tools\" is not a list", origin);
  return ELLM_OK;
}

/* Parse a conversation; caller json_decref's r->root, also after an error. */
static ellm_status begin(const ellm_chat *chat, const ellm_conversation *given, chat_rendering *r,
                         ellm_conversation *taken, ellm_error *err) {
  *r = (chat_rendering){.chat = chat};
  ellm_conversation_init(taken);
  ELLM_TRY(ellm_sized_copy(taken, sizeof *taken, given, "ellm_conversation", err));
  if (!taken->json) return ellm_fail(err, ELLM_ERR_USAGE, "ellm_conversation: json is NULL");
  const char *origin = taken->origin ? taken->origin : "the conversation";
  r->answer = taken->answer;
  r->now = taken->now;
  ELLM_TRY(json_parse(taken->json, taken->bytes, origin, &r->root, err));
  return check(r->root, origin, err);
}

ellm_status ellm_chat_render(const ellm_chat *chat, const ellm_conversation *conversation, char **text, size_t *bytes,
                             ellm_error *err) {
  chat_rendering r;
  ellm_conversation c;
  *text = NULL;
  *bytes = 0;
  ellm_status status = begin(chat, conversation, &r, &c, err);
  if (status == ELLM_OK) status = chat_render(&r, text, bytes, err);
  json_decref(r.root);
  return status;
}

static ellm_status encode_recognized(const chat_rendering *r, uint32_t **ids, size_t *n_ids, ellm_error *err) {
  char *text;
  size_t bytes;
  ELLM_TRY(chat_render(r, &text, &bytes, err));
  const ellm_status status =
      ellm_tokenizer_encode(r->chat->tokenizer, text, bytes, ELLM_ENCODE_NO_POST, ids, n_ids, err);
  free(text);
  return status;
}

ellm_status ellm_chat_encode(const ellm_chat *chat, const ellm_conversation *conversation, uint32_t **ids,
                             size_t *n_ids, ellm_error *err) {
  chat_rendering r;
  ellm_conversation c;
  *ids = NULL;
  *n_ids = 0;
  if (!chat->tokenizer) return ellm_fail(err, ELLM_ERR_USAGE, "a chat that was opened without a model has no tokenizer");
  ellm_status status = begin(chat, conversation, &r, &c, err);
  if (status == ELLM_OK && c.recognize_special) status = encode_recognized(&r, ids, n_ids, err);
  else if (status == ELLM_OK) status = chat_encode_marked(&r, ids, n_ids, err);
  json_decref(r.root);
  return status;
}
