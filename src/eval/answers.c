/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/branches.h"
#include "model/score.h"

enum { CAPACITY_STEP = 256 };

struct answerer {
  ellm_model *model;
  ellm_model_info info;
  ellm_context *context;
  size_t more;   /* slots beside those of one sequence */
  float *logits; /* [ANSWERS_MOST][vocab_size] */
};

/* What is fed next to one prompt's branch, and whether its answer is there. */
typedef struct course {
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
  ellm_context_free(a->context);
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

/* A context for n positions and `more` slots beside; a larger one than before begins empty. */
static ellm_status make_room(answerer *a, size_t n, size_t more, ellm_error *err) {
  const size_t had = a->context ? ellm_context_capacity(a->context) : 0;
  if (a->context && n <= had && more <= a->more) return ELLM_OK;
  size_t capacity = (n + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
  if (capacity < had) capacity = had;
  if (capacity > a->info.max_context) capacity = a->info.max_context;
  if (more > a->more) a->more = (more + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
  ellm_context_free(a->context);
  a->context = NULL;
  return context_create(a->model, (uint32_t)capacity, a->more, &a->context, err);
}

static ellm_status ask(const answers_request *r, ellm_error *err) {
  if (!r->go_on || r->go_on(r->user)) return ELLM_OK;
  return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
}

/* One prompt by itself: where branches cannot be (longrope near its boundary). */
static ellm_status run_alone(answerer *a, const answers_request *r, greedy_answer *w, ellm_error *err) {
  course c = {.ended = false};
  ELLM_TRY(context_follow(a->context, w->prompt, w->n_prompt, a->logits, r->go_on, r->user, NULL, err));
  ELLM_TRY(choose(a, r, a->logits, w, &c, err));
  while (!c.ended) {
    ELLM_TRY(ask(r, err));
    ELLM_TRY(ellm_context_eval(a->context, &c.token, 1, a->logits, 1, err));
    ELLM_TRY(choose(a, r, a->logits, w, &c, err));
  }
  return ELLM_OK;
}

/* One batch: tokens of the answers that have not ended, prompts first to come as far as there is room. */
static ellm_status step(answerer *a, const answers_request *r, greedy_answer *answers, course *courses,
                        context_branch *branches, size_t n, bool *any, ellm_error *err) {
  context_branch batch[ANSWERS_MOST];
  size_t of[ANSWERS_MOST], count = 0, left = a->context->batch;
  for (size_t i = 0; i < n && left > 0; i++) {
    course *c = &courses[i];
    if (c->ended) continue;
    branches[i].ids = c->next;
    branches[i].n = c->n_next < left ? c->n_next : left;
    branches[i].n_logits = branches[i].n == c->n_next;
    left -= branches[i].n;
    c->next += branches[i].n;
    c->n_next -= branches[i].n;
    of[count] = i;
    batch[count++] = branches[i];
  }
  *any = count > 0;
  if (!*any) return ELLM_OK;
  ELLM_TRY(ask(r, err));
  ELLM_TRY(context_branches_eval(a->context, batch, count, a->logits, err));
  const float *row = a->logits;
  for (size_t k = 0; k < count; k++) {
    branches[of[k]].length = batch[k].length;
    if (batch[k].n_logits == 0) continue;
    ELLM_TRY(choose(a, r, row, &answers[of[k]], &courses[of[k]], err));
    row += a->info.vocab_size;
  }
  return ELLM_OK;
}

static ellm_status run_together(answerer *a, const answers_request *r, greedy_answer *answers, size_t n, size_t common,
                                ellm_error *err) {
  course courses[ANSWERS_MOST];
  context_branch branches[ANSWERS_MOST];
  uint32_t slot = context_branch_first_slot(a->context);
  for (size_t i = 0; i < n; i++) {
    const size_t own = answers[i].n_prompt - common;
    courses[i] = (course){.next = answers[i].prompt + common, .n_next = own};
    context_branch_begin(a->context, slot, &branches[i]);
    slot += (uint32_t)context_branch_slots((uint32_t)common, own + r->max_new);
  }
  for (bool any = true; any;) ELLM_TRY(step(a, r, answers, courses, branches, n, &any, err));
  return ELLM_OK;
}

/* Ids that all prompts begin with; each keeps one of its own at least. */
static size_t common_prefix(const greedy_answer *answers, size_t n) {
  size_t common = answers[0].n_prompt - 1;
  for (size_t i = 1; i < n; i++) {
    const size_t most = answers[i].n_prompt - 1 < common ? answers[i].n_prompt - 1 : common;
    common = context_common_ids(answers[i].prompt, answers[0].prompt, most);
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

/* Slots of the branches of n prompts that share `common` ids. */
static size_t branch_slots(const greedy_answer *answers, size_t n, size_t common, size_t max_new) {
  size_t slots = 0;
  for (size_t i = 0; i < n; i++)
    slots += context_branch_slots((uint32_t)common, answers[i].n_prompt + max_new - common);
  return slots;
}

size_t answers_together(const greedy_answer *answers, size_t n, size_t max_new) {
  const size_t sequence = longest(answers, n, max_new), most = sequence > ANSWERS_SLOTS ? sequence : ANSWERS_SLOTS;
  while (n > 1 && branch_slots(answers, n, common_prefix(answers, n), max_new) > most) n--;
  return n;
}

/* The first prompts that there is room for together, *n of them. */
static ellm_status run_some(answerer *a, const answers_request *r, greedy_answer *answers, size_t *n,
                            ellm_error *err) {
  const size_t positions = longest(answers, *n, r->max_new);
  *n = answers_together(answers, *n, r->max_new);
  const size_t common = common_prefix(answers, *n);
  ELLM_TRY(make_room(a, positions, *n > 1 ? branch_slots(answers, *n, common, r->max_new) : 0, err));
  if (*n == 1) return run_alone(a, r, answers, err);
  ELLM_TRY(context_follow(a->context, answers[0].prompt, common, NULL, r->go_on, r->user, NULL, err));
  bool together = context_can_branch(a->context, common + 1);
  for (size_t i = 0; i < *n; i++)
    together = together && context_can_branch(a->context, answers[i].n_prompt + r->max_new);
  if (together) return run_together(a, r, answers, *n, common, err);
  for (size_t i = 0; i < *n; i++) ELLM_TRY(run_alone(a, r, &answers[i], err));
  return ELLM_OK;
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
