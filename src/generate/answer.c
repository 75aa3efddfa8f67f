/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer: from logits to an id, from ids to text, and its end. The text
 * passes two stations that may hold some of it back: the stream, whose
 * characters may be incomplete, and the stop filter, where the end of the text
 * may be the beginning of a stop string.
 */
#include "generate/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sized.h"
#include "generate/sampler.h"
#include "model/score.h"
#include "model/sequence.h"

/* ------------------------------------------------------------------ creation */

static ellm_status copy_ids(const uint32_t *ids, size_t n, uint32_t **copy, ellm_error *err) {
  *copy = calloc(n + 1, sizeof **copy);
  if (!*copy) return ellm_fail_memory(err, (n + 1) * sizeof **copy, "an answer");
  if (n > 0) memcpy(*copy, ids, n * sizeof **copy);
  return ELLM_OK;
}

static ellm_status copy_stops(ellm_answer *a, const ellm_request *r, ellm_error *err) {
  a->stop_texts = calloc(r->n_stops + 1, sizeof *a->stop_texts);
  for (size_t i = 0; a->stop_texts && i < r->n_stops; i++) {
    a->stop_texts[i] = strdup(r->stops[i]);
    if (!a->stop_texts[i]) return ellm_fail_memory(err, strlen(r->stops[i]), "a stop string");
    a->stops.n_stops++;
  }
  a->stops.stops = (const char *const *)a->stop_texts;
  return a->stop_texts ? ELLM_OK : ellm_fail_memory(err, r->n_stops * sizeof *a->stop_texts, "stop strings");
}

/* The prompt goes through the stream unseen: how a piece is written may depend
 * on what is before it (a space at the very start is dropped). */
static ellm_status open_stream(ellm_answer *a, ellm_model *model, ellm_error *err) {
  const ellm_tokenizer *tokenizer;
  const char *text;
  size_t bytes;
  ELLM_TRY(ellm_model_tokenizer(model, &tokenizer, err));
  ELLM_TRY(ellm_stream_create(tokenizer, true, &a->stream, err));
  for (size_t i = 0; i < a->n_prompt; i++) ELLM_TRY(ellm_stream_next(a->stream, a->ids[i], &text, &bytes, err));
  return ELLM_OK;
}

static ellm_status make_sampler(ellm_answer *a, const ellm_sampling *given, ellm_error *err) {
  ellm_sampling greedy;
  ellm_sampling_init(&greedy);
  ELLM_SIZED(ellm_sampling, sampling, given ? given : &greedy, err);
  sampling.n_prompt = a->n_prompt;
  ELLM_TRY(ellm_sampler_create(&sampling, a->vocab_size, &a->sampler, err));
  for (size_t i = 0; i < a->n_prompt; i++) ellm_sampler_accept(a->sampler, a->ids[i]);
  return ELLM_OK;
}

static ellm_status begin_grammar(ellm_answer *a, ellm_model *model, const ellm_grammar *grammar, ellm_error *err) {
  const ellm_tokenizer *tokenizer;
  const size_t words = ((size_t)a->vocab_size + 63) / 64, others = grammar_mask_words(grammar);
  ELLM_TRY(ellm_model_tokenizer(model, &tokenizer, err));
  ELLM_TRY(grammar_check_tokenizer(grammar, tokenizer, err));
  a->allowed = calloc((words > others ? words : others) + 1, sizeof *a->allowed);
  if (!a->allowed) return ellm_fail_memory(err, words * sizeof *a->allowed, "an answer");
  ELLM_TRY(grammar_matcher_create(grammar, &a->matcher, err));
  sampler_allow(a->sampler, a->allowed);
  return ELLM_OK;
}

