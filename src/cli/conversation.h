/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations and how a model's chat template renders them: what render, run --chat and chat share. */
#ifndef ELLM_CLI_CONVERSATION_H
#define ELLM_CLI_CONVERSATION_H

#include "cli/cli.h"

/* root owns all: a list of messages, or an object that holds it. tools and documents may be NULL. */
typedef struct conversation { json_t *root, *messages, *tools, *documents; } conversation;

/* One message of the user, after one of the system where `system` is not NULL; both are valid UTF-8. */
ellm_status conversation_of_text(const char *system, const char *text, size_t bytes, conversation *c, ellm_error *err);
/* A file ("-": standard input) with a list of messages, or an object with it and with tools, documents and whatever
 * else the template asks for. To be freed also after an error. */
ellm_status conversation_read(const char *path, conversation *c, ellm_error *err);
void conversation_free(conversation *c);

/* model: a .ellm file or a folder with a chat template. prompt: end with the beginning of an answer. *text is
 * malloc'ed; a template that refuses, or is not understood, is ELLM_ERR_INPUT. */
ellm_status conversation_render(const char *model, const conversation *c, bool prompt, char **text, size_t *bytes,
                                ellm_error *err);

/* The template of a model, kept for many renderings. `tools`: the one for tools, if there is one. */
typedef struct chat_format chat_format;
ellm_status chat_format_open(const char *model, bool tools, chat_format **format, ellm_error *err);
void chat_format_free(chat_format *format);
ellm_status chat_format_render(chat_format *format, const conversation *c, bool prompt, char **text, size_t *bytes,
                               ellm_error *err);

/* The ids of a conversation. Special tokens that stand in the messages are text, but for roles that are names: see
 * text/marked.h. *ids is malloc'ed. */
ellm_status conversation_ids(chat_format *format, const ellm_tokenizer *tokenizer, json_t *messages, bool prompt,
                             uint32_t **ids, size_t *n_ids, ellm_error *err);

#endif
