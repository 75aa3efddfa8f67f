/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may type instead of a message. */
#ifndef ELLM_CLI_CHAT_COMMANDS_H
#define ELLM_CLI_CHAT_COMMANDS_H

#include "cli/chat_messages.h"

/* "/name ..." without the slash. */
void chat_command(chat *c, const char *text);
/* For --help. */
extern const char chat_command_help[];

#endif