ellm_status answer_create(ellm_generator *g, ellm_model *model, const ellm_model_info *info, const ellm_request *r,
                          ellm_answer **out, ellm_error *err) {
  ellm_answer *a = *out = calloc(1, sizeof *a);
  if (!a) return ellm_fail_memory(err, sizeof *a, "an answer");
  a->generator = g;
  a->vocab_size = info->vocab_size;
  atomic_init(&a->cancelled, false);
  a->limit = r->limit;
  a->positions = r->positions > 0 ? r->positions : info->max_context;
  a->given = r->sequence;
  a->take = r->take;
  a->make_room = r->make_room;
  a->user = r->user;
  a->n_chances = r->n_chances < info->vocab_size ? r->n_chances : info->vocab_size;
  a->n_prompt = a->first_prompt = r->n_prompt;
  /* room for all that the positions allow, and the last id, which is never fed back */
  const size_t left = a->positions - r->n_prompt + 1;
  a->room = r->n_prompt + (r->limit < left ? r->limit : left);
  a->ids = calloc(a->room, sizeof *a->ids);
  if (!a->ids) return ellm_fail_memory(err, a->room * sizeof *a->ids, "an answer");
  memcpy(a->ids, r->prompt, r->n_prompt * sizeof *a->ids);
  if (!r->ignore_end) {
    a->n_end_ids = r->end_ids ? r->n_end_ids : info->n_eos;
    ELLM_TRY(copy_ids(r->end_ids ? r->end_ids : info->eos_ids, a->n_end_ids, &a->end_ids, err));
  }
  ELLM_TRY(copy_stops(a, r, err));
  ELLM_TRY(make_sampler(a, r->sampling, err));
  if (r->grammar) ELLM_TRY(begin_grammar(a, model, r->grammar, err));
  return r->no_text ? ELLM_OK : open_stream(a, model, err);
}

void answer_destroy(ellm_answer *a) {
  if (!a) return;
  if (a->sequence && a->sequence != a->given) ellm_sequence_free(a->sequence);
  ellm_sampler_free(a->sampler);
  grammar_matcher_free(a->matcher);
  free(a->allowed);
  ellm_stream_free(a->stream);
  stop_filter_free(&a->stops);
  for (size_t i = 0; a->stop_texts && a->stop_texts[i]; i++) free(a->stop_texts[i]);
  free(a->stop_texts);
  ellm_buffer_free(&a->text);
  free(a->end_ids);
  free(a->ids);
  free(a);
}

/* ---------------------------------------------------------------------- text */

/* Keep the text, a NUL behind it, and tell who wants to know. */
static ellm_status hand_out(ellm_answer *a, const uint32_t *id, const char *text, size_t bytes, ellm_error *err) {
  if (!ellm_buffer_reserve(&a->text, bytes + 1)) return ellm_fail_memory(err, a->text.size + bytes + 1, "a text");
  memcpy(a->text.data + a->text.size, text, bytes);
  a->text.size += bytes;
  a->text.data[a->text.size] = '\0';
  const ellm_answer_part part = {.has_id = id != NULL,
                                 .id = id ? *id : 0,
                                 .text = text,
                                 .bytes = bytes,
                                 .log_probability = id ? a->chance : 0,
                                 .top = a->top,
                                 .n_top = id && a->take ? a->n_chances : 0};
  if (a->take && (id || bytes > 0) && !a->take(a->user, a, &part)) {
    a->take = NULL;
    atomic_store(&a->cancelled, true);
  }
  return ELLM_OK;
}

static ellm_status pass(ellm_answer *a, const uint32_t *id, const char *text, size_t bytes, ellm_error *err) {
  const char *out;
  size_t n;
  if (!stop_filter_feed(&a->stops, text, bytes, &out, &n)) return ellm_fail_memory(err, bytes, "a text");
  return hand_out(a, id, out, n, err);
}

