/* SPDX-License-Identifier: Apache-2.0 */
/* See grammar.h. */
#include "grammar/grammar.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/gbnf.h"
#include "grammar/mask.h"
#include "grammar/schema.h"

struct grammar_matcher {
  struct ellm_grammar *grammar;
  grammar_matcher *next, *before; /* of the grammar's list */
  uint32_t set;
};

struct ellm_grammar {
  atomic_uint holders;     /* its owner, matchers */
  vocabulary *vocabulary;
  pda machine;
  pthread_mutex_t lock;    /* of what follows */
  automaton automaton;
  grammar_matcher *matchers;
  atomic_size_t bytes;     /* of machine and automaton, when the lock was last given back; asking for it never waits */
};

static void unlock(struct ellm_grammar *g) {
  atomic_store(&g->bytes, pda_bytes(&g->machine) + g->automaton.bytes);
  pthread_mutex_unlock(&g->lock);
}

static void release(struct ellm_grammar *g) {
  if (!g || atomic_fetch_sub(&g->holders, 1) > 1) return;
  automaton_free(&g->automaton);
  pda_free(&g->machine);
  vocabulary_release(g->vocabulary);
  pthread_mutex_destroy(&g->lock);
  free(g);
}

void ellm_grammar_free(ellm_grammar *grammar) { release(grammar); }

typedef ellm_status (*rules_reader)(grammar_rules *rules, const char *text, size_t bytes, const char *origin,
                                    ellm_error *err);

static ellm_status read_machine(rules_reader read, const char *text, size_t bytes, const char *origin, pda *machine,
                                ellm_error *err) {
  grammar_rules rules;
  ELLM_TRY(rules_init(&rules, err));
  ellm_status status = read(&rules, text, bytes, origin, err);
  if (status == ELLM_OK) status = pda_create(&rules, origin, machine, err);
  rules_free(&rules);
  return status;
}

static ellm_status create(rules_reader read, const ellm_tokenizer *tokenizer, const char *text, size_t bytes,
                          const char *origin, ellm_grammar **out, ellm_error *err) {
  *out = NULL;
  struct ellm_grammar *g = calloc(1, sizeof *g);
  if (!g || pthread_mutex_init(&g->lock, NULL) != 0) {
    free(g);
    return ellm_fail_memory(err, sizeof *g, "a grammar");
  }
  atomic_init(&g->holders, 1);
  ellm_status status = read_machine(read, text, bytes, origin, &g->machine, err);
  if (status == ELLM_OK) status = automaton_init(&g->machine, &g->automaton, err);
  if (status == ELLM_OK) status = vocabulary_of(tokenizer, &g->vocabulary, err);
  atomic_init(&g->bytes, pda_bytes(&g->machine) + g->automaton.bytes);
  if (status == ELLM_OK) *out = g;
  else release(g);
  return status;
}

ellm_status ellm_grammar_create(const ellm_tokenizer *tokenizer, const char *text, size_t bytes, const char *origin,
                                ellm_grammar **grammar, ellm_error *err) {
  return create(gbnf_read, tokenizer, text, bytes, origin ? origin : "the grammar", grammar, err);
}

ellm_status ellm_grammar_create_schema(const ellm_tokenizer *tokenizer, const char *json, size_t bytes,
                                       const char *origin, ellm_grammar **grammar, ellm_error *err) {
  return create(schema_read, tokenizer, json, bytes, origin ? origin : "the schema", grammar, err);
}

size_t ellm_grammar_bytes(const ellm_grammar *grammar) { return atomic_load(&grammar->bytes); }

ellm_status ellm_grammar_limit(ellm_grammar *grammar, size_t bytes, ellm_error *err) {
  const size_t taken = ellm_grammar_bytes(grammar);
  if (taken > bytes / 2)
    return ellm_fail(err, ELLM_ERR_INPUT, "the grammar is too large: it takes %zu KiB, and at most %zu are allowed",
                     taken >> 10, bytes / 2 >> 10);
  pthread_mutex_lock(&grammar->lock);
  grammar->automaton.limit = bytes - pda_bytes(&grammar->machine);
  unlock(grammar);
  return ELLM_OK;
}

size_t grammar_mask_words(const ellm_grammar *grammar) { return mask_words(grammar->vocabulary); }

ellm_status grammar_check_tokenizer(const ellm_grammar *grammar, const ellm_tokenizer *tokenizer, ellm_error *err) {
  vocabulary *v;
  ELLM_TRY(vocabulary_of(tokenizer, &v, err));
  const bool same = v == grammar->vocabulary;
  vocabulary_release(v);
  return same ? ELLM_OK : ellm_fail(err, ELLM_ERR_USAGE, "the grammar was made for another tokenizer than the model's");
}

/* ------------------------------------------------------------------- matchers */

