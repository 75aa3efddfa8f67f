/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling rules: see pda.h. An expression is compiled from its end: given the state to continue with after it. Rules
 * that stand for a few bytes and call no long ones are compiled where they are called, so that calls are left for what
 * a text dwells in, such as strings; masks are kept by rule (mask.h).
 */
#include "grammar/pda.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/analyse.h"

#define NONE UINT32_MAX

enum {
  SHORT_BYTES = 16, /* what a rule that is compiled in place may match at most, */
  SHORT_EXPRS = 48, /* its expressions, those of the rules that it calls included, */
  SHORT_CALLS = 8,  /* and calls inside each other */
  COPIES_MOST = 16  /* rounds of a repetition that are compiled one after the other */
};

typedef enum short_state { SHORT_UNKNOWN, SHORT_OPEN, SHORT_NO, SHORT_YES } short_state;

typedef struct compiler {
  const grammar_rules *rules;
  const rules_facts *facts;
  pda *machine;
  uint32_t *starts;     /* of rules, NONE: not compiled */
  uint8_t *shorts;      /* [n_rules] of short_state */
  uint32_t *work;       /* rules to compile */
  size_t n_work;
  bool *queued;
} compiler;

/* ---------------------------------------------------------------- short rules */

typedef struct measure { uint64_t bytes, exprs; } measure; /* bytes: at most */

static bool rule_is_short(compiler *c, uint32_t rule, unsigned calls, measure *m);

static bool add_measure(compiler *c, expr_id id, unsigned calls, measure *m) {
  const expr *e = &c->rules->exprs[id];
  measure own = {0, 1};
  if (e->kind == EXPR_LITERAL) own.bytes = e->count;
  if (e->kind == EXPR_CLASS) own.bytes = 4;
  if (e->kind == EXPR_CALL && !rule_is_short(c, e->first, calls + 1, &own)) return false;
  for (uint32_t i = 0; i < e->count && e->kind >= EXPR_SEQUENCE && e->kind != EXPR_CALL; i++) {
    measure child = {0};
    if (own.exprs > SHORT_EXPRS) return false;
    if (!add_measure(c, c->rules->children[e->first + i], calls, &child)) return false;
    own.exprs += child.exprs;
    if (e->kind != EXPR_CHOICE) own.bytes += child.bytes;
    else if (child.bytes > own.bytes) own.bytes = child.bytes;
  }
  if (e->kind == EXPR_REPEAT) own.bytes *= e->max; /* RULES_NO_LIMIT is far beyond what is short */
  m->bytes += own.bytes;
  m->exprs += own.exprs;
  return own.bytes <= SHORT_BYTES && own.exprs <= SHORT_EXPRS;
}

static bool rule_is_short(compiler *c, uint32_t rule, unsigned calls, measure *m) {
  if (c->shorts[rule] == SHORT_NO || c->shorts[rule] == SHORT_OPEN || calls > SHORT_CALLS) return false;
  measure own = {0};
  c->shorts[rule] = SHORT_OPEN;
  const bool is_short = add_measure(c, c->rules->rules[rule].body, calls, &own);
  c->shorts[rule] = is_short ? SHORT_YES : SHORT_NO;
  m->bytes += own.bytes;
  m->exprs += own.exprs;
  return is_short;
}

/* ---------------------------------------------------------------- expressions */

static uint32_t compile(compiler *c, expr_id id, uint32_t next);

static uint32_t compile_sequence(compiler *c, const expr *e, uint32_t next) {
  for (uint32_t i = e->count; i-- > 0 && next != NONE;) next = compile(c, c->rules->children[e->first + i], next);
  return next;
}

static uint32_t compile_choice(compiler *c, const expr *e, uint32_t next) {
  const grammar_rules *r = c->rules;
  uint32_t *targets = calloc((size_t)e->count + 1, sizeof *targets), state = NONE;
  pda_text *texts = calloc((size_t)e->count + 1, sizeof *texts);
  size_t n = 0, n_texts = 0;
  bool ok = targets && texts;
  for (uint32_t i = 0; ok && i < e->count; i++) {
    const expr_id child = r->children[e->first + i];
    const expr *it = &r->exprs[child];
    if (!c->facts->possible[child]) continue;
    if (it->kind == EXPR_LITERAL) {
      texts[n_texts++] = (pda_text){it->count > 0 ? (const char *)r->bytes.data + it->first : "", it->count};
    } else {
      targets[n] = compile(c, child, next);
      ok = targets[n++] != NONE;
    }
  }
  if (ok && n_texts > 0) {
    targets[n] = pda_add_texts(c->machine, texts, n_texts, next);
    ok = targets[n++] != NONE;
  }
  if (ok) state = pda_add_fork(c->machine, targets, n);
  free(targets);
  free(texts);
  return state;
}

/* Round and round: a fork that leads to the child, which leads back, and on. */
static uint32_t compile_loop(compiler *c, expr_id child, bool once, uint32_t next) {
  pda *m = c->machine;
  const uint32_t fork = pda_add_fork(m, (const uint32_t[]){NONE, next}, 2);
  if (fork == NONE) return NONE;
  const uint32_t start = compile(c, child, fork);
  if (start == NONE) return NONE;
  m->targets[m->states[fork].first] = start;
  return once ? start : fork;
}

