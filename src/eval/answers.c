/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/score.h"
#include "model/sequence.h"

struct answerer {
  ellm_model *model;
  ellm_model_info info;
  ellm_sequence *sequence; /* holds what the prompts before had in common */
  float *logits; /* [ANSWERS_MOST][vocab_size] */
};

/* A prompt's own sequence, what is fed to it next, and whether its answer is there. */
typedef struct course {
  ellm_sequence *sequence;
  const uint32_t *next;
  size_t n_next;
  uint32_t token; /* the last one generated */
  bool ended;
} course;

ellm_status answerer_create(ellm_model *model, answerer **out, ellm_error *err) {
  answerer *a = calloc(1, sizeof *a);
  size_t row;
  *out = NULL;
  if (!a) return ellm_fail_memory(err, sizeof *a, "answers");
  a->model = model;
  ellm_model_get_info(model, &a->info);
  if (!ellm_mul_size(a->info.vocab_size, ANSWERS_MOST * sizeof *a->logits, &row) ||
      !(a->logits = ellm_aligned_calloc(1, row))) {
    const size_t vocab_size = a->info.vocab_size;
    answerer_free(a);
    return ellm_fail_memory(err, vocab_size * ANSWERS_MOST * sizeof(float), "logits");
  }
  *out = a;
  return ELLM_OK;
}

void answerer_free(answerer *a) {
  if (!a) return;
  ellm_sequence_free(a->sequence);
  ellm_aligned_free(a->logits);
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

/* Add the likeliest token to an answer; the course goes on with it or ends. */
static ellm_status choose(const answerer *a, const answers_request *r, const float *logits, greedy_answer *w, course *c,
                          ellm_error *err) {
  bool stopped;
  c->token = score_top(logits, a->info.vocab_size);
  c->next = &c->token;
  c->n_next = 1;
  c->ended = model_is_eos(&a->info, c->token);
  if (!c->ended) w->generated[w->n_generated++] = c->token;
  ELLM_TRY(decode(r, w, &stopped, err));
  c->ended = c->ended || stopped || w->n_generated == r->max_new;
  return ELLM_OK;
}

/* ------------------------------------------------------------------ computing */

static ellm_status ask(const answers_request *r, ellm_error *err) {
  if (!r->go_on || r->go_on(r->user)) return ELLM_OK;
  return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
}

/* One batch: tokens of the answers that have not ended, prompts first to come as far as there is room. */
static ellm_status step(answerer *a, const answers_request *r, greedy_answer *answers, course *courses, size_t n,
                        bool *any, ellm_error *err) {
  ellm_batch_item batch[ANSWERS_MOST];
  size_t of[ANSWERS_MOST], count = 0, left = BACKEND_MAX_ROWS, rows = 0;
  for (size_t i = 0; i < n && left > 0; i++) {
    course *c = &courses[i];
    if (c->ended) continue;
    const size_t fed = c->n_next < left ? c->n_next : left, n_logits = fed == c->n_next;
    of[count] = i;
    batch[count++] = (ellm_batch_item){c->sequence, c->next, fed, a->logits + rows * a->info.vocab_size, n_logits};
    rows += n_logits;
    left -= fed;
  }
  *any = count > 0;
  if (!*any) return ELLM_OK;
  ELLM_TRY(ask(r, err));
  ELLM_TRY(ellm_evaluate(a->model, batch, count, err));
  for (size_t k = 0; k < count; k++) {
    course *c = &courses[of[k]];
    c->next += batch[k].n_ids;
    c->n_next -= batch[k].n_ids;
    if (batch[k].n_logits == 0) continue;
    ELLM_TRY(ellm_logits_check(batch[k].logits, a->info.vocab_size, ellm_sequence_length(c->sequence) - 1, err));
    ELLM_TRY(choose(a, r, batch[k].logits, &answers[of[k]], c, err));
  }
  return ELLM_OK;
}

static ellm_status run_together(answerer *a, const answers_request *r, greedy_answer *answers, size_t n, size_t common,
                                ellm_error *err) {
  course courses[ANSWERS_MOST] = {{.ended = false}};
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < n && status == ELLM_OK; i++) {
    courses[i].next = answers[i].prompt + common;
    courses[i].n_next = answers[i].n_prompt - common;
    status = ellm_sequence_fork(a->sequence, &courses[i].sequence, err);
    if (status == ELLM_OK)
      status = ellm_sequence_announce(courses[i].sequence, (uint32_t)answers[i].n_prompt, err);
  }
  for (bool any = true; any && status == ELLM_OK;) status = step(a, r, answers, courses, n, &any, err);
  for (size_t i = 0; i < n; i++) ellm_sequence_free(courses[i].sequence);
  return status;
}

