/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An item's choices in one batch: what their ids have in common is computed
 * once. An item's values are the scores of its choices, NaN beyond their number.
 */
#include "eval/choice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/identity.h"
#include "eval/perplexity.h"
#include "model/score.h"
#include "model/scorer.h"

enum { CAPACITY_STEP = 256 };

const char *ellm_choice_protocol_name(ellm_choice_protocol protocol) {
  return protocol == ELLM_CHOICE_LM_EVAL ? "lm-evaluation-harness, 0-shot: sum of log-probabilities of the continuation"
                                    : "llama.cpp: mean log-probability after the common tokens";
}

/* The ids of one choice; labels from `first` on are scored. */
typedef struct sequence { uint32_t *ids; size_t n, first; } sequence;

typedef struct choosing {
  ellm_model *model;
  const ellm_tokenizer *tokenizer;
  const ellm_choice_set *set;
  ellm_choice_protocol protocol;
  uint32_t max_context;
  int64_t before;      /* lm-eval: what is before an empty query; -1: none */
  int64_t bos;         /* llama.cpp: what is before every text; -1: only what the post-processor adds */
  scorer *scorer;
  size_t capacity, more; /* room of the scorer; it grows with the items */
  double *log_probs;     /* of the item's labels ... */
  size_t n_log_probs;    /* ... room */
} choosing;

/* ---------------------------------------------------------------- sequences */

/* One more id at the front. */
static ellm_status put_before(int64_t prefix, sequence *s, ellm_error *err) {
  uint32_t *ids = realloc(s->ids, (s->n + 1) * sizeof *ids);
  if (!ids) return ellm_fail_memory(err, (s->n + 1) * sizeof *ids, "the ids of a choice");
  memmove(ids + 1, ids, s->n * sizeof *ids);
  ids[0] = (uint32_t)prefix;
  s->ids = ids;
  s->n++;
  return ELLM_OK;
}

static ellm_status encode_whole(const choosing *c, const choice_text *text, unsigned flags, sequence *s,
                                ellm_error *err) {
  size_t n = strlen(text->query), m = strlen(text->continuation);
  char *whole = malloc(n + m + 1);
  if (!whole) return ellm_fail_memory(err, n + m + 1, "a text");
  memcpy(whole, text->query, n);
  memcpy(whole + n, text->continuation, m);
  ellm_status status = ellm_tokenizer_encode(c->tokenizer, whole, n + m, flags, &s->ids, &s->n, err);
  free(whole);
  return status;
}

/* lm-eval: what is scored are the ids after as many as the query alone has. */
static ellm_status prepare_lm_eval(const choosing *c, const choice_text *text, sequence *s, ellm_error *err) {
  uint32_t *query = NULL;
  size_t n_query = 0;
  ELLM_TRY(encode_whole(c, text, ELLM_ENCODE_NO_POST, s, err));
  ELLM_TRY(ellm_tokenizer_encode(c->tokenizer, text->query, strlen(text->query), ELLM_ENCODE_NO_POST, &query, &n_query,
                                 err));
  free(query);
  s->first = n_query;
  if (n_query > 0) return ELLM_OK;
  if (c->before < 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "a query without tokens needs BOS or EOS before it: the model names neither");
  s->first = 1;
  return put_before(c->before, s, err);
}

/* llama.cpp: BOS, and what is scored are the ids after those that all choices share. */
static ellm_status prepare_llama_cpp(const choosing *c, const choice_item *item, sequence *sequences,
                                     ellm_error *err) {
  for (size_t i = 0; i < item->n; i++) {
    sequence *s = &sequences[i];
    ELLM_TRY(encode_whole(c, &item->choices[i], ELLM_ENCODE_DEFAULT, s, err));
    if (c->bos >= 0 && (s->n == 0 || s->ids[0] != (uint64_t)c->bos)) ELLM_TRY(put_before(c->bos, s, err));
  }
  size_t common = 0;
  for (bool same = true; same;) {
    for (size_t i = 0; same && i < item->n; i++)
      same = common < sequences[i].n && sequences[i].ids[common] == sequences[0].ids[common];
    if (same) common++;
  }
  for (size_t i = 0; i < item->n; i++) sequences[i].first = common ? common : 1;
  return ELLM_OK;
}

