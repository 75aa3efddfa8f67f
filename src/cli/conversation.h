/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation and how a model's chat template renders it: what render and run --chat share. */
#ifndef ELLM_CLI_CONVERSATION_H
#define ELLM_CLI_CONVERSATION_H

#include "cli/cli.h"

/* root owns all: a list of messages, or an object that holds it. tools and documents may be NULL. */
typedef struct conversation { json_t *root, *messages, *tools, *documents; } conversation;

/* One message of the user; text is valid UTF-8. */
ellm_status conversation_of_text(const char *text, conversation *c, ellm_error *err);
void conversation_free(conversation *c);

/* model: a .ellm file or a folder with a chat template. prompt: end with the beginning of an answer. *text is
 * malloc'ed; a template that refuses, or is not understood, is ELLM_ERR_INPUT. */
ellm_status conversation_render(const char *model, const conversation *c, bool prompt, char **text, size_t *bytes,
                                ellm_error *err);

#endif
