/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations as JSON objects, and the options about chat templates: what render, run and chat share. */
#ifndef ELLM_CLI_CONVERSATION_H
#define ELLM_CLI_CONVERSATION_H

#include "cli/cli.h"

typedef struct cli_template {
  const char *choice;    /* a file, or the name of one of the model's templates; NULL: the model's choice */
  option_list variables; /* NAME=VALUE */
} cli_template;

#define CLI_OPTIONS_TEMPLATE(t) \
  OPT_TEXT("template", 0, &(t).choice, "NAME|FILE", \
           "another chat template: one of the model's by its name, or a file"), \
  OPT_LIST("template-var", 0, &(t).variables, "NAME=VALUE", \
           "a variable of the chat template, such as enable_thinking=false;\n" \
           "VALUE is JSON, or else a text; may be given several times")

/* The chat template of `model`, or, where that is NULL, of the files at `path`. */
ellm_status cli_chat_open(ellm_model *model, const char *path, const cli_template *options, ellm_chat **chat,
                          ellm_error *err);
/* The variables that were given, as an object; NULL after an error, which is an exit status in *status. */
json_t *cli_template_variables(const cli_template *options, const char *command, int *status);
/* Set a variable by "NAME=VALUE" in an object; no value removes it. False: there is no name. */
bool cli_template_set(json_t *variables, const char *word);

/* An object with "messages", of a file ("-": standard input) that holds one or only the list. */
ellm_status cli_conversation_read(const char *path, json_t **conversation, ellm_error *err);
/* One with a message of the user, after one of the system where `system` is not NULL; both are valid UTF-8. */
ellm_status cli_conversation_of_text(const char *system, const char *text, size_t bytes, json_t **conversation,
                                     ellm_error *err);

/* Text and ids of a conversation with further variables (NULL: none), which go before its own fields. `origin` names
 * it in errors. answer: end with the beginning of an answer. */
ellm_status cli_conversation_render(const ellm_chat *chat, json_t *conversation, json_t *variables, const char *origin,
                                    bool answer, char **text, size_t *bytes, ellm_error *err);
/* recognize: special tokens in messages are tokens. */
ellm_status cli_conversation_encode(const ellm_chat *chat, json_t *conversation, json_t *variables, bool recognize,
                                    uint32_t **ids, size_t *n_ids, ellm_error *err);

#endif
