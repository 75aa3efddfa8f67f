/* SPDX-License-Identifier: Apache-2.0 */
/* See grammars.h. They are made without the lock: two threads may make the same one at once, and both are kept for a
 * while. */
#include "serve/grammars.h"

#include <stdlib.h>
#include <string.h>

struct kept_grammar {
  server *server;
  kept_grammar *next;    /* of server.grammars, the newest first */
  size_t references;     /* of requests */
  bool schema;
  char *source;
  ellm_grammar *grammar;
};

const ellm_grammar *grammars_of(const kept_grammar *g) { return g ? g->grammar : NULL; }

static void destroy(kept_grammar *g) {
  while (g) {
    kept_grammar *next = g->next;
    ellm_grammar_free(g->grammar);
    free(g->source);
    free(g);
    g = next;
  }
}

/* The last one that no request uses. With the lock held. */
static kept_grammar **last_idle(server *s) {
  kept_grammar **last = NULL;
  for (kept_grammar **at = &s->grammars; *at; at = &(*at)->next)
    if ((*at)->references == 0) last = at;
  return last;
}

static size_t bytes_of_all(const server *s) {
  size_t bytes = 0;
  for (const kept_grammar *g = s->grammars; g; g = g->next) bytes += ellm_grammar_bytes(g->grammar);
  return bytes;
}

static size_t count_idle(const server *s) {
  size_t n = 0;
  for (const kept_grammar *g = s->grammars; g; g = g->next) n += g->references == 0;
  return n;
}

/* Takes those out that are too many or too much, so that `more` bytes have room, and has the others forget what they can
 * if that is not enough. Returns those; *room: there is room now. With the lock held. */
static kept_grammar *make_room(server *s, size_t more, bool *room) {
  kept_grammar *gone = NULL;
  while (count_idle(s) >= GRAMMARS_KEPT || (count_idle(s) > 0 && bytes_of_all(s) + more > GRAMMARS_BYTES)) {
    kept_grammar **last = last_idle(s), *g = *last;
    *last = g->next;
    g->next = gone;
    gone = g;
  }
  if (bytes_of_all(s) + more > GRAMMARS_BYTES)
    for (const kept_grammar *g = s->grammars; g; g = g->next) ellm_grammar_forget(g->grammar);
  *room = bytes_of_all(s) + more <= GRAMMARS_BYTES;
  return gone;
}

static kept_grammar *find(server *s, const char *source, bool schema) {
  for (kept_grammar **at = &s->grammars; *at; at = &(*at)->next) {
    kept_grammar *g = *at;
    if (g->schema != schema || strcmp(g->source, source) != 0) continue;
    *at = g->next;
    g->next = s->grammars;
    s->grammars = g;
    g->references++;
    return g;
  }
  return NULL;
}

bool grammars_take(server *s, const char *source, bool schema, const char *field, kept_grammar **taken, problem *p) {
  ellm_error err;
  if (!s->tokenizer) return problem_set(p, 400, field, "%s: the model has no tokenizer", field);
  pthread_mutex_lock(&s->lock);
  *taken = find(s, source, schema);
  pthread_mutex_unlock(&s->lock);
  if (*taken) return true;
  kept_grammar *g = calloc(1, sizeof *g);
  if (g) g->source = strdup(source);
  if (!g || !g->source) {
    destroy(g);
    return problem_memory(p);
  }
  g->server = s;
  g->schema = schema;
  const size_t bytes = strlen(source);
  ellm_status status = schema ? ellm_grammar_create_schema(s->tokenizer, source, bytes, field, &g->grammar, &err)
                              : ellm_grammar_create(s->tokenizer, source, bytes, field, &g->grammar, &err);
  if (status == ELLM_OK) status = ellm_grammar_limit(g->grammar, GRAMMAR_BYTES, &err);
  if (status != ELLM_OK) {
    destroy(g);
    return problem_of(p, field, &err);
  }
  g->references = 1;
  pthread_mutex_lock(&s->lock);
  bool room;
  kept_grammar *gone = make_room(s, ellm_grammar_bytes(g->grammar), &room);
  if (room) {
    g->next = s->grammars;
    s->grammars = g;
  }
  pthread_mutex_unlock(&s->lock);
  destroy(gone);
  if (!room) {
    destroy(g);
    return problem_set(p, 503, field, "the grammars of the requests at work leave no memory for another");
  }
  *taken = g;
  return true;
}

void grammars_release(kept_grammar *g) {
  if (!g) return;
  server *s = g->server;
  bool room;
  pthread_mutex_lock(&s->lock);
  g->references--;
  kept_grammar *gone = make_room(s, 0, &room);
  pthread_mutex_unlock(&s->lock);
  destroy(gone);
}

void grammars_free(server *s) {
  destroy(s->grammars);
  s->grammars = NULL;
}