/* ------------------------------------------------------------------ scoring */

static size_t round_up(size_t n) { return (n + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP; }

/* Room for sequences of n positions and `more` beside one of them, and for n_labels log-probabilities. */
static ellm_status make_room(choosing *c, size_t n, size_t more, size_t n_labels, ellm_error *err) {
  if (n_labels > c->n_log_probs) {
    double *grown = realloc(c->log_probs, n_labels * sizeof *grown);
    if (!grown) return ellm_fail_memory(err, n_labels * sizeof *grown, "an item");
    c->log_probs = grown;
    c->n_log_probs = n_labels;
  }
  if (c->scorer && n <= c->capacity && more <= c->more) return ELLM_OK;
  if (n > c->capacity) c->capacity = round_up(n);
  if (c->capacity > c->max_context) c->capacity = c->max_context;
  if (more > c->more) c->more = round_up(more);
  scorer_free(c->scorer);
  c->scorer = NULL;
  return scorer_create(c->model, (uint32_t)c->capacity, c->more, &c->scorer, err);
}

static ellm_status score_sequences(choosing *c, size_t index, const sequence *sequences, size_t n, double *scores,
                                   ellm_error *err) {
  scored_sequence scored[CHOICE_MOST];
  size_t longest = 1, n_labels = 0;
  for (size_t i = 0; i < n; i++) {
    const sequence *s = &sequences[i];
    if (s->first >= s->n) /* no token, no probability: it would always win */
      return ellm_fail(err, ELLM_ERR_INPUT, "item %zu: choice %zu adds no token of its own", index + 1, i);
    /* the last ids that the context has room for, the very last of which is not fed */
    const size_t most = (size_t)c->max_context + 1, cut = s->n > most ? s->n - most : 0;
    scored[i] = (scored_sequence){s->ids + cut, s->n - cut, s->first > cut ? s->first - cut : 1, NULL};
    if (scored[i].n - 1 > longest) longest = scored[i].n - 1;
    n_labels += scored[i].n - scored[i].first;
  }
  ELLM_TRY(make_room(c, longest, scorer_more(scored, n), n_labels, err));
  double *at = c->log_probs;
  for (size_t i = 0; i < n; i++) {
    scored[i].log_probs = at;
    at += scored[i].n - scored[i].first;
  }
  ELLM_TRY(scorer_run_all(c->scorer, scored, n, err));
  for (size_t i = 0; i < n; i++) {
    const size_t labels = scored[i].n - scored[i].first;
    scores[i] = 0;
    for (size_t k = 0; k < labels; k++) scores[i] += scored[i].log_probs[k];
    if (c->protocol == ELLM_CHOICE_LLAMA_CPP) scores[i] /= (double)labels;
  }
  return ELLM_OK;
}

static ellm_status score_item(void *self, size_t index, double *values, ellm_error *err) {
  choosing *c = self;
  const choice_item *item = &c->set->items[index];
  sequence sequences[CHOICE_MOST] = {{0}};
  ellm_status status = ELLM_OK;
  if (c->protocol == ELLM_CHOICE_LLAMA_CPP) status = prepare_llama_cpp(c, item, sequences, err);
  else
    for (size_t i = 0; status == ELLM_OK && i < item->n; i++)
      status = prepare_lm_eval(c, &item->choices[i], &sequences[i], err);
  for (size_t i = 0; i < c->set->most; i++) values[i] = NAN;
  if (status == ELLM_OK) status = score_sequences(c, index, sequences, item->n, values, err);
  for (size_t i = 0; i < item->n; i++) free(sequences[i].ids);
  return status;
}

/* ------------------------------------------------------------------ results */

/* Is the label's score the largest (the first of equal ones)? */
static bool hit(const choice_item *item, const double *scores, bool by_character) {
  size_t best = 0;
  double most = -INFINITY;
  for (size_t i = 0; i < item->n; i++) {
    double score = by_character ? scores[i] / (double)item->choices[i].characters : scores[i];
    if (score > most) {
      most = score;
      best = i;
    }
  }
  return best == item->label;
}

static size_t count_hits(const choosing *c, const double *values, size_t n, bool by_character) {
  size_t hits = 0;
  for (size_t i = 0; i < n; i++) hits += hit(&c->set->items[i], values + i * c->set->most, by_character);
  return hits;
}

static void running(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]) {
  const choosing *c = self;
  double percent = 100.0 / (double)done;
  int used = snprintf(text, EVAL_RUNNING_TEXT, "acc %.2f %%", percent * (double)count_hits(c, values, done, false));
  if (c->protocol == ELLM_CHOICE_LM_EVAL)
    snprintf(text + used, EVAL_RUNNING_TEXT - (size_t)used, "  acc_norm %.2f %%",
             percent * (double)count_hits(c, values, done, true));
}

