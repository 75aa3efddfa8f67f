/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions in groups that are answered together; what their prompts have in
 * common (the examples) is computed once. A question's values are right
 * (strict), right (flexible), tokens generated, and whether its prompt was cut.
 */
#include "eval/gsm8k.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/answers.h"
#include "eval/gsm8k_extract.h"
#include "eval/identity.h"
#include "eval/lines.h"

enum { STRICT, FLEXIBLE, TOKENS, CUT, N_VALUES, DEFAULT_NEW = 256, GROUP = 8 };

typedef struct question { char *prompt, *answer; } question;

typedef struct solving {
  ellm_model *model;
  const ellm_tokenizer *tokenizer;
  ellm_model_info info;
  const ellm_eval_options *options;
  question *questions;
  size_t count, capacity, n_items;
  size_t now;               /* the question at work */
  uint32_t max_new, max_prompt;
  answerer *answerer;
  uint32_t *generated;      /* [GROUP][max_new] */
  double group[GROUP * N_VALUES]; /* values of questions group_first .. group_end - 1 */
  size_t group_first, group_end;
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

static ellm_status read_questions(solving *s, const ellm_gsm8k_request *r, ellm_error *err) {
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

/* ----------------------------------------------------------------- answering */

/* The interruption is looked for within a group, too: it may take long. */
static bool go_on(void *user) {
  const solving *s = user;
  ellm_progress step = {"answer", "", s->now, s->n_items, ELLM_UNIT_ITEMS};
  return !s->options->progress || s->options->progress(s->options->progress_user, &step);
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

/* Answers questions first .. first + n - 1; ids and texts are freed by the caller. */
static ellm_status answer_questions(solving *s, size_t first, size_t n, greedy_answer *answers, uint32_t **ids,
                                    ellm_error *err) {
  static const char *const stops[] = {"Q:", "</s>", "<|im_end|>"};
  for (size_t i = 0; i < n; i++) {
    const char *prompt = s->questions[first + i].prompt;
    size_t n_ids = 0;
    ELLM_TRY(ellm_tokenizer_encode(s->tokenizer, prompt, strlen(prompt), ELLM_ENCODE_NO_POST, &ids[i], &n_ids, err));
    const size_t cut = n_ids > s->max_prompt ? n_ids - s->max_prompt : 0;
    answers[i] = (greedy_answer){
        .prompt = ids[i] + cut, .n_prompt = n_ids - cut, .generated = s->generated + i * s->max_new};
    s->group[i * N_VALUES + CUT] = cut > 0;
  }
  const answers_request request = {s->tokenizer, s->max_new, stops, sizeof stops / sizeof *stops, go_on, s};
  ELLM_TRY(answers_run(s->answerer, &request, answers, n, err));
  for (size_t i = 0; i < n; i++) {
    double *values = s->group + i * N_VALUES;
    ELLM_TRY(judge(&s->questions[first + i], answers[i].text, answers[i].bytes, values, err));
    values[TOKENS] = (double)answers[i].n_generated;
  }
  return ELLM_OK;
}

static ellm_status answer_item(void *self, size_t index, double *values, ellm_error *err) {
  solving *s = self;
  if (index < s->group_first || index >= s->group_end) {
    greedy_answer answers[GROUP] = {{0}};
    uint32_t *ids[GROUP] = {0};
    const size_t left = s->n_items - index, n = left < GROUP ? left : GROUP;
    s->now = index;
    const ellm_status status = answer_questions(s, index, n, answers, ids, err);
    for (size_t i = 0; i < n; i++) {
      free(answers[i].text);
      free(ids[i]);
    }
    if (status == ELLM_INTERRUPTED)
      return ellm_fail(err, ELLM_INTERRUPTED, "interrupted after %zu of %zu questions", s->now, s->n_items);
    ELLM_TRY(status);
    s->group_first = index;
    s->group_end = index + n;
  }
  memcpy(values, s->group + (index - s->group_first) * N_VALUES, N_VALUES * sizeof *values);
  return ELLM_OK;
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

static ellm_status run_gsm8k(solving *s, const ellm_gsm8k_request *r, ellm_gsm8k_result *result, ellm_error *err) {
  char model[33], data[33], examples[33];
  ELLM_TRY(read_questions(s, r, err));
  ELLM_TRY(ellm_eval_fingerprint(s->model, model, err));
  eval_data_identity(r->text, r->bytes, data);
  eval_data_identity(r->examples ? r->examples : "", r->examples_bytes, examples);
  const size_t n = s->options->limit && s->options->limit < s->count ? s->options->limit : s->count;
  s->n_items = n;
  ELLM_TRY(answerer_create(s->model, &s->answerer, err));
  s->generated = calloc((size_t)s->max_new * GROUP, sizeof *s->generated);
  double *values = calloc(n, N_VALUES * sizeof *values);
  json_t *identity = json_pack("{s:s, s:s, s:s, s:s, s:i}", "evaluation", "gsm8k", "model", model, "questions", data,
                               "examples", examples, "max_new", (int)s->max_new);
  eval_task task = {"answer", identity, n, N_VALUES, answer_item, running, s};
  ellm_status status = s->generated && values && identity
                           ? eval_run(&task, s->options, values, &result->n_resumed, err)
                           : ellm_fail_memory(err, n * N_VALUES * sizeof *values, "answers");
  if (status == ELLM_OK) {
    result->strict = eval_share(total(values, n, STRICT), n);
    result->flexible = eval_share(total(values, n, FLEXIBLE), n);
    result->n_cut = total(values, n, CUT);
    for (size_t i = 0; i < n; i++) values[i] = values[i * N_VALUES + TOKENS];
    result->mean_tokens = eval_mean(values, n);
    result->n_items = n;
    result->max_new = s->max_new;
    result->max_prompt = s->max_prompt;
  }
  json_decref(identity);
  free(values);
  return status;
}

ellm_status eval_gsm8k(ellm_model *model, const ellm_gsm8k_request *request, const ellm_eval_options *options,
                       ellm_gsm8k_result *result, ellm_error *err) {
  solving s = {.model = model, .options = options};
  memset(result, 0, sizeof *result);
  ellm_model_get_info(model, &s.info);
  s.max_new = request->max_new ? request->max_new : DEFAULT_NEW;
  if (s.info.max_context < 2) return ellm_fail(err, ELLM_ERR_INPUT, "the model's context is too short to answer in");
  if (s.max_new > s.info.max_context / 2) s.max_new = s.info.max_context / 2;
  s.max_prompt = s.info.max_context - s.max_new;
  ELLM_TRY(ellm_model_tokenizer(model, &s.tokenizer, err));
  ellm_status status = run_gsm8k(&s, request, result, err);
  for (size_t i = 0; i < s.count; i++) {
    free(s.questions[i].prompt);
    free(s.questions[i].answer);
  }
  free(s.questions);
  answerer_free(s.answerer);
  free(s.generated);
  return status;
}
