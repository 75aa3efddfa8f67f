/* SPDX-License-Identifier: Apache-2.0 */
/* See tokens.h. */
#include "serve/tokens.h"

#include <stdlib.h>

#include "serve/fields.h"
#include "serve/request.h"
#include "serve/text.h"

static bool open_body(job *j, json_t **body, problem *p) {
  const bool good = fields_parse(j->body.data, j->body.bytes, body, p);
  job_drop_body(j);
  if (good && !j->server->tokenizer) return problem_set(p, 400, NULL, "the model has no tokenizer");
  return good;
}

static void end(job *j, json_t *body, bool good, prog_buffer *out, const problem *p) {
  json_decref(body);
  if (good) {
    job_answer(j, 200, "application/json", out);
    return;
  }
  prog_buffer_free(out);
  job_problem(j, p);
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

void tokens_tokenize(job *j) {
  problem p;
  json_t *body;
  prog_buffer out = {0};
  const bool good = open_body(j, &body, &p) && tokenize(j->server, body, &out, &p);
  end(j, body, good, &out, &p);
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
      good = problem_set(p, 400, "tokens", "tokens[%zu] is no token id", i);
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

void tokens_detokenize(job *j) {
  problem p;
  json_t *body;
  prog_buffer out = {0};
  const bool good = open_body(j, &body, &p) && detokenize(j->server, body, &out, &p);
  end(j, body, good, &out, &p);
}

/* A body of /v1/chat/completions to {"prompt": TEXT}. */
void tokens_apply_template(job *j) {
  problem p;
  json_t *body;
  char *content = NULL;
  size_t bytes;
  prog_buffer out = {0};
  const bool good = open_body(j, &body, &p) && request_chat_text(j->server, body, &content, &bytes, &p);
  if (good) {
    prog_print(&out, "{\"prompt\":");
    text_json(&out, content, bytes);
    prog_print(&out, "}");
    free(content);
  }
  end(j, body, good, &out, &p);
}
