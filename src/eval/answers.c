/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* The pool has room for the longest prompt and for these positions. */
enum { ANSWERS_POSITIONS = 4096 };

struct answerer {
  ellm_model *model;
  ellm_generator *generator; /* keeps the last sequence: prompts begin alike */
};

/* An answer that the generator is at. */
typedef struct running_answer {
  const answers_request *request;
  greedy_answer *own;
  ellm_answer *answer;
  bool stopped;
  ellm_status status;
  ellm_error err;
} running_answer;

ellm_status answerer_create(ellm_model *model, answerer **out, ellm_error *err) {
  ellm_generator_options options;
  answerer *a = calloc(1, sizeof *a);
  *out = NULL;
  if (!a) return ellm_fail_memory(err, sizeof *a, "answers");
  a->model = model;
  ellm_generator_options_init(&options);
  options.most = ANSWERS_MOST;
  options.piece = 256; /* nobody waits for the next word */
  options.keep = 1;
  const ellm_status status = ellm_generator_create(model, &options, &a->generator, err);
  if (status == ELLM_OK) *out = a;
  else free(a);
  return status;
}

void answerer_free(answerer *a) {
  if (!a) return;
  ellm_generator_free(a->generator);
  free(a);
}

/* --------------------------------------------------------------------- texts */

/* Cut the text at the first stop string; true if there is one. */
static bool cut_at_stop(const answers_request *r, char *text, size_t *bytes) {
  bool found = false;
  for (size_t i = 0; i < r->n_stops; i++) {
    char *at = strstr(text, r->stops[i]);
    if (!at) continue;
    *at = '\0';
    *bytes = (size_t)(at - text);
    found = true;
  }
  return found;
}

/* The answer's text; *stopped: a stop string is in it, perhaps as a special token. */
static ellm_status decode(const answers_request *r, greedy_answer *w, bool *stopped, ellm_error *err) {
  char *whole = NULL;
  size_t bytes;
  free(w->text);
  w->text = NULL;
  ELLM_TRY(ellm_tokenizer_decode(r->tokenizer, w->generated, w->n_generated, false, &whole, &bytes, err));
  *stopped = cut_at_stop(r, whole, &bytes);
  free(whole);
  ELLM_TRY(ellm_tokenizer_decode(r->tokenizer, w->generated, w->n_generated, true, &w->text, &w->bytes, err));
  if (cut_at_stop(r, w->text, &w->bytes)) *stopped = true;
  return ELLM_OK;
}

/* A stop string ends the answer. It is looked for here, as it may be a special token, which answers have not. */
static bool take(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  running_answer *c = user;
  size_t n;
  const uint32_t *ids = ellm_answer_ids(answer, &n);
  if (!part->has_id) return true;
  c->own->n_generated = n;
  c->own->generated[n - 1] = ids[n - 1];
  c->status = decode(c->request, c->own, &c->stopped, &c->err);
  return c->status == ELLM_OK && !c->stopped;
}

/* ------------------------------------------------------------------ answering */

static ellm_status begin(answerer *a, running_answer *c, ellm_error *err) {
  ellm_request r;
  bool stopped;
  ellm_request_init(&r);
  r.prompt = c->own->prompt;
  r.n_prompt = c->own->n_prompt;
  r.limit = c->request->max_new;
  r.no_text = true;
  r.take = take;
  r.user = c;
  ELLM_TRY(decode(c->request, c->own, &stopped, err)); /* the text of no ids */
  return ellm_generator_add(a->generator, &r, &c->answer, err);
}

static ellm_status finish(const running_answer *c, ellm_error *err) {
  if (c->status != ELLM_OK) {
    if (err) *err = c->err;
    return c->status;
  }
  return ellm_answer_error(c->answer, err);
}

static size_t longest_prompt(const greedy_answer *answers, size_t n) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++)
    if (answers[i].n_prompt > most) most = answers[i].n_prompt;
  return most;
}

ellm_status answers_run(answerer *a, const answers_request *request, greedy_answer *answers, size_t n,
                        ellm_error *err) {
  running_answer running[ANSWERS_MOST];
  ellm_status status = ellm_model_reserve(
      a->model, (uint32_t)(longest_prompt(answers, n) + request->max_new + ANSWERS_POSITIONS), err);
  for (size_t i = 0; i < n; i++) {
    answers[i].n_generated = 0;
    answers[i].text = NULL;
    running[i] = (running_answer){.request = request, .own = &answers[i]};
  }
  for (size_t i = 0; i < n && status == ELLM_OK; i++) status = begin(a, &running[i], err);
  if (status == ELLM_OK) status = ellm_generator_run(a->generator, request->go_on, request->user, err);
  for (size_t i = 0; i < n; i++) {
    if (status == ELLM_OK) status = finish(&running[i], err);
    ellm_answer_free(running[i].answer);
  }
  return status;
}
