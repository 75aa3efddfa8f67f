/* SPDX-License-Identifier: Apache-2.0 */
/* See chances.h. */
#include "serve/chances.h"

#include <stdlib.h>
#include <string.h>

#include "serve/text.h"

/* The text of one token as it is within a text; malloc'ed, NULL: there is none. A tokenizer may drop a space at the
 * very beginning: the token is decoded twice in a row, and the first one taken away. */
static char *token_text(const server *s, uint32_t id, size_t *bytes) {
  const uint32_t twice[2] = {id, id};
  char *one = NULL, *two = NULL;
  size_t n_one = 0, n_two = 0;
  if (!s->tokenizer || ellm_tokenizer_decode(s->tokenizer, twice, 1, false, &one, &n_one, NULL) != ELLM_OK) return NULL;
  if (ellm_tokenizer_decode(s->tokenizer, twice, 2, false, &two, &n_two, NULL) != ELLM_OK) two = NULL;
  *bytes = n_one;
  if (!two || n_two < n_one || memcmp(one, two, n_one) != 0) {
    free(two);
    return one;
  }
  *bytes = n_two - n_one;
  memmove(two, two + n_one, *bytes);
  free(one);
  return two;
}

/* JSON has no infinity: what cannot come has the least that clients expect. */
static double finite(double log_probability) { return log_probability > -9999 ? log_probability : -9999; }

static void add_fields(prog_buffer *out, const char *token, size_t n, double log_probability) {
  prog_print(out, "{\"token\":");
  text_json(out, token, n);
  prog_print(out, ",\"logprob\":%.9g,\"bytes\":[", finite(log_probability));
  for (size_t i = 0; i < n; i++) prog_print(out, "%s%d", i > 0 ? "," : "", (unsigned char)token[i]);
  prog_print(out, "]");
}

static size_t characters(const char *token, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += ((unsigned char)token[i] & 0xc0) != 0x80;
  return count;
}

static void add_chat(chances *c, const server *s, size_t top, const ellm_answer_part *part, const char *token,
                     size_t n) {
  prog_buffer *out = &c->entries;
  if (c->any) prog_print(out, ",");
  add_fields(out, token, n, part->log_probability);
  prog_print(out, ",\"top_logprobs\":[");
  for (size_t i = 0; i < part->n_top && i < top; i++) {
    size_t m = 0;
    char *other = token_text(s, part->top[i].id, &m);
    if (i > 0) prog_print(out, ",");
    add_fields(out, other ? other : "", m, part->top[i].log_probability);
    prog_print(out, "}");
    free(other);
  }
  prog_print(out, "]}");
}

static void add_text(chances *c, const server *s, size_t top, const ellm_answer_part *part, const char *token,
                     size_t n) {
  const char *comma = c->any ? "," : "";
  prog_print(&c->entries, "%s", comma);
  text_json(&c->entries, token, n);
  prog_print(&c->logs, "%s%.9g", comma, finite(part->log_probability));
  prog_print(&c->offsets, "%s%zu", comma, c->offset);
  prog_print(&c->tops, "%s{", comma);
  for (size_t i = 0; i < part->n_top && i < top; i++) {
    size_t m = 0;
    char *other = token_text(s, part->top[i].id, &m);
    if (i > 0) prog_print(&c->tops, ",");
    text_json(&c->tops, other ? other : "", m);
    prog_print(&c->tops, ":%.9g", finite(part->top[i].log_probability));
    free(other);
  }
  prog_print(&c->tops, "}");
}

void chances_add(chances *c, const server *s, bool chat, size_t top, const ellm_answer_part *part) {
  size_t n = 0;
  char *token = token_text(s, part->id, &n);
  const char *shown = token ? token : "";
  if (chat) add_chat(c, s, top, part, shown, n);
  else add_text(c, s, top, part, shown, n);
  c->any = true;
  c->offset += characters(shown, n);
  free(token);
}

static void list(const char *name, const prog_buffer *t, prog_buffer *out) {
  prog_print(out, "\"%s\":[", name);
  prog_append(out, t->data ? t->data : "", t->bytes);
  prog_print(out, "]");
  out->failed = out->failed || t->failed;
}

void chances_json(const chances *c, bool chat, prog_buffer *out) {
  if (!c->any) {
    prog_print(out, "null");
    return;
  }
  prog_print(out, "{");
  list(chat ? "content" : "tokens", &c->entries, out);
  if (!chat) {
    prog_print(out, ",");
    list("token_logprobs", &c->logs, out);
    prog_print(out, ",");
    list("top_logprobs", &c->tops, out);
    prog_print(out, ",");
    list("text_offset", &c->offsets, out);
  }
  prog_print(out, "}");
}

void chances_clear(chances *c) {
  prog_buffer_free(&c->entries);
  prog_buffer_free(&c->logs);
  prog_buffer_free(&c->tops);
  prog_buffer_free(&c->offsets);
  c->any = false;
}
