/* SPDX-License-Identifier: Apache-2.0 */
/* See reply.h. Written as text: a token takes some microseconds, and so may its event. */
#include "serve/reply.h"

#include <inttypes.h>
#include <string.h>

#include "serve/request.h"
#include "serve/text.h"

static void head(const job *j, const char *object, prog_buffer *out) {
  const server *s = j->server;
  const request *r = j->request;
  prog_print(out, "{\"id\":\"%s-%016" PRIx64 "%08" PRIx64 "\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
             r->chat ? "chatcmpl" : "cmpl", s->instance, j->id, object, j->created);
  text_json_or_null(out, s->options->model_name);
  prog_print(out, ",\"system_fingerprint\":\"entrollm-%s\",\"seed\":%" PRIu64, ellm_version(), r->sampling.seed);
}

static double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

static void usage_json(const reply_usage *u, prog_buffer *out) {
  prog_print(out,
             ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
             "\"prompt_tokens_details\":{\"cached_tokens\":%zu}},\"timings\":{\"prompt_tokens_per_s\":%.1f,"
             "\"tokens_per_s\":%.1f,\"context_used\":%zu}",
             u->prompt, u->tokens, u->prompt + u->tokens, u->kept,
             rate((double)(u->prompt - u->kept), u->prompt_seconds),
             rate((double)u->tokens, u->seconds), u->context);
}

void reply_whole(const job *j, const reply_choice *choices, size_t n, const reply_usage *usage, prog_buffer *out) {
  const bool chat = j->request->chat;
  head(j, chat ? "chat.completion" : "text_completion", out);
  prog_print(out, ",\"choices\":[");
  for (size_t i = 0; i < n; i++) {
    const reply_choice *c = &choices[i];
    prog_print(out, "%s{\"index\":%zu,%s", i > 0 ? "," : "", c->index,
               chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
    if (c->calls && c->bytes == 0) prog_print(out, "null");
    else text_json(out, c->text, c->bytes);
    if (c->calls) {
      prog_print(out, ",\"tool_calls\":");
      prog_append(out, c->calls, strlen(c->calls));
    }
    prog_print(out, "%s,\"logprobs\":", chat ? "}" : "");
    chances_json(c->chances, chat, out);
    prog_print(out, ",\"finish_reason\":\"%s\"}", c->finish);
  }
  prog_print(out, "]");
  usage_json(usage, out);
  prog_print(out, "}");
}

/* -------------------------------------------------------------------- events */

/* An event with one choice, up to what it brings. */
static void open_event(const job *j, size_t index, prog_buffer *out) {
  prog_print(out, "data: ");
  head(j, j->request->chat ? "chat.completion.chunk" : "text_completion", out);
  prog_print(out, ",\"choices\":[{\"index\":%zu,", index);
}

static void close_event(const job *j, const char *finish, const chances *told, prog_buffer *out) {
  static const chances none;
  prog_print(out, ",\"logprobs\":");
  chances_json(told ? told : &none, j->request->chat, out);
  prog_print(out, ",\"finish_reason\":");
  text_json_or_null(out, finish);
  prog_print(out, "}]%s}\n\n", j->request->include_usage ? ",\"usage\":null" : "");
}

void reply_role(const job *j, size_t index, prog_buffer *out) {
  open_event(j, index, out);
  prog_print(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
  close_event(j, NULL, NULL, out);
}

void reply_part(const job *j, size_t index, const char *piece, size_t bytes, const chances *told, prog_buffer *out) {
  open_event(j, index, out);
  prog_print(out, j->request->chat ? "\"delta\":{\"content\":" : "\"text\":");
  text_json(out, piece, bytes);
  if (j->request->chat) prog_print(out, "}");
  close_event(j, NULL, told, out);
}

void reply_call(const job *j, size_t index, size_t call, const char *id, const char *name, const chances *told,
                prog_buffer *out) {
  open_event(j, index, out);
  prog_print(out, "\"delta\":{\"tool_calls\":[{\"index\":%zu,\"id\":\"%s\",\"type\":\"function\",\"function\":", call, id);
  prog_print(out, "{\"name\":");
  text_json(out, name, strlen(name));
  prog_print(out, ",\"arguments\":\"\"}}]}");
  close_event(j, NULL, told, out);
}

void reply_arguments(const job *j, size_t index, size_t call, const char *piece, size_t bytes, const chances *told,
                     prog_buffer *out) {
  open_event(j, index, out);
  prog_print(out, "\"delta\":{\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", call);
  text_json(out, piece, bytes);
  prog_print(out, "}}]}");
  close_event(j, NULL, told, out);
}

void reply_finish(const job *j, size_t index, const char *finish, prog_buffer *out) {
  open_event(j, index, out);
  prog_print(out, j->request->chat ? "\"delta\":{}" : "\"text\":\"\"");
  close_event(j, finish, NULL, out);
}

void reply_end(const job *j, const reply_usage *usage, prog_buffer *out) {
  if (j->request->include_usage) {
    prog_print(out, "data: ");
    head(j, j->request->chat ? "chat.completion.chunk" : "text_completion", out);
    prog_print(out, ",\"choices\":[]");
    usage_json(usage, out);
    prog_print(out, "}\n\n");
  }
  prog_print(out, "data: [DONE]\n\n");
}
