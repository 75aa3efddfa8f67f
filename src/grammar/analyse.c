/* SPDX-License-Identifier: Apache-2.0 */
/* See analyse.h. */
#include "grammar/analyse.h"

#include <stdlib.h>
#include <string.h>

void rules_facts_free(rules_facts *facts) {
  free(facts->empty);
  free(facts->possible);
  *facts = (rules_facts){0};
}

/* ------------------------------------------------------------- Horn clauses */

/* A fact of an expression follows from facts of its children, or of the rule that it calls. Each expression waits for
 * `missing` of them; a found one is told to its parent, and a rule's to all calls of it. */
typedef struct solver {
  const grammar_rules *rules;
  uint8_t *known;
  uint32_t *missing;     /* [n_exprs] */
  expr_id *work;         /* [n_exprs] */
  size_t n_work;
  uint32_t *first_call, *next_call; /* [n_rules], [n_exprs]: lists of the calls of a rule */
} solver;

static void learn(solver *s, expr_id e) {
  if (s->known[e]) return;
  s->known[e] = 1;
  s->work[s->n_work++] = e;
}

static void start(solver *s, bool empty) {
  const grammar_rules *r = s->rules;
  memset(s->first_call, 0xFF, (r->n_rules + 1) * sizeof *s->first_call);
  for (size_t i = 0; i < r->n_exprs; i++) {
    const expr *e = &r->exprs[i];
    s->missing[i] = e->kind == EXPR_SEQUENCE ? e->count : 1;
    if (e->kind == EXPR_CALL) {
      s->next_call[i] = s->first_call[e->first];
      s->first_call[e->first] = (uint32_t)i;
    }
    const bool at_once = e->kind == EXPR_LITERAL ? !empty || e->count == 0
                         : e->kind == EXPR_CLASS ? !empty && e->count > 0
                         : e->kind == EXPR_REPEAT ? e->min == 0
                                                  : s->missing[i] == 0;
    if (at_once) learn(s, (expr_id)i);
  }
}

static void solve(solver *s, bool empty) {
  const grammar_rules *r = s->rules;
  start(s, empty);
  while (s->n_work > 0) {
    const expr *e = &r->exprs[s->work[--s->n_work]];
    if (e->parent != EXPR_NONE) {
      if (--s->missing[e->parent] == 0) learn(s, e->parent);
      else if (r->exprs[e->parent].kind != EXPR_SEQUENCE) s->missing[e->parent] = 1; /* known already */
    } else if (e->rule != EXPR_NONE) {
      for (uint32_t c = s->first_call[e->rule]; c != EXPR_NONE; c = s->next_call[c]) learn(s, c);
    }
  }
}

static ellm_status find_facts(const grammar_rules *r, rules_facts *facts, ellm_error *err) {
  const size_t n = r->n_exprs + 1;
  solver s = {.rules = r};
  facts->empty = calloc(n, 1);
  facts->possible = calloc(n, 1);
  s.missing = calloc(n, sizeof *s.missing);
  s.work = calloc(n, sizeof *s.work);
  s.next_call = calloc(n, sizeof *s.next_call);
  s.first_call = calloc(r->n_rules + 1, sizeof *s.first_call);
  const bool ok = facts->empty && facts->possible && s.missing && s.work && s.next_call && s.first_call;
  if (ok) {
    s.known = facts->empty;
    solve(&s, true);
    s.known = facts->possible;
    solve(&s, false);
  }
  free(s.missing);
  free(s.work);
  free(s.next_call);
  free(s.first_call);
  return ok ? ELLM_OK : ellm_fail_memory(err, n * sizeof(uint32_t), "a grammar");
}

/* ----------------------------------------------------------- left recursion */

typedef struct first_calls {
  const grammar_rules *rules;
  const rules_facts *facts;
  uint32_t *targets, *begin; /* rule i begins with calls of targets[begin[i]..begin[i + 1]) */
  size_t n;
} first_calls;

