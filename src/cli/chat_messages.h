/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with a model. The messages are the truth: before each answer
 * they are rendered and tokenized again, and the context, which still holds what
 * was evaluated before, keeps the positions that agree.
 */
#ifndef ELLM_CLI_CHAT_MESSAGES_H
#define ELLM_CLI_CHAT_MESSAGES_H

#include "cli/conversation.h"
#include "cli/generate.h"
#include "cli/lines.h"
#include "cli/sampling.h"

typedef struct chat {
  ellm_model *model;
  char *path;
  const ellm_tokenizer *tokenizer;
  ellm_model_info info;
  ellm_sequence *sequence;
  uint32_t capacity;     /* positions that it may have */
  ellm_chat *format;
  json_t *messages;      /* objects with "role" and "content" */
  json_t *more;          /* what else a loaded conversation held: tools and the like */
  json_t *variables;     /* of the template */
  cli_sampling settings; /* of the next answer */
  ellm_grammar *grammar; /* of all answers; NULL: any text */
  line_reader *lines;
  bool terminal;         /* the input is one: a person, who may interrupt answers */
  bool color;            /* of what goes to standard error */
  bool quit;
  int status;            /* exit status; of the first failure where the input is no terminal */
  size_t read_tokens, written_tokens; /* evaluated, generated: of all answers */
  double read_seconds, written_seconds;
  size_t answers, dropped;            /* turns dropped as the context was full */
} chat;

/* Something to say on standard error, unless quiet: one line. */
void chat_say(const chat *c, const char *format, ...) PROG_PRINTF(2, 3);
/* An error of the library; counts where the input is no terminal. */
void chat_fail(chat *c, const ellm_error *err);
void chat_complain(chat *c, ellm_status status, const char *format, ...) PROG_PRINTF(3, 4);

/* Role of message i, "" beyond the end. */
const char *chat_role(const chat *c, size_t i);
bool chat_append(chat *c, const char *role, const char *text, size_t bytes); /* false: no memory, said */
/* How many messages are before the first turn: those of the system. */
size_t chat_head(const chat *c);

#endif
