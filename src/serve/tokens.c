/* SPDX-License-Identifier: Apache-2.0 */
/* See tokens.h. */
#include "serve/tokens.h"

#include <stdlib.h>

#include "serve/fields.h"
#include "serve/request.h"
#include "serve/text.h"

/* Writes the answer to a body. False: *p says why there is none. */
typedef bool (*answer_fn)(const server *s, const json_t *body, prog_buffer *out, problem *p);

static void answer(job *j, answer_fn make) {
  problem p;
  json_t *body = NULL;
  prog_buffer out = {0};
  bool good = fields_parse(j->body.data, j->body.bytes, &body, &p);
  job_drop_body(j);
  if (good && !j->server->tokenizer) good = problem_set(&p, 400, NULL, "the model has no tokenizer");
  good = good && make(j->server, body, &out, &p);
  json_decref(body);
  if (good) {
    job_answer(j, 200, "application/json", &out);
    return;
  }
  prog_buffer_free(&out);
  job_problem(j, &p);
}

/* {"content": TEXT, "add_special": true} to {"tokens": [...]}. */
static bool tokenize(const server *s, const json_t *body, prog_buffer *out, problem *p) {
  uint32_t *ids;
  size_t n;
  ellm_error err;
  bool special = false;
  const json_t *content = json_object_get(body, "content");
  if (!json_is_string(content)) return problem_set(p, 400, "content", "content must be a text");
  if (!field_bool(body, "add_special", &special, p)) return false;
  if (ellm_tokenizer_encode(s->tokenizer, json_string_value(content), json_string_length(content),
                            special ? ELLM_ENCODE_DEFAULT : ELLM_ENCODE_NO_POST, &ids, &n, &err) != ELLM_OK)
    return problem_of(p, "content", &err);
  prog_print(out, "{\"tokens\":[");
  for (size_t i = 0; i < n; i++) prog_print(out, "%s%u", i > 0 ? "," : "", (unsigned)ids[i]);
  prog_print(out, "]}");
  free(ids);
  return true;
}

/* {"tokens": [...]} to {"content": TEXT}. */
static bool detokenize(const server *s, const json_t *body, prog_buffer *out, problem *p) {
  json_t *list = NULL;
  char *content;
  size_t bytes;
  ellm_error err;
  if (!field_array(body, "tokens", &list, p)) return false;
  if (!list) return problem_set(p, 400, "tokens", "tokens must be a list of token ids");
  const size_t n = json_array_size(list);
  uint32_t *ids = calloc(n + 1, sizeof *ids);
  bool good = ids || problem_memory(p);
  for (size_t i = 0; i < n && good; i++) {
    const json_t *id = json_array_get(list, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX)
      good = problem_set(p, 400, "tokens", "tokens[%zu] is not a token id", i);
    else ids[i] = (uint32_t)json_integer_value(id);
  }
  if (good && ellm_tokenizer_decode(s->tokenizer, ids, n, false, &content, &bytes, &err) != ELLM_OK)
    good = problem_of(p, "tokens", &err);
  free(ids);
  if (!good) return false;
  prog_print(out, "{\"content\":");
  text_json(out, content, bytes);
  prog_print(out, "}");
  free(content);
  return true;
}

/* A body of /v1/chat/completions to {"prompt": TEXT}. */
static bool apply_template(const server *s, const json_t *body, prog_buffer *out, problem *p) {
  char *content;
  size_t bytes;
  if (!request_chat_text(s, body, &content, &bytes, p)) return false;
  prog_print(out, "{\"prompt\":");
  text_json(out, content, bytes);
  prog_print(out, "}");
  free(content);
  return true;
}

void tokens_tokenize(job *j) { answer(j, tokenize); }
void tokens_detokenize(job *j) { answer(j, detokenize); }
void tokens_apply_template(job *j) { answer(j, apply_template); }
