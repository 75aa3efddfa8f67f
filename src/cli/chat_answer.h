/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of `chat`. */
#ifndef ELLM_CLI_CHAT_ANSWER_H
#define ELLM_CLI_CHAT_ANSWER_H

#include "cli/chat_messages.h"

/* Answer the conversation, which ends with a message that is none of the model's. False: there is no answer, and why
 * was said. */
bool chat_answer(chat *c);

#endif