/* Under the lock: keep only what the texts that are going on need. On failure all stays. */
static ellm_status forget(struct ellm_grammar *g, ellm_error *err) {
  size_t n = 0;
  for (const grammar_matcher *m = g->matchers; m; m = m->next) n++;
  uint32_t **keep = calloc(n + 1, sizeof *keep);
  if (!keep) return ellm_fail_memory(err, n * sizeof *keep, "a grammar");
  n = 0;
  for (grammar_matcher *m = g->matchers; m; m = m->next) keep[n++] = &m->set;
  const ellm_status status = automaton_compact(&g->automaton, keep, n, err);
  free(keep);
  return status;
}

static ellm_status make_room(struct ellm_grammar *g, ellm_error *err) {
  automaton_begin(&g->automaton);
  return automaton_is_full(&g->automaton) ? forget(g, err) : ELLM_OK;
}

void ellm_grammar_forget(ellm_grammar *grammar) {
  ellm_error err;
  pthread_mutex_lock(&grammar->lock);
  (void)forget(grammar, &err);
  unlock(grammar);
}

ellm_status grammar_matcher_create(const ellm_grammar *grammar, grammar_matcher **out, ellm_error *err) {
  struct ellm_grammar *g = (struct ellm_grammar *)grammar; /* its lock and what is under it, and the count */
  grammar_matcher *m = calloc(1, sizeof *m);
  *out = NULL;
  if (!m) return ellm_fail_memory(err, sizeof *m, "a grammar");
  m->grammar = g;
  atomic_fetch_add(&g->holders, 1);
  pthread_mutex_lock(&g->lock);
  ellm_status status = make_room(g, err);
  if (status == ELLM_OK) status = automaton_start(&g->automaton, &m->set, err);
  if (status == ELLM_OK) {
    m->next = g->matchers;
    if (m->next) m->next->before = m;
    g->matchers = m;
  }
  unlock(g);
  if (status != ELLM_OK) {
    release(g);
    free(m);
    return status;
  }
  *out = m;
  return ELLM_OK;
}

void grammar_matcher_free(grammar_matcher *m) {
  if (!m) return;
  struct ellm_grammar *g = m->grammar;
  pthread_mutex_lock(&g->lock);
  if (m->before) m->before->next = m->next;
  else g->matchers = m->next;
  if (m->next) m->next->before = m->before;
  unlock(g);
  release(g);
  free(m);
}

static ellm_status next_mask(grammar_matcher *m, uint64_t *mask, bool *more, bool *ends, ellm_error *err) {
  struct ellm_grammar *g = m->grammar;
  const uint64_t *bits;
  ELLM_TRY(make_room(g, err));
  ELLM_TRY(mask_of(&g->automaton, g->vocabulary, m->set, &bits, err));
  uint64_t any = 0;
  for (size_t w = 0; w < mask_words(g->vocabulary); w++) any |= mask[w] = bits[w];
  *more = any != 0;
  *ends = g->automaton.sets[m->set].accepts;
  if (*more || *ends) return ELLM_OK;
  return g->automaton.too_deep
             ? ellm_fail(err, ELLM_ERR_INPUT, "the text is nested more than %d deep, which its grammar may not be",
                         AUTOMATON_DEPTH)
             : ellm_fail(err, ELLM_ERR_INPUT, "no token of the vocabulary continues what the grammar asks for");
}

ellm_status grammar_matcher_next(grammar_matcher *m, uint64_t *mask, bool *more, bool *ends, ellm_error *err) {
  *more = *ends = false;
  pthread_mutex_lock(&m->grammar->lock);
  const ellm_status status = next_mask(m, mask, more, ends, err);
  unlock(m->grammar);
  return status;
}

ellm_status grammar_matcher_bytes(grammar_matcher *m, const char *text, size_t bytes, bool *possible, bool *ends,
                                  ellm_error *err) {
  struct ellm_grammar *g = m->grammar;
  pthread_mutex_lock(&g->lock);
  ellm_status status = make_room(g, err);
  for (size_t i = 0; status == ELLM_OK && i < bytes; i++) {
    uint32_t next = SET_DEAD;
    status = automaton_step(&g->automaton, m->set, (uint8_t)text[i], &next, err);
    m->set = status == ELLM_OK ? next : SET_DEAD;
  }
  *ends = status == ELLM_OK && g->automaton.sets[m->set].accepts;
  *possible = status == ELLM_OK && (*ends || g->automaton.sets[m->set].count > 0);
  unlock(g);
  return status;
}

ellm_status grammar_matcher_accept(grammar_matcher *m, uint32_t id, ellm_error *err) {
  const vocabulary *v = m->grammar->vocabulary;
  bool possible = false, ends;
  if (id < v->n_ids)
    ELLM_TRY(grammar_matcher_bytes(m, (const char *)v->bytes + v->begin[id], v->begin[id + 1] - v->begin[id],
                                   &possible, &ends, err));
  return possible ? ELLM_OK
                  : ellm_fail(err, ELLM_ERR_INTERNAL, "token id %u was drawn against the grammar", (unsigned)id);
}
