/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations through a model's chat template. What entrollm.h declares of them
 * (ellm_chat_...) is made of four parts: the templates that a model has (chat.c),
 * the text of a conversation (here), its ids with the special tokens of the template
 * alone (chat_marks.h), and the token that ends an answer (chat_end.h).
 */
#ifndef ELLM_GENERATE_CHAT_RENDER_H
#define ELLM_GENERATE_CHAT_RENDER_H

#include "base/status.h"
#include "json/json.h"
#include "template/template.h"

/* A template, or why there is none. */
typedef struct chat_choice {
  chat_template *template_;
  ellm_status status;
  ellm_error err;
} chat_choice;

enum { CHAT_MAX_END_IDS = 17 }; /* those of ellm_model_info and one */

struct ellm_chat {
  ellm_model *model;               /* counts it, for its tokenizer; NULL: opened without one */
  const ellm_tokenizer *tokenizer; /* NULL: none, texts only */
  json_t *tokens;                  /* variables: the special tokens' texts */
  chat_choice plain, tools;        /* for conversations without and with tools; tools: NULL and ELLM_OK, as without */
  uint32_t end_ids[CHAT_MAX_END_IDS];
  size_t n_end_ids;
};

/* One rendering of variables (messages, tools, ..., without the special tokens' texts). */
typedef struct chat_rendering {
  const ellm_chat *chat;
  json_t *root;          /* the conversation: a list of messages, or an object */
  bool answer;
  const struct tm *now;
} chat_rendering;
ellm_status chat_render(const chat_rendering *r, char **text, size_t *bytes, ellm_error *err);

#endif
