/* SPDX-License-Identifier: Apache-2.0 */
/* See about.h. */
#include "serve/about.h"

#include <inttypes.h>
#include <jansson.h>
#include <sys/stat.h>

#include "serve/text.h"

void about_health(job *j) {
  server *s = j->server;
  problem p;
  prog_buffer out = {0};
  pthread_mutex_lock(&s->lock);
  const bool failed = s->failed, stopping = s->stopping;
  pthread_mutex_unlock(&s->lock);
  if (failed || stopping) {
    problem_set(&p, 503, NULL, "%s", failed ? "the model has failed" : "the server is about to end");
    job_problem(j, &p);
    return;
  }
  prog_print(&out, "{\"status\":\"ok\"}");
  job_answer(j, 200, "application/json", &out);
}

static void model_object(const server *s, prog_buffer *out) {
  prog_print(out, "{\"id\":");
  text_json_or_null(out, s->options->model_name);
  prog_print(out, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"entrollm\"}", s->started);
}

void about_model(job *j) {
  prog_buffer out = {0};
  model_object(j->server, &out);
  job_answer(j, 200, "application/json", &out);
}

void about_models(job *j) {
  prog_buffer out = {0};
  prog_print(&out, "{\"object\":\"list\",\"data\":[");
  model_object(j->server, &out);
  prog_print(&out, "]}");
  job_answer(j, 200, "application/json", &out);
}

/* ---------------------------------------------------------------------- props */

static void number_or_null(prog_buffer *out, const char *name, const json_t *value) {
  if (json_is_number(value)) prog_print(out, ",\"%s\":%.6g", name, json_number_value(value));
  else prog_print(out, ",\"%s\":null", name);
}

/* What the file says of its own quality, where it was compressed to a size. */
void about_prepare(server *s) {
  prog_buffer *out = &s->file_props;
  ellm_file *file = NULL;
  json_t *quality = NULL;
  struct stat facts;
  const bool plain = stat(s->options->model_path, &facts) == 0 && S_ISREG(facts.st_mode);
  if (plain) prog_print(out, "{\"bytes\":%lld", (long long)facts.st_size);
  else prog_print(out, "{\"bytes\":null");
  if (plain && ellm_file_open(s->options->model_path, &file, NULL) == ELLM_OK) {
    ellm_totals totals;
    ellm_file_totals(file, &totals);
    prog_print(out, ",\"bits_a_weight\":%.4f", totals.coded_bits_per_weight);
    const char *told = ellm_file_metadata(file, "entrollm.quality");
    quality = told ? json_loads(told, 0, NULL) : NULL;
  } else {
    prog_print(out, ",\"bits_a_weight\":null");
  }
  number_or_null(out, "divergence", json_object_get(quality, "divergence_i16"));
  number_or_null(out, "same_top", json_object_get(quality, "equal_top_i16"));
  prog_print(out, ",\"words\":null}");
  json_decref(quality);
  ellm_file_close(file);
}

void about_props(job *j) {
  const server *s = j->server;
  const ellm_sampling *c = &s->sampling;
  prog_buffer out = {0};
  prog_print(&out, "{\"model\":");
  text_json_or_null(&out, s->options->model_name);
  prog_print(&out, ",\"context\":%u,\"parallel\":%zu,\"queue\":%zu,\"version\":\"%s\",\"chat_template\":%s,\"file\":",
             (unsigned)s->options->context, s->options->parallel, s->options->queue, ellm_version(),
             s->chat ? "true" : "false");
  prog_append(&out, s->file_props.data, s->file_props.bytes);
  prog_print(&out,
             ",\"sampling\":{\"temperature\":%g,\"top_p\":%g,\"top_k\":%d,\"min_p\":%g,\"repeat_penalty\":%g},"
             "\"architecture\":",
             c->temperature, c->top_p, c->top_k, c->min_p, c->repeat_penalty);
  text_json_or_null(&out, s->info.architecture);
  prog_print(&out, ",\"parameters\":%" PRIu64 ",\"vocabulary\":%u}", s->info.parameters, (unsigned)s->info.vocab_size);
  job_answer(j, 200, "application/json", &out);
}

/* -------------------------------------------------------------------- metrics */

static void metric(prog_buffer *out, const char *name, const char *type, const char *help, double value) {
  prog_print(out, "# HELP entrollm_%s %s\n# TYPE entrollm_%s %s\nentrollm_%s %.17g\n", name, help, name, type, name,
             value);
}

void about_metrics(job *j) {
  server *s = j->server;
  uint32_t positions, free_positions;
  prog_buffer out = {0};
  pthread_mutex_lock(&s->lock);
  const server_counts c = s->counts;
  const size_t admitted = s->admitted, connections = s->n_jobs, bodies = s->body_bytes;
  pthread_mutex_unlock(&s->lock);
  ellm_model_cache_usage(s->model, &positions, &free_positions);
  const size_t running = admitted < s->options->parallel ? admitted : s->options->parallel;
  metric(&out, "requests_total", "counter", "Requests that were received whole.", (double)c.requests);
  metric(&out, "requests_refused_total", "counter", "Requests answered with a status of 4xx.", (double)c.refused);
  metric(&out, "requests_failed_total", "counter", "Requests answered with a status of 5xx.", (double)c.failed);
  metric(&out, "clients_left_total", "counter", "Clients that went away before the end of an answer.", (double)c.left);
  metric(&out, "prompt_tokens_total", "counter", "Tokens of prompts.", (double)c.prompt_tokens);
  metric(&out, "prompt_tokens_reused_total", "counter", "Of these, tokens that were computed before.",
         (double)c.kept_tokens);
  metric(&out, "prompt_seconds_total", "counter", "Time from the first batch of a prompt to its last.",
         c.prompt_seconds);
  metric(&out, "tokens_total", "counter", "Tokens of answers.", (double)c.tokens);
  metric(&out, "token_seconds_total", "counter", "Time from the first token of answers to their last.", c.seconds);
  metric(&out, "steps_total", "counter", "Batches that were computed.", (double)c.steps);
  metric(&out, "answers_running", "gauge", "Answers that are computed together.", (double)running);
  metric(&out, "answers_waiting", "gauge", "Answers that wait for a place.", (double)(admitted - running));
  metric(&out, "requests_open", "gauge", "Requests that are received or answered.", (double)connections);
  metric(&out, "body_bytes", "gauge", "Bytes of bodies that are held.", (double)bodies);
  metric(&out, "cache_positions", "gauge", "Positions of the pool of keys and values.", (double)positions);
  metric(&out, "cache_positions_free", "gauge", "Of these, positions that no sequence holds.", (double)free_positions);
  job_answer(j, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
