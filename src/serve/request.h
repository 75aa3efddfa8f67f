/* SPDX-License-Identifier: Apache-2.0 */
/* What a request for completions asks for. */
#ifndef ELLM_SERVE_REQUEST_H
#define ELLM_SERVE_REQUEST_H

#include "serve/fields.h"
#include "serve/server.h"

enum {
  REQUEST_MOST_CHOICES = 128,
  REQUEST_MOST_STOPS = 64,
  REQUEST_STOP_BYTES = 4096,
  REQUEST_TOKENS = 16, /* of /v1/completions, where no number is given */
  REQUEST_MOST_TOP = 20,
  REQUEST_MOST_BIASES = 1024
};

typedef struct prompt { uint32_t *ids; size_t n; } prompt;

typedef struct request {
  bool chat, stream, include_usage;
  prompt *prompts;         /* [n_prompts]; one of a chat */
  size_t n_prompts;
  size_t n;                /* choices of each */
  size_t limit;            /* new tokens */
  ellm_sampling sampling;  /* of the first choice */
  ellm_bias *biases;       /* of `sampling`, owned here */
  bool logprobs;
  size_t top;              /* likeliest tokens that are told with each */
  char **tool_names;       /* [n_tool_names], those that may be called */
  size_t n_tool_names;
  kept_grammar *grammar;   /* what answers can be; NULL: anything */
  char **stops;            /* [n_stops] */
  size_t n_stops;
  const uint32_t *end_ids; /* [n_end_ids], the chat's; NULL: the model's */
  size_t n_end_ids;
} request;

/* Of a body of /v1/chat/completions or /v1/completions; what is wrong is a problem, and NULL is returned. */
request *request_read(server *s, bool chat, const json_t *body, problem *p);
void request_free(request *r);
/* How many answers it takes. */
size_t request_answers(const request *r);

/* The ids of a conversation (messages.h); malloc'ed. */
bool request_chat_ids(const server *s, const json_t *conversation, prompt *ids, problem *p);
/* The text of the conversation that a body of a chat has; malloc'ed. */
bool request_chat_text(const server *s, const json_t *body, char **out, size_t *bytes, problem *p);

#endif
