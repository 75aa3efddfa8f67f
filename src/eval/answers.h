/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy answers to several prompts at once: what the prompts have in common
 * is computed once, and every step makes a token of each answer in one batch.
 * The answers are those of each prompt alone.
 */
#ifndef ELLM_EVAL_ANSWERS_H
#define ELLM_EVAL_ANSWERS_H

#include "base/status.h"

enum { ANSWERS_MOST = 16 }; /* prompts at once; where the model's pool has no room for all, some wait */

/* A prompt and its answer. */
typedef struct greedy_answer {
  const uint32_t *prompt;
  size_t n_prompt;      /* at least 1 */
  uint32_t *generated;  /* [max_new] */
  size_t n_generated;
  char *text;           /* malloc'ed by answers_run: without special tokens, cut at the first stop string */
  size_t bytes;
} greedy_answer;

typedef struct answers_request {
  const ellm_tokenizer *tokenizer;
  size_t max_new;                /* tokens of an answer at most */
  const char *const *stops;      /* an answer ends before the first of them; also special tokens' texts */
  size_t n_stops;
  bool (*go_on)(void *user);     /* asked before every batch; false: ELLM_INTERRUPTED */
  void *user;
} answers_request;

/* What is kept from call to call: the sequence of an answer, as prompts begin alike. */
typedef struct answerer answerer;
ellm_status answerer_create(ellm_model *model, answerer **out, ellm_error *err);
void answerer_free(answerer *a);

/* n <= ANSWERS_MOST prompts, each of which fits the model's context together with max_new. */
ellm_status answers_run(answerer *a, const answers_request *request, greedy_answer *answers, size_t n,
                        ellm_error *err);

#endif
