/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy answers to several prompts at once: what the prompts have in common
 * is computed once, and every step makes a token of each answer in one batch.
 * The answers are those of each prompt alone.
 */
#ifndef ELLM_EVAL_ANSWERS_H
#define ELLM_EVAL_ANSWERS_H

#include "base/status.h"

enum {
  ANSWERS_MOST = 16,   /* prompts at once */
  ANSWERS_SLOTS = 4096 /* positions of the KV cache for what is the prompts' own; more where one prompt has more */
};

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

/* Contexts that are kept from call to call. */
typedef struct answerer answerer;
ellm_status answerer_create(ellm_model *model, answerer **out, ellm_error *err);
void answerer_free(answerer *a);

/* How many prompts, from the first on, are computed together: their own parts must not need more of the KV cache than
 * ANSWERS_SLOTS positions, or the longest prompt with its answer where it has more. 1 or more. */
size_t answers_together(const greedy_answer *answers, size_t n, size_t max_new);

/* n <= ANSWERS_MOST prompts, each of which fits the model's context together with max_new. */
ellm_status answers_run(answerer *a, const answers_request *request, greedy_answer *answers, size_t n,
                        ellm_error *err);

#endif