static ellm_status add_id(ellm_answer *a, uint32_t id, ellm_error *err) {
  const char *text = "";
  size_t bytes = 0;
  if (answer_all(a) == a->room) {
    const size_t larger = 2 * a->room;
    uint32_t *grown = realloc(a->ids, larger * sizeof *grown);
    if (!grown) return ellm_fail_memory(err, larger * sizeof *grown, "an answer");
    a->ids = grown;
    a->room = larger;
  }
  a->ids[answer_all(a)] = id;
  a->n_ids++;
  ellm_sampler_accept(a->sampler, id);
  if (a->stream) ELLM_TRY(ellm_stream_next(a->stream, id, &text, &bytes, err));
  return pass(a, &id, text, bytes, err);
}

/* ----------------------------------------------------------------------- end */

/* What the stream and the stop filter hold. */
static ellm_status finish_text(ellm_answer *a, ellm_error *err) {
  const char *text;
  size_t bytes;
  if (!a->stream) return ELLM_OK;
  ELLM_TRY(ellm_stream_flush(a->stream, &text, &bytes, err));
  ELLM_TRY(pass(a, NULL, text, bytes, err));
  stop_filter_rest(&a->stops, &text, &bytes);
  return hand_out(a, NULL, text, bytes, err);
}

void answer_fail(ellm_answer *a, const ellm_error *err) {
  a->state = ANSWER_ENDED;
  a->end = ELLM_END_FAILED;
  a->err = *err;
}

void answer_end(ellm_answer *a, ellm_end end) {
  ellm_error err = {0};
  a->end = end; /* the callback may ask */
  if (finish_text(a, &err) != ELLM_OK) {
    answer_fail(a, &err);
    return;
  }
  if (a->stops.matched && end == ELLM_END_LIMIT) a->end = ELLM_END_STOP; /* in the text that was held back */
  a->state = ANSWER_ENDED;
}

/* ---------------------------------------------------------------------- steps */

static bool ends(const ellm_answer *a, uint32_t id) {
  for (size_t i = 0; i < a->n_end_ids; i++)
    if (a->end_ids[i] == id) return true;
  return false;
}

/* What the grammar lets come next: ids of text, and those that end the answer where it can end. *over: nothing can. */
static ellm_status ask_grammar(ellm_answer *a, bool *over, ellm_error *err) {
  bool more, may_end, any = false;
  *over = a->over;
  if (!a->matcher || a->asked) return ELLM_OK;
  ELLM_TRY(grammar_matcher_next(a->matcher, a->allowed, &more, &may_end, err));
  for (size_t i = 0; i < a->n_end_ids; i++) {
    const uint32_t id = a->end_ids[i];
    if (id >= a->vocab_size) continue;
    a->allowed[id / 64] &= ~(UINT64_C(1) << id % 64);
    if (may_end && more) a->allowed[id / 64] |= UINT64_C(1) << id % 64;
  }
  for (uint32_t w = 0; w <= (a->vocab_size - 1) / 64 && !any; w++) { /* rows of the model, not ids of the tokenizer */
    const uint32_t rest = a->vocab_size - 64 * w;
    any = (a->allowed[w] & (rest < 64 ? (UINT64_C(1) << rest) - 1 : UINT64_MAX)) != 0;
  }
  *over = a->over = !any;
  a->asked = true;
  return any || may_end ? ELLM_OK
                        : ellm_fail(err, ELLM_ERR_INPUT, "no token of the model continues what the grammar asks for");
}

/* No position is left: another prompt takes the place of that before the answer, or it ends. *made: it continues. */
static ellm_status ask_for_room(ellm_answer *a, bool *made, ellm_error *err) {
  uint32_t *prompt = NULL;
  size_t n = 0;
  *made = false;
  if (!a->make_room) return ELLM_OK;
  ellm_status status = a->make_room(a->user, a, &prompt, &n, err);
  if (status == ELLM_OK && prompt) {
    uint32_t *all = n + a->n_ids <= a->positions ? calloc(n + a->n_ids + a->room, sizeof *all) : NULL;
    if (n + a->n_ids > a->positions)
      status = ellm_fail(err, ELLM_ERR_USAGE, "%zu ids before the %zu of an answer leave no room in %u", n, a->n_ids,
                         (unsigned)a->positions);
    else if (!all) status = ellm_fail_memory(err, (n + a->n_ids + a->room) * sizeof *all, "an answer");
    if (status == ELLM_OK) {
      memcpy(all, prompt, n * sizeof *all);
      memcpy(all + n, a->ids + a->n_prompt, a->n_ids * sizeof *all);
      free(a->ids);
      a->ids = all;
      a->room += n + a->n_ids;
      a->n_prompt = n;
      *made = true;
    }
  }
  free(prompt);
  return status;
}