/* A hash over all that the scores depend on: the texts, in order. */
static ellm_status identify(const ellm_choice_set *set, char text[33], ellm_error *err) {
  ellm_buffer all = {0};
  bool good = true;
  for (size_t i = 0; good && i < set->count; i++)
    for (size_t k = 0; good && k < set->items[i].n; k++) {
      const choice_text *choice = &set->items[i].choices[k];
      good = ellm_buffer_append(&all, choice->query, strlen(choice->query) + 1) &&
             ellm_buffer_append(&all, choice->continuation, strlen(choice->continuation) + 1);
    }
  if (good) eval_data_identity(all.data, all.size, text);
  ellm_buffer_free(&all);
  return good ? ELLM_OK : ellm_fail_memory(err, all.size, "the items");
}

static ellm_status run_choice(choosing *c, const ellm_eval_options *options, ellm_choice_result *result,
                              ellm_error *err) {
  char model[33], data[33];
  ELLM_TRY(ellm_eval_fingerprint(c->model, model, err));
  ELLM_TRY(identify(c->set, data, err));
  size_t n = c->set->count;
  if (options->limit && options->limit < n) n = options->limit;
  const char *protocol = c->protocol == ELLM_CHOICE_LM_EVAL ? "lm-eval" : "llama.cpp";
  json_t *identity = json_pack("{s:s, s:s, s:s, s:s}", "evaluation", "choice", "protocol", protocol, "model", model,
                               "items", data);
  result->scores = calloc(n, c->set->most * sizeof *result->scores);
  eval_task task = {"choose", identity, n, c->set->most, score_item, running, c};
  ellm_status status = identity && result->scores
                           ? eval_run(&task, options, result->scores, &result->n_resumed, err)
                           : ellm_fail_memory(err, n * c->set->most * sizeof *result->scores, "scores");
  json_decref(identity);
  ELLM_TRY(status);
  result->n_items = n;
  result->most = c->set->most;
  result->acc = eval_share(count_hits(c, result->scores, n, false), n);
  result->acc_norm = c->protocol == ELLM_CHOICE_LM_EVAL ? eval_share(count_hits(c, result->scores, n, true), n)
                                                   : (ellm_figure){NAN, NAN, NAN, NAN};
  return ELLM_OK;
}

ellm_status eval_choice(ellm_model *model, const ellm_choice_set *set, ellm_choice_protocol protocol,
                        const ellm_eval_options *options, ellm_choice_result *result, ellm_error *err) {
  ellm_model_info info;
  choosing c = {.model = model, .set = set, .protocol = protocol};
  memset(result, 0, sizeof *result);
  ellm_model_get_info(model, &info);
  c.max_context = info.max_context;
  c.before = info.bos_id >= 0 ? info.bos_id : info.n_eos ? (int64_t)info.eos_ids[0] : -1;
  ELLM_TRY(ellm_model_tokenizer(model, &c.tokenizer, err));
  ELLM_TRY(perplexity_bos(model, NULL, 0, &c.bos, err));
  ellm_status status = run_choice(&c, options, result, err);
  scorer_free(c.scorer);
  free(c.log_probs);
  if (status != ELLM_OK) eval_choice_free(result);
  return status;
}

void eval_choice_free(ellm_choice_result *result) {
  free(result->scores);
  memset(result, 0, sizeof *result);
}