static uint32_t compile_copies(compiler *c, const expr *e, expr_id child, uint32_t next) {
  const uint32_t end = next;
  for (uint32_t i = e->max; i-- > 0 && next != NONE;) {
    next = compile(c, child, next);
    if (i >= e->min && next != NONE) next = pda_add_fork(c->machine, (const uint32_t[]){next, end}, 2);
  }
  return next;
}

static uint32_t compile_repeat(compiler *c, const expr *e, uint32_t next) {
  const expr_id child = c->rules->children[e->first];
  const bool empty = c->facts->empty[child];
  const uint8_t kind = c->rules->exprs[child].kind;
  if (e->max == 0 || !c->facts->possible[child]) return next; /* min is 0, or this would not be possible */
  if (e->max == RULES_NO_LIMIT && (e->min <= 1 || empty)) return compile_loop(c, child, e->min == 1, next);
  if (e->max == 1 || (e->max <= COPIES_MOST && (kind == EXPR_CLASS || kind == EXPR_LITERAL)))
    return compile_copies(c, e, child, next);
  const uint32_t start = compile(c, child, PDA_STATE_REPEAT_END);
  if (start == NONE) return NONE;
  return pda_add(c->machine, (pda_state){.kind = PDA_REPEAT,
                                         .empty = empty,
                                         .first = start,
                                         .min = empty ? 0 : e->min,
                                         .max = e->max,
                                         .next = next});
}

static uint32_t compile_call(compiler *c, uint32_t rule, uint32_t next) {
  measure ignored = {0};
  if (rule_is_short(c, rule, 0, &ignored)) return compile(c, c->rules->rules[rule].body, next);
  if (!c->queued[rule]) {
    c->queued[rule] = true;
    c->work[c->n_work++] = rule;
  }
  return pda_add(c->machine, (pda_state){.kind = PDA_CALL, .first = rule, .next = next});
}

static uint32_t compile(compiler *c, expr_id id, uint32_t next) {
  const grammar_rules *r = c->rules;
  const expr *e = &r->exprs[id];
  switch ((expr_kind)e->kind) {
    case EXPR_LITERAL: return pda_add_text(c->machine, (const char *)r->bytes.data + e->first, e->count, next);
    case EXPR_CLASS: return pda_add_class(c->machine, r->ranges + e->first, e->count, next);
    case EXPR_SEQUENCE: return compile_sequence(c, e, next);
    case EXPR_CHOICE: return compile_choice(c, e, next);
    case EXPR_REPEAT: return compile_repeat(c, e, next);
    case EXPR_CALL: return compile_call(c, e->first, next);
  }
  return NONE;
}

static bool compile_all(compiler *c) {
  pda *m = c->machine;
  pda_add(m, (pda_state){.kind = PDA_END});
  if (pda_add(m, (pda_state){.kind = PDA_REPEAT_END}) != PDA_STATE_REPEAT_END) return false;
  c->work[c->n_work++] = c->rules->root;
  c->queued[c->rules->root] = true;
  for (size_t done = 0; done < c->n_work; done++) {
    const uint32_t rule = c->work[done];
    c->starts[rule] = compile(c, c->rules->rules[rule].body, PDA_STATE_END);
    if (c->starts[rule] == NONE) return false;
  }
  for (size_t i = 0; i < m->n_states; i++)
    if (m->states[i].kind == PDA_CALL) m->states[i].first = c->starts[m->states[i].first];
  m->start = c->starts[c->rules->root];
  return true;
}

static void find_classes(pda *m) {
  bool begins[257] = {true};
  for (size_t i = 0; i < m->n_edges; i++) begins[m->edges[i].first] = begins[m->edges[i].last + 1] = true;
  for (unsigned b = 0; b < 256; b++) {
    if (begins[b]) m->class_byte[m->n_classes++] = (uint8_t)b;
    m->classes[b] = (uint8_t)(m->n_classes - 1);
  }
}

ellm_status pda_create(const grammar_rules *rules, const char *origin, pda *machine, ellm_error *err) {
  rules_facts facts;
  compiler c = {.rules = rules, .facts = &facts, .machine = machine};
  *machine = (pda){0};
  ellm_status status = rules_analyse(rules, origin, &facts, err);
  const size_t n = rules->n_rules + 1;
  c.starts = calloc(n, sizeof *c.starts);
  c.shorts = calloc(n, 1);
  c.work = calloc(n, sizeof *c.work);
  c.queued = calloc(n, sizeof *c.queued);
  if (status == ELLM_OK && !(c.starts && c.shorts && c.work && c.queued))
    status = ellm_fail_memory(err, n * sizeof *c.starts, "a grammar");
  if (status == ELLM_OK && !compile_all(&c))
    status = machine->n_states < PDA_MOST_STATES / 2
                 ? ellm_fail_memory(err, machine->n_states * sizeof(pda_state), "a grammar")
                 : ellm_fail(err, ELLM_ERR_INPUT, "%s: the grammar is too large: it needs more than %d states", origin,
                             PDA_MOST_STATES);
  find_classes(machine);
  free(c.starts);
  free(c.shorts);
  free(c.work);
  free(c.queued);
  rules_facts_free(&facts);
  if (status != ELLM_OK) pda_free(machine);
  return status;
}

size_t pda_bytes(const pda *m) {
  return m->states_room * sizeof *m->states + m->edges_room * sizeof *m->edges + m->targets_room * sizeof *m->targets;
}

void pda_free(pda *machine) {
  free(machine->states);
  free(machine->edges);
  free(machine->targets);
  *machine = (pda){0};
}
