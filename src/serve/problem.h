/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a request, or with answering it: a status of HTTP and an error in OpenAI's form. */
#ifndef ELLM_SERVE_PROBLEM_H
#define ELLM_SERVE_PROBLEM_H

#include "entrollm.h"
#include "program/buffer.h"

typedef struct problem {
  int status;         /* of HTTP */
  char param[96];     /* the field, or "" */
  const char *code;   /* for programs; static; NULL: none */
  char message[512];  /* one line */
} problem;

/* Say what is wrong; false, so that who has found it can return that. `param` may be NULL. */
bool problem_set(problem *p, int status, const char *param, const char *format, ...) PROG_PRINTF(4, 5);
/* The same of an error of the library: bad input is the request's fault, all else the server's. */
bool problem_of(problem *p, const char *param, const ellm_error *err);
bool problem_memory(problem *p);
/* {"error": {...}} */
void problem_json(const problem *p, prog_buffer *out);

#endif
