/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in the forms of OpenAI's API: whole, and as events of a stream. */
#ifndef ELLM_SERVE_REPLY_H
#define ELLM_SERVE_REPLY_H

#include "serve/chances.h"
#include "serve/job.h"

/* What an answer has taken; sums of several are made field by field. */
typedef struct reply_usage {
  size_t prompt, kept, tokens; /* kept: of the prompt, what was there already */
  double prompt_seconds, seconds;
  size_t context;              /* tokens of the longest conversation */
} reply_usage;

/* One choice of a whole answer. */
typedef struct reply_choice {
  size_t index;
  const char *text;        /* [bytes], without the calls of tools in it */
  size_t bytes;
  const char *calls;       /* JSON; NULL: none */
  const char *finish;
  const chances *chances;
} reply_choice;

void reply_whole(const job *j, const reply_choice *choices, size_t n, const reply_usage *usage, prog_buffer *out);

/* Events of a stream. Of a chat the first of each choice names the role. */
void reply_role(const job *j, size_t index, prog_buffer *out);
void reply_part(const job *j, size_t index, const char *piece, size_t bytes, const chances *chances, prog_buffer *out);
/* Call number `call` of a choice begins; a piece of its arguments, which are JSON. */
void reply_call(const job *j, size_t index, size_t call, const char *id, const char *name, const chances *chances,
                prog_buffer *out);
void reply_arguments(const job *j, size_t index, size_t call, const char *piece, size_t bytes, const chances *chances,
                     prog_buffer *out);
void reply_finish(const job *j, size_t index, const char *finish, prog_buffer *out);
/* What comes last: usage, where it is asked for, and the mark of the end. */
void reply_end(const job *j, const reply_usage *usage, prog_buffer *out);

#endif
