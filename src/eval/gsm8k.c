/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions one by one through one context; what a prompt has in common with
 * the one before (the examples) stays computed. A question's values are right
 * (strict), right (flexible), tokens generated, and whether its prompt was cut.
 */
#include "eval/gsm8k.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/lines.h"
#include "model/score.h"

enum { STRICT, FLEXIBLE, TOKENS, CUT, N_VALUES, DEFAULT_NEW = 256, CAPACITY_STEP = 256, PROMPT_PIECE = 256 };

typedef struct question { char *prompt, *answer; } question;

typedef struct solving {
  ellm_model *model;
  const ellm_tokenizer *tokenizer;
  ellm_model_info info;
  const eval_options *options;
  question *questions;
  size_t count, capacity, n_items;
  size_t now;               /* the question at work */
  uint32_t max_new, max_prompt;
  ellm_context *context;
  uint32_t *held;           /* [capacity of the context]: ids of its positions */
  float *logits;            /* [vocab_size] */
  uint32_t *generated;      /* [max_new] */
} solving;

/* ---------------------------------------------------------------- questions */

static char *copy(const char *const *parts, size_t n) {
  size_t bytes = 1, at = 0;
  for (size_t i = 0; i < n; i++) bytes += strlen(parts[i]);
  char *text = malloc(bytes);
  if (!text) return NULL;
  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(parts[i]);
    memcpy(text + at, parts[i], length);
    at += length;
  }
  text[at] = '\0';
  return text;
}

/* What follows the last "####", without white space around it. */
static char *copy_answer(const char *text) {
  const char *mark, *from = text;
  while ((mark = strstr(from, "####"))) from = mark + 4;
  while (*from == ' ' || *from == '\n' || *from == '\t' || *from == '\r') from++;
  char *answer = copy(&from, 1);
  for (size_t n = answer ? strlen(answer) : 0; n > 0 && strchr(" \n\t\r", answer[n - 1]); n--) answer[n - 1] = '\0';
  return answer;
}

static ellm_status add_question(solving *s, const char *examples, const json_t *line, const char *origin,
                                size_t number, ellm_error *err) {
  const json_t *q = json_object_get(line, "question"), *a = json_object_get(line, "answer");
  if (!json_is_string(q) || !json_is_string(a) || strlen(json_string_value(q)) != json_string_length(q) ||
      strlen(json_string_value(a)) != json_string_length(a))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %zu: \"question\" and \"answer\" are not both texts", origin,
                     number);
  if (s->count == s->capacity) {
    size_t more = s->capacity ? 2 * s->capacity : 64;
    question *grown = realloc(s->questions, more * sizeof *grown);
    if (!grown) return ellm_fail_memory(err, more * sizeof *grown, "questions");
    s->questions = grown;
    s->capacity = more;
  }
  const char *const parts[] = {examples, "Q: ", json_string_value(q), "\nA:"};
  question added = {copy(parts, 4), copy_answer(json_string_value(a))};
  s->questions[s->count++] = added;
  return added.prompt && added.answer ? ELLM_OK : ellm_fail_memory(err, strlen(examples), "a question");
}

static ellm_status read_questions(solving *s, const gsm8k_request *r, ellm_error *err) {
  json_lines lines = {.text = r->text, .bytes = r->bytes, .origin = r->origin};
  json_t *line;
  ellm_status status = ELLM_OK;
  char *examples = malloc(r->examples_bytes + 1);
  if (!examples) return ellm_fail_memory(err, r->examples_bytes + 1, "the examples");
  if (r->examples_bytes) memcpy(examples, r->examples, r->examples_bytes);
  examples[r->examples_bytes] = '\0';
  if (strlen(examples) != r->examples_bytes)
    status = ellm_fail(err, ELLM_ERR_INPUT, "the examples are not a text: there is a NUL in them");
  while (status == ELLM_OK && (status = json_lines_next(&lines, &line, err)) == ELLM_OK && line) {
    status = add_question(s, examples, line, r->origin, lines.line, err);
    json_decref(line);
  }
  if (status == ELLM_OK && s->count == 0)
    status = ellm_fail(err, ELLM_ERR_INPUT, "%s: there are no questions", r->origin);
  free(examples);
  return status;
}

/* --------------------------------------------------------------- generating */