/* Ids that all prompts begin with; each keeps one of its own at least. */
static size_t common_prefix(const greedy_answer *answers, size_t n) {
  size_t common = answers[0].n_prompt - 1;
  for (size_t i = 1; i < n; i++) {
    const size_t most = answers[i].n_prompt - 1 < common ? answers[i].n_prompt - 1 : common;
    common = sequence_common_ids(answers[i].prompt, answers[0].prompt, most);
  }
  return common;
}

/* Positions of the longest prompt with its answer. */
static size_t longest(const greedy_answer *answers, size_t n, size_t max_new) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++)
    if (answers[i].n_prompt > most) most = answers[i].n_prompt;
  return most + max_new;
}

/* Positions of the pages that n prompts with their answers take beside the `common` ids that they share. */
static size_t own_positions(const greedy_answer *answers, size_t n, size_t common, size_t max_new) {
  size_t pages = 0;
  for (size_t i = 0; i < n; i++) pages += pages_of(answers[i].n_prompt + max_new) - common / PAGE_POSITIONS;
  return pages * PAGE_POSITIONS;
}

size_t answers_together(const greedy_answer *answers, size_t n, size_t max_new) {
  const size_t sequence = longest(answers, n, max_new), most = sequence > ANSWERS_SLOTS ? sequence : ANSWERS_SLOTS;
  while (n > 1 && own_positions(answers, n, common_prefix(answers, n), max_new) > most) n--;
  return n;
}

/* The first prompts that there is room for together, *n of them. */
static ellm_status run_some(answerer *a, const answers_request *r, greedy_answer *answers, size_t *n,
                            ellm_error *err) {
  const size_t positions = longest(answers, *n, r->max_new);
  *n = answers_together(answers, *n, r->max_new);
  const size_t common = common_prefix(answers, *n);
  /* twice the longest: where longrope's factors change, a fork shares nothing with the sequence that it comes from */
  ELLM_TRY(ellm_model_reserve(
      a->model, (uint32_t)(2 * positions + own_positions(answers, *n, common, r->max_new)), err));
  if (!a->sequence) ELLM_TRY(ellm_sequence_create(a->model, &a->sequence, err));
  ELLM_TRY(sequence_follow(a->sequence, answers[0].prompt, common, NULL, r->go_on, r->user, NULL, err));
  const ellm_status status = run_together(a, r, answers, *n, common, err);
  if (status != ELLM_ERR_FULL || *n == 1) return status;
  for (size_t i = 0; i < *n; i++) answers[i].n_generated = 0;
  *n = 1;
  return run_together(a, r, answers, 1, common, err);
}

ellm_status answers_run(answerer *a, const answers_request *request, greedy_answer *answers, size_t n,
                        ellm_error *err) {
  for (size_t i = 0; i < n; i++) {
    answers[i].n_generated = 0;
    answers[i].text = NULL;
  }
  for (size_t at = 0, count; at < n; at += count) {
    count = n - at;
    ELLM_TRY(run_some(a, request, answers + at, &count, err));
  }
  return ELLM_OK;
}
