/* SPDX-License-Identifier: Apache-2.0 */
/* See endpoints.h. The page at "/" is answered by http.c, which needs no copy of it. */
#include "serve/endpoints.h"

#include <string.h>

#include "serve/about.h"
#include "serve/engine.h"
#include "serve/request.h"
#include "serve/tokens.h"

static void completions(job *j, bool chat) {
  problem p;
  json_t *body;
  bool good = fields_parse(j->body.data, j->body.bytes, &body, &p);
  job_drop_body(j);
  if (good) {
    j->request = request_read(j->server, chat, body, &p);
    good = j->request != NULL;
  }
  json_decref(body);
  if (good) engine_submit(j->server, j);
  else job_problem(j, &p);
}

static void chat_completions(job *j) { completions(j, true); }
static void text_completions(job *j) { completions(j, false); }

static const route routes[] = {
    {"/health", "GET", true, false, about_health},
    {"/v1/models", "GET", false, false, about_models},
    {"/v1/models/NAME", "GET", false, false, about_model},
    {"/props", "GET", false, false, about_props},
    {"/metrics", "GET", false, false, about_metrics},
    {"/v1/chat/completions", "POST", false, true, chat_completions},
    {"/v1/completions", "POST", false, true, text_completions},
    {"/tokenize", "POST", false, true, tokens_tokenize},
    {"/detokenize", "POST", false, true, tokens_detokenize},
    {"/apply-template", "POST", false, true, tokens_apply_template},
};

const route *endpoints_find(const server *s, const char *path, const char *method, const char **allowed) {
  static const char model[] = "/v1/models/";
  *allowed = NULL;
  if (strncmp(path, model, sizeof model - 1) == 0)
    path = strcmp(path + sizeof model - 1, s->options->model_name) == 0 ? "/v1/models/NAME" : "";
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    const route *r = &routes[i];
    if (strcmp(path, r->path) != 0) continue;
    if (strcmp(method, r->method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0)) return r;
    *allowed = r->method;
  }
  return NULL;
}