/* A context for n positions; a larger one than before begins empty. */
static ellm_status make_room(solving *s, size_t n, ellm_error *err) {
  if (s->context && n <= ellm_context_capacity(s->context)) return ELLM_OK;
  size_t more = (n + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP;
  if (more > s->info.max_context) more = s->info.max_context;
  ellm_context_free(s->context);
  s->context = NULL;
  uint32_t *grown = realloc(s->held, more * sizeof *grown);
  if (!grown) return ellm_fail_memory(err, more * sizeof *grown, "a prompt");
  s->held = grown;
  return ellm_context_create(s->model, (uint32_t)more, &s->context, err);
}

static ellm_status feed(solving *s, const uint32_t *ids, size_t n, bool logits, ellm_error *err) {
  size_t at = ellm_context_length(s->context);
  ELLM_TRY(ellm_context_eval(s->context, ids, n, logits ? s->logits : NULL, logits ? 1 : 0, err));
  memcpy(s->held + at, ids, n * sizeof *ids);
  return ELLM_OK;
}

/* The interruption is looked for within a question, too: it may take long. */
static ellm_status look(const solving *s, ellm_error *err) {
  ellm_progress step = {"answer", NULL, s->now, s->n_items};
  if (!s->options->progress || s->options->progress(s->options->user, &step)) return ELLM_OK;
  return ellm_fail(err, ELLM_INTERRUPTED, "interrupted after %zu of %zu questions", s->now, s->n_items);
}

static ellm_status feed_prompt(solving *s, const uint32_t *ids, size_t n, ellm_error *err) {
  size_t done = 0, held = ellm_context_length(s->context);
  while (done < held && done < n - 1 && s->held[done] == ids[done]) done++;
  ellm_context_truncate(s->context, (uint32_t)done);
  while (done < n) {
    size_t count = n - done < PROMPT_PIECE ? n - done : PROMPT_PIECE;
    ELLM_TRY(look(s, err));
    ELLM_TRY(feed(s, ids + done, count, done + count == n, err));
    done += count;
  }
  return ELLM_OK;
}

static bool is_eos(const solving *s, uint32_t id) {
  for (size_t i = 0; i < s->info.n_eos; i++)
    if (s->info.eos_ids[i] == id) return true;
  return false;
}

/* Cut the text at the first stop string; true if there is one. */
static bool cut_at_stop(char *text, size_t *bytes) {
  static const char *const stops[] = {"Q:", "</s>", "<|im_end|>"};
  bool found = false;
  for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
    char *at = strstr(text, stops[i]);
    if (!at) continue;
    *at = '\0';
    *bytes = (size_t)(at - text);
    found = true;
  }
  return found;
}

/* Greedy; *text is malloc'ed. */
static ellm_status complete(solving *s, size_t *n, char **text, size_t *bytes, ellm_error *err) {
  *text = NULL;
  *n = 0;
  for (bool end = false; !end;) {
    uint32_t id = score_top(s->logits, s->info.vocab_size);
    end = is_eos(s, id) || *n + 1 == s->max_new;
    if (!is_eos(s, id)) s->generated[(*n)++] = id;
    free(*text);
    *text = NULL;
    ELLM_TRY(ellm_tokenizer_decode(s->tokenizer, s->generated, *n, true, text, bytes, err));
    if (cut_at_stop(*text, bytes)) end = true;
    if (end) break;
    ELLM_TRY(look(s, err));
    ELLM_TRY(feed(s, &id, 1, true, err));
  }
  return ELLM_OK;
}

static ellm_status judge(const question *q, const char *text, size_t bytes, double *values, ellm_error *err) {
  for (int strict = 0; strict <= 1; strict++) {
    ellm_buffer answer = {0}, expected = {0};
    bool found = false, right = false;
    ellm_status status = gsm8k_extract(text, bytes, strict != 0, &answer, &found, err);
    if (status == ELLM_OK) status = gsm8k_clean(q->answer, strlen(q->answer), &expected, err);
    right = found && answer.size == expected.size &&
            (answer.size == 0 || memcmp(answer.data, expected.data, answer.size) == 0);
    values[strict ? STRICT : FLEXIBLE] = right;
    ellm_buffer_free(&answer);
    ellm_buffer_free(&expected);
    ELLM_TRY(status);
  }
  return ELLM_OK;
}

