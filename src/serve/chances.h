/* SPDX-License-Identifier: Apache-2.0 */
/* Log-probabilities of an answer's tokens, in the two forms that OpenAI's API has. */
#ifndef ELLM_SERVE_CHANCES_H
#define ELLM_SERVE_CHANCES_H

#include "serve/server.h"

/* What has been gathered; all zero: nothing. Of chats `entries` alone. */
typedef struct chances {
  bool any;
  prog_buffer entries;         /* of a chat: objects of "content" */
  prog_buffer logs, tops, offsets; /* of a text: its tokens are in `entries` */
  size_t offset;               /* characters of all tokens so far */
} chances;

/* Add the token that a part brings; `top` of its likeliest ids are told. */
void chances_add(chances *c, const server *s, bool chat, size_t top, const ellm_answer_part *part);
/* The value of "logprobs"; null where nothing was gathered. */
void chances_json(const chances *c, bool chat, prog_buffer *out);
/* Forget the tokens, but not how many characters they had. */
void chances_clear(chances *c);

#endif