/* The rules that an expression can begin with. Depth is that of expressions. */
static void collect(first_calls *f, expr_id id) {
  const expr *e = &f->rules->exprs[id];
  const expr_id *children = f->rules->children + e->first;
  if (!f->facts->possible[id]) return;
  if (e->kind == EXPR_CALL) {
    f->targets[f->n++] = e->first;
  } else if (e->kind == EXPR_CHOICE || e->kind == EXPR_REPEAT) {
    if (e->kind == EXPR_REPEAT && e->max == 0) return;
    for (uint32_t i = 0; i < e->count; i++) collect(f, children[i]);
  } else if (e->kind == EXPR_SEQUENCE) {
    for (uint32_t i = 0; i < e->count; i++) {
      collect(f, children[i]);
      if (!f->facts->empty[children[i]]) break;
    }
  }
}

static ellm_status fail_circle(const grammar_rules *r, uint32_t rule, const char *origin, ellm_error *err) {
  const grammar_rule *it = &r->rules[rule];
  if (it->name_bytes == 0) return ellm_fail(err, ELLM_ERR_INPUT, "%s: a schema refers directly to itself", origin);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: rule \"%.*s\" begins with itself (left recursion), which is not supported",
                   origin, (int)it->name_bytes, (const char *)r->bytes.data + it->name);
}

/* Depth first, by hand: chains of rules are as long as there are rules. */
static ellm_status find_circle(const first_calls *f, uint32_t *path, uint8_t *state, const char *origin,
                               ellm_error *err) {
  enum { NEW = 0, OPEN = 1, DONE = 2 };
  uint32_t *at = path + f->rules->n_rules;
  for (uint32_t root = 0; root < f->rules->n_rules; root++) {
    size_t depth = 0;
    if (state[root] != NEW) continue;
    path[depth++] = root;
    at[root] = f->begin[root];
    state[root] = OPEN;
    while (depth > 0) {
      const uint32_t rule = path[depth - 1];
      if (at[rule] == f->begin[rule + 1]) {
        state[rule] = DONE;
        depth--;
        continue;
      }
      const uint32_t next = f->targets[at[rule]++];
      if (state[next] == OPEN) return fail_circle(f->rules, next, origin, err);
      if (state[next] == DONE) continue;
      state[next] = OPEN;
      at[next] = f->begin[next];
      path[depth++] = next;
    }
  }
  return ELLM_OK;
}

static ellm_status check_left_recursion(const grammar_rules *r, const rules_facts *facts, const char *origin,
                                        ellm_error *err) {
  first_calls f = {.rules = r, .facts = facts};
  f.targets = calloc(r->n_exprs + 1, sizeof *f.targets);
  f.begin = calloc(r->n_rules + 1, sizeof *f.begin);
  uint32_t *path = calloc(2 * r->n_rules + 1, sizeof *path);
  uint8_t *state = calloc(r->n_rules + 1, 1);
  ellm_status status;
  if (f.targets && f.begin && path && state) {
    for (size_t i = 0; i < r->n_rules; i++) {
      if (r->rules[i].body != EXPR_NONE) collect(&f, r->rules[i].body);
      f.begin[i + 1] = (uint32_t)f.n;
    }
    status = find_circle(&f, path, state, origin, err);
  } else {
    status = ellm_fail_memory(err, r->n_exprs * sizeof *f.targets, "a grammar");
  }
  free(f.targets);
  free(f.begin);
  free(path);
  free(state);
  return status;
}

ellm_status rules_analyse(const grammar_rules *r, const char *origin, rules_facts *facts, ellm_error *err) {
  *facts = (rules_facts){0};
  for (size_t i = 0; i < r->n_rules; i++) {
    const grammar_rule *it = &r->rules[i];
    if (it->body == EXPR_NONE)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: line %u: rule \"%.*s\" is not defined", origin, (unsigned)it->line,
                       (int)it->name_bytes, (const char *)r->bytes.data + it->name);
  }
  ELLM_TRY(find_facts(r, facts, err));
  ELLM_TRY(check_left_recursion(r, facts, origin, err));
  if (!facts->possible[r->rules[r->root].body])
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: no text can satisfy it: what it begins with never ends", origin);
  return ELLM_OK;
}