static ellm_status answer_item(void *self, size_t index, double *values, ellm_error *err) {
  solving *s = self;
  const question *q = &s->questions[index];
  uint32_t *ids = NULL;
  char *text = NULL;
  size_t n = 0, n_new = 0, bytes = 0;
  s->now = index;
  ELLM_TRY(ellm_tokenizer_encode(s->tokenizer, q->prompt, strlen(q->prompt), ELLM_ENCODE_NO_POST, &ids, &n, err));
  size_t cut = n > s->max_prompt ? n - s->max_prompt : 0;
  ellm_status status = make_room(s, n - cut + s->max_new, err);
  if (status == ELLM_OK) status = feed_prompt(s, ids + cut, n - cut, err);
  if (status == ELLM_OK) status = complete(s, &n_new, &text, &bytes, err);
  if (status == ELLM_OK) status = judge(q, text, bytes, values, err);
  values[TOKENS] = (double)n_new;
  values[CUT] = cut > 0;
  free(text);
  free(ids);
  return status;
}

/* ------------------------------------------------------------------ results */

static size_t total(const double *values, size_t n, int which) {
  size_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += (size_t)values[i * N_VALUES + (size_t)which];
  return sum;
}

static void running(void *self, const double *values, size_t done, char text[EVAL_RUNNING_TEXT]) {
  (void)self;
  snprintf(text, EVAL_RUNNING_TEXT, "strict %.2f %%  flexible %.2f %%",
           100 * (double)total(values, done, STRICT) / (double)done,
           100 * (double)total(values, done, FLEXIBLE) / (double)done);
}

static ellm_status run(solving *s, const gsm8k_request *r, gsm8k_result *result, ellm_error *err) {
  char model[33], data[33], examples[33];
  ELLM_TRY(read_questions(s, r, err));
  ELLM_TRY(eval_fingerprint(s->model, model, err));
  eval_data_identity(r->text, r->bytes, data);
  eval_data_identity(r->examples ? r->examples : "", r->examples_bytes, examples);
  const size_t n = s->options->limit && s->options->limit < s->count ? s->options->limit : s->count;
  s->n_items = n;
  s->logits = calloc(s->info.vocab_size, sizeof *s->logits);
  s->generated = calloc(s->max_new, sizeof *s->generated);
  double *values = calloc(n, N_VALUES * sizeof *values);
  json_t *identity = json_pack("{s:s, s:s, s:s, s:s, s:i}", "evaluation", "gsm8k", "model", model, "questions", data,
                               "examples", examples, "max_new", (int)s->max_new);
  eval_task task = {"answer", identity, n, N_VALUES, answer_item, running, s};
  ellm_status status = s->logits && s->generated && values && identity
                           ? eval_run(&task, s->options, values, &result->n_resumed, err)
                           : ellm_fail_memory(err, s->info.vocab_size * sizeof *s->logits, "logits");
  if (status == ELLM_OK) {
    result->strict = eval_share(total(values, n, STRICT), n);
    result->flexible = eval_share(total(values, n, FLEXIBLE), n);
    result->mean_tokens = (double)total(values, n, TOKENS) / (double)n;
    result->n_cut = total(values, n, CUT);
    result->n_items = n;
    result->max_new = s->max_new;
    result->max_prompt = s->max_prompt;
  }
  json_decref(identity);
  free(values);
  return status;
}

ellm_status eval_gsm8k(ellm_model *model, const gsm8k_request *request, const eval_options *options,
                       gsm8k_result *result, ellm_error *err) {
  solving s = {.model = model, .options = options};
  memset(result, 0, sizeof *result);
  ellm_model_get_info(model, &s.info);
  s.max_new = request->max_new ? request->max_new : DEFAULT_NEW;
  if (s.info.max_context < 2) return ellm_fail(err, ELLM_ERR_INPUT, "the model's context is too short to answer in");
  if (s.max_new > s.info.max_context / 2) s.max_new = s.info.max_context / 2;
  s.max_prompt = s.info.max_context - s.max_new;
  ELLM_TRY(ellm_model_tokenizer(model, &s.tokenizer, err));
  ellm_status status = run(&s, request, result, err);
  for (size_t i = 0; i < s.count; i++) {
    free(s.questions[i].prompt);
    free(s.questions[i].answer);
  }
  free(s.questions);
  ellm_context_free(s.context);
  free(s.held);
  free(s.logits);
  free(s.generated);
  return status;
}