/* Only what the sequence has in common with the new ids stays. */
static ellm_status keep_common(ellm_answer *a, ellm_error *err) {
  return sequence_begin(a->sequence, a->ids, answer_all(a), answer_all(a) - 1, &a->done, err);
}

/* The chance of an id, and the likeliest ones: a few, so that each is put into its place. */
static void find_chances(ellm_answer *a, const float *logits, uint32_t id) {
  size_t n = 0;
  if (a->n_chances == 0) return;
  for (uint32_t i = 0; i < a->vocab_size; i++) {
    if (n == a->n_chances && !(logits[i] > logits[a->top[n - 1].id])) continue;
    size_t at = n < a->n_chances ? n++ : n - 1;
    while (at > 0 && logits[i] > logits[a->top[at - 1].id]) {
      a->top[at] = a->top[at - 1];
      at--;
    }
    a->top[at].id = i;
  }
  const double sum = score_log_sum_exp(logits, a->vocab_size);
  for (size_t i = 0; i < n; i++) a->top[i].log_probability = (double)logits[a->top[i].id] - sum;
  a->chance = (double)logits[id] - sum;
}

static ellm_status advance(ellm_answer *a, const float *logits, ellm_error *err) {
  uint32_t id;
  bool made, over;
  const double now = clock_seconds();
  if (a->n_ids == 0) {
    a->first = now;
    a->prompt_seconds = now - a->start;
  }
  if (a->limit == 0) {
    answer_end(a, ELLM_END_LIMIT);
    return ELLM_OK;
  }
  ELLM_TRY(ask_grammar(a, &over, err));
  if (over) { /* before the first id; else it is seen when the last one is added */
    answer_end(a, ELLM_END_GRAMMAR);
    return ELLM_OK;
  }
  ELLM_TRY(ellm_logits_check(logits, a->vocab_size, (uint32_t)answer_all(a) - 1, err));
  ELLM_TRY(ellm_sampler_next(a->sampler, logits, &id, err));
  if (ends(a, id)) {
    a->seconds = clock_seconds() - a->first;
    answer_end(a, ELLM_END_ID);
    return ELLM_OK;
  }
  find_chances(a, logits, id);
  ELLM_TRY(add_id(a, id, err));
  if (a->matcher) ELLM_TRY(grammar_matcher_accept(a->matcher, id, err));
  a->asked = false;
  ELLM_TRY(ask_grammar(a, &over, err));
  a->seconds = clock_seconds() - a->first;
  if (a->stops.matched) answer_end(a, ELLM_END_STOP);
  else if (over) answer_end(a, ELLM_END_GRAMMAR);
  else if (atomic_load(&a->cancelled)) answer_end(a, ELLM_END_CANCELLED);
  else if (a->n_ids == a->limit) answer_end(a, ELLM_END_LIMIT);
  else if (answer_all(a) > a->positions) {
    ELLM_TRY(ask_for_room(a, &made, err));
    if (made) return keep_common(a, err);
    answer_end(a, ELLM_END_CONTEXT);
  }
  return ELLM_OK;
}

void answer_advance(ellm_answer *a, const float *logits) {
  ellm_error err = {0};
  if (advance(a, logits, &err) != ELLM_OK) answer_fail(a, &err);
}
