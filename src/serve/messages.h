/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation of a request, from the form of OpenAI's clients to the one that chat templates know. */
#ifndef ELLM_SERVE_MESSAGES_H
#define ELLM_SERVE_MESSAGES_H

#include "serve/fields.h"

/*
 * A conversation for ellm_chat: "messages", "tools" where there are some and tool_choice is not "none", and the
 * fields of chat_template_kwargs. Contents that are lists of text parts become one text, "developer" becomes "system",
 * and the arguments of tool calls become objects, as templates have them. The caller owns *conversation.
 */
bool messages_read(const json_t *body, json_t **conversation, problem *p);
/* Where tool_choice asks for a call: the JSON Schema of it, for a body that messages_read took; else NULL. The caller
 * owns it. */
bool messages_forced_call(const json_t *body, json_t **schema, problem *p);

#endif
