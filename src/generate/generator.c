/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generators and their requests, as entrollm.h has them: making and freeing, checking what is asked for, and handing
 * out results. What goes into a batch, and when, is decided in schedule.c; what becomes of logits in answer.c. A
 * generator belongs to one thread at a time; only ellm_answer_cancel may come from another.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "generate/schedule.h"
#include "model/sequence.h"

void ellm_generator_options_init_sized(ellm_generator_options *given, size_t size) {
  const ellm_generator_options own = {.size = size};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_request_init_sized(ellm_request *given, size_t size) {
  const ellm_request own = {.size = size, .limit = SIZE_MAX};
  ellm_sized_init(given, &own, sizeof own);
}

const char *ellm_end_name(ellm_end end) {
  static const char *const names[] = {"running", "length", "eos", "stop", "context", "full", "cancelled", "failed",
                                      "grammar"};
  return (size_t)end < sizeof names / sizeof *names ? names[end] : "unknown";
}

/* Logits of a whole batch and all lists have their largest size from the start: a step allocates nothing for them. */
ellm_status ellm_generator_create(ellm_model *model, const ellm_generator_options *given, ellm_generator **out,
                                  ellm_error *err) {
  *out = NULL;
  ELLM_SIZED(ellm_generator_options, options, given, err);
  if (options.most > GENERATOR_ROWS || options.keep > GENERATOR_ROWS)
    return ellm_fail(err, ELLM_ERR_USAGE, "a generator computes and keeps at most %d answers", GENERATOR_ROWS);
  ellm_generator *g = calloc(1, sizeof *g);
  if (!g) return ellm_fail_memory(err, sizeof *g, "a generator");
  g->model = model;
  model_retain(model);
  ellm_model_get_info(model, &g->info);
  g->most = options.most > 0 ? options.most : GENERATOR_MOST;
  g->piece = options.piece > 0 ? options.piece : GENERATOR_PIECE;
  g->keep = options.keep;
  size_t bytes = 0;
  const bool fits = ellm_mul_size(g->info.vocab_size, g->most * sizeof *g->logits, &bytes);
  g->logits = fits ? ellm_aligned_calloc(1, bytes) : NULL;
  g->active = calloc(g->most, sizeof *g->active);
  g->items = calloc(g->most, sizeof *g->items);
  g->owners = calloc(g->most, sizeof *g->owners);
  g->kept = calloc(g->keep + 1, sizeof *g->kept);
  if (!g->logits || !g->active || !g->items || !g->owners || !g->kept) {
    ellm_generator_free(g);
    return ellm_fail_memory(err, bytes, "a generator");
  }
  *out = g;
  return ELLM_OK;
}

/* Answers that nobody has freed go with it. */
void ellm_generator_free(ellm_generator *g) {
  if (!g) return;
  while (g->answers) ellm_answer_free(g->answers);
  for (size_t i = 0; i < g->n_kept; i++) ellm_sequence_free(g->kept[i]);
  free(g->kept);
  free(g->active);
  free(g->items);
  free(g->owners);
  ellm_aligned_free(g->logits);
  model_release(g->model);
  free(g);
}

/* All that can be wrong with a request is said now, and not when it begins. */
static ellm_status check_request(const ellm_generator *g, const ellm_request *r, ellm_error *err) {
  const uint32_t context = g->info.max_context, most = r->positions > 0 ? r->positions : context;
  const char *reason = g->info.max_context_reason, *colon = reason ? ": " : "";
  if (!reason) reason = "";
  if (most > context)
    return ellm_fail(err, ELLM_ERR_INPUT, "a context of %u tokens is more than the model's %u%s%s", (unsigned)most,
                     (unsigned)context, colon, reason);
  if (r->n_prompt == 0 || r->prompt == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "the prompt has no tokens");
  if (r->n_prompt > most)
    return ellm_fail(err, ELLM_ERR_INPUT, "the prompt has %zu tokens, more than the %scontext of %u%s%s", r->n_prompt,
                     most == context ? "model's " : "", (unsigned)most, colon, reason);
  for (size_t i = 0; i < r->n_prompt; i++)
    if (r->prompt[i] >= g->info.vocab_size)
      return ellm_fail(err, ELLM_ERR_INPUT, "token id %u of the prompt is beyond the %u rows of the embedding",
                       (unsigned)r->prompt[i], (unsigned)g->info.vocab_size);
  if (r->n_stops > 0 && !r->stops) return ellm_fail(err, ELLM_ERR_USAGE, "the %zu stop strings are missing", r->n_stops);
  for (size_t i = 0; i < r->n_stops; i++)
    if (!r->stops[i] || !*r->stops[i]) return ellm_fail(err, ELLM_ERR_USAGE, "a stop string is empty");
  if (r->sequence && r->sequence->model != g->model)
    return ellm_fail(err, ELLM_ERR_USAGE, "the sequence of the request is one of another model");
  for (const ellm_answer *a = g->answers; a && r->sequence; a = a->next)
    if (a->given == r->sequence && a->state != ANSWER_ENDED)
      return ellm_fail(err, ELLM_ERR_USAGE, "the sequence of the request has an answer that has not ended");
  if (r->n_chances > ELLM_MAX_CHANCES)
    return ellm_fail(err, ELLM_ERR_USAGE, "%zu chances are more than %d", r->n_chances, ELLM_MAX_CHANCES);
  if (r->no_text && r->n_stops > 0) return ellm_fail(err, ELLM_ERR_USAGE, "stop strings need text");
  return ELLM_OK;
}

/* It waits behind the others; nothing is computed before the next step. */
ellm_status ellm_generator_add(ellm_generator *g, const ellm_request *request, ellm_answer **out, ellm_error *err) {
  *out = NULL;
  ELLM_SIZED(ellm_request, own, request, err);
  if (atomic_load(&g->model->closed)) return model_fail_closed(g->model, err);
  ELLM_TRY(check_request(g, &own, err));
  ellm_answer *a;
  const ellm_status status = answer_create(g, g->model, &g->info, &own, &a, err);
  if (status != ELLM_OK) {
    answer_destroy(a);
    return status;
  }
  ellm_answer **last = &g->answers;
  while (*last) last = &(*last)->next;
  *last = a;
  *out = a;
  return ELLM_OK;
}

const ellm_sequence *ellm_generator_kept(const ellm_generator *g, size_t index) {
  return index < g->n_kept ? g->kept[index] : NULL;
}

ellm_status ellm_generator_keep(ellm_generator *g, ellm_sequence *sequence, ellm_error *err) {
  if (sequence->model != g->model) return ellm_fail(err, ELLM_ERR_USAGE, "the sequence is one of another model");
  schedule_keep(g, sequence);
  return ELLM_OK;
}

/* One that is at work leaves the batch, and gives its pages back. */
void ellm_answer_free(ellm_answer *a) {
  if (!a) return;
  ellm_generator *g = a->generator;
  ellm_answer **at = &g->answers;
  if (a->state == ANSWER_ACTIVE) schedule_leave(g, a);
  while (*at != a) at = &(*at)->next;
  *at = a->next;
  answer_destroy(a);
}

void ellm_answer_cancel(ellm_answer *a) { atomic_store(&a->cancelled, true); }

ellm_status ellm_generator_step(ellm_generator *g, bool *more, ellm_error *err) {
  bool own;
  return schedule_step(g, more ? more : &own, err);
}

ellm_status ellm_generator_run(ellm_generator *g, bool (*go_on)(void *user), void *user, ellm_error *err) {
  for (bool more = true; more;) {
    if (go_on && !go_on(user)) return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
    ELLM_TRY(schedule_step(g, &more, err));
  }
  return ELLM_OK;
}

/* ------------------------------------------------------------------- results */

void ellm_answer_get_info(const ellm_answer *a, ellm_answer_info *info) {
  *info = (ellm_answer_info){.end = a->end,
                             .n_prompt = a->first_prompt,
                             .n_kept = a->n_kept,
                             .n_ids = a->n_ids,
                             .prompt_seconds = a->prompt_seconds,
                             .seconds = a->seconds};
}

const uint32_t *ellm_answer_ids(const ellm_answer *a, size_t *n_ids) {
  if (n_ids != NULL) *n_ids = a->n_ids;
  return a->ids + a->n_prompt;
}

const char *ellm_answer_text(const ellm_answer *a, size_t *bytes) {
  if (bytes != NULL) *bytes = a->text.size;
  return a->text.data ? (const char *)a->text.data : "";
}

ellm_status ellm_answer_error(const ellm_answer *a, ellm_error *err) {
  if (a->end != ELLM_END_FAILED) return ELLM_OK;
  if (err) *err = a->err;
  return a->err.status;
}
