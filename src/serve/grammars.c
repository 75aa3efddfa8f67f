/* SPDX-License-Identifier: Apache-2.0 */
/* See grammars.h. They are made without the lock: two threads may make the same one at once, and one is kept. */
#include "serve/grammars.h"

#include <stdlib.h>
#include <string.h>

struct kept_grammar {
  server *server;
  kept_grammar *next;    /* of server.grammars, the newest first */
  size_t references;     /* of requests, and of the list */
  bool schema;
  char *source;
  ellm_grammar *grammar;
};

const ellm_grammar *grammars_of(const kept_grammar *g) { return g ? g->grammar : NULL; }

/* With the lock held: one reference less; what is to be freed, or NULL. */
static kept_grammar *drop(kept_grammar *g) { return g && --g->references == 0 ? g : NULL; }

static void destroy(kept_grammar *g) {
  if (!g) return;
  ellm_grammar_free(g->grammar);
  free(g->source);
  free(g);
}

/* Put it in front; who is beyond those that are kept goes. With the lock held. */
static kept_grammar *keep(server *s, kept_grammar *g) {
  g->next = s->grammars;
  s->grammars = g;
  kept_grammar **at = &g->next;
  for (size_t i = 1; i < GRAMMARS_KEPT && *at; i++) at = &(*at)->next;
  kept_grammar *last = *at;
  if (last) *at = last->next; /* at most one is beyond */
  return drop(last);
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
  const ellm_status status = schema ? ellm_grammar_create_schema(s->tokenizer, source, bytes, field, &g->grammar, &err)
                                    : ellm_grammar_create(s->tokenizer, source, bytes, field, &g->grammar, &err);
  if (status != ELLM_OK) {
    destroy(g);
    return problem_of(p, field, &err);
  }
  g->references = 2;
  pthread_mutex_lock(&s->lock);
  kept_grammar *gone = keep(s, g);
  pthread_mutex_unlock(&s->lock);
  destroy(gone);
  *taken = g;
  return true;
}

void grammars_release(kept_grammar *g) {
  if (!g) return;
  server *s = g->server;
  pthread_mutex_lock(&s->lock);
  kept_grammar *gone = drop(g);
  pthread_mutex_unlock(&s->lock);
  destroy(gone);
}

void grammars_free(server *s) {
  while (s->grammars) {
    kept_grammar *g = s->grammars;
    s->grammars = g->next;
    destroy(g);
  }
}
