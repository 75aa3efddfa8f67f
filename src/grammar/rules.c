/* SPDX-License-Identifier: Apache-2.0 */
/* Building rules: see rules.h. */
#include "grammar/rules.h"

#include <stdlib.h>
#include <string.h>

/* The lists begin with some room, so that none is NULL, whatever the rules need. */
ellm_status rules_init(grammar_rules *rules, ellm_error *err) {
  memset(rules, 0, sizeof *rules);
  if (rules_grow(rules, &rules->children, &rules->children_room, 0, sizeof *rules->children) &&
      rules_grow(rules, &rules->ranges, &rules->ranges_room, 0, sizeof *rules->ranges) &&
      ellm_buffer_reserve(&rules->bytes, 64) && vocab_init(&rules->names, 64, err) == ELLM_OK)
    return ELLM_OK;
  rules_free(rules);
  return ellm_fail_memory(err, 64, "a grammar");
}

void rules_free(grammar_rules *rules) {
  free(rules->exprs);
  free(rules->children);
  free(rules->ranges);
  free(rules->rules);
  ellm_buffer_free(&rules->bytes);
  vocab_free(&rules->names);
}

void rules_fail(grammar_rules *rules, ellm_status status, const char *message) {
  if (rules->status != ELLM_OK) return;
  rules->status = status;
  ellm_error_set(&rules->err, status, "%s", message);
}

static void fail_memory(grammar_rules *rules) { rules_fail(rules, ELLM_ERR_IO, "out of memory (for a grammar)"); }

static void fail_size(grammar_rules *rules, const char *what) {
  if (rules->status != ELLM_OK) return;
  rules->status = ELLM_ERR_INPUT;
  ellm_error_set(&rules->err, ELLM_ERR_INPUT, "the grammar has too many %s (at most %d)", what, RULES_MOST_EXPRS);
}

bool rules_grow(grammar_rules *rules, void *items, size_t *room, size_t n, size_t size) {
  if (rules->status != ELLM_OK) return false;
  if (n < *room) return true;
  if (n >= RULES_MOST_EXPRS) {
    fail_size(rules, "parts");
    return false;
  }
  const size_t larger = *room > 0 ? 2 * *room : 64;
  void **list = items;
  void *grown = realloc(*list, larger * size);
  if (!grown) {
    fail_memory(rules);
    return false;
  }
  *list = grown;
  *room = larger;
  return true;
}

static bool add_bytes(grammar_rules *rules, const char *text, size_t bytes, uint32_t *first) {
  *first = (uint32_t)rules->bytes.size;
  if (rules->status != ELLM_OK) return false;
  if (bytes > RULES_MOST_EXPRS || rules->bytes.size + bytes > RULES_MOST_EXPRS) {
    fail_size(rules, "bytes in names and texts");
    return false;
  }
  if (ellm_buffer_append(&rules->bytes, text, bytes)) return true;
  fail_memory(rules);
  return false;
}

/* --------------------------------------------------------------------- rules */

uint32_t rules_unnamed(grammar_rules *rules) {
  if (rules->n_rules >= RULES_MOST) {
    rules_fail(rules, ELLM_ERR_INPUT, "the grammar has more than 65536 rules");
    return EXPR_NONE;
  }
  if (!rules_grow(rules, &rules->rules, &rules->rules_room, rules->n_rules, sizeof *rules->rules)) return EXPR_NONE;
  rules->rules[rules->n_rules] = (grammar_rule){.body = EXPR_NONE};
  return (uint32_t)rules->n_rules++;
}

uint32_t rules_named(grammar_rules *rules, const char *name, size_t bytes, uint32_t line) {
  const uint32_t found = vocab_find(&rules->names, name, bytes);
  uint32_t first;
  if (found != VOCAB_NONE) return found;
  const uint32_t made = rules_unnamed(rules);
  if (made == EXPR_NONE || !add_bytes(rules, name, bytes, &first)) return EXPR_NONE;
  if (vocab_add(&rules->names, name, bytes, made, NULL) != ELLM_OK) {
    fail_memory(rules);
    return EXPR_NONE;
  }
  rules->rules[made].name = first;
  rules->rules[made].name_bytes = (uint32_t)bytes;
  rules->rules[made].line = line;
  return made;
}

void rules_define(grammar_rules *rules, uint32_t rule, expr_id body) {
  if (rules->status != ELLM_OK || rule == EXPR_NONE || body == EXPR_NONE) return;
  rules->rules[rule].body = body;
  rules->exprs[body].rule = rule;
}

/* --------------------------------------------------------------- expressions */

static expr_id add(grammar_rules *rules, expr e) {
  if (!rules_grow(rules, &rules->exprs, &rules->exprs_room, rules->n_exprs, sizeof *rules->exprs)) return EXPR_NONE;
  e.parent = EXPR_NONE;
  e.rule = EXPR_NONE;
  if (e.depth == 0) e.depth = 1;
  rules->exprs[rules->n_exprs] = e;
  return (expr_id)rules->n_exprs++;
}

expr_id rules_literal(grammar_rules *rules, const char *text, size_t bytes) {
  uint32_t first;
  if (!add_bytes(rules, text, bytes, &first)) return EXPR_NONE;
  return add(rules, (expr){.kind = EXPR_LITERAL, .first = first, .count = (uint32_t)bytes});
}

static int by_first(const void *a, const void *b) {
  const code_range *x = a, *y = b;
  return x->first < y->first ? -1 : x->first > y->first;
}

size_t code_ranges_merge(code_range *ranges, size_t n) {
  enum { SURROGATES = 0xD800, SURROGATES_END = 0xE000 };
  size_t kept = 0;
  if (n == 0) return 0;
  qsort(ranges, n, sizeof *ranges, by_first);
  for (size_t i = 0; i < n; i++) {
    code_range r = ranges[i];
    if (r.last > CODE_POINT_LAST) r.last = CODE_POINT_LAST;
    if (r.first > r.last) continue;
    if (kept > 0 && r.first <= ranges[kept - 1].last + 1) {
      if (r.last > ranges[kept - 1].last) ranges[kept - 1].last = r.last;
    } else {
      ranges[kept++] = r;
    }
  }
  for (size_t i = 0; i < kept; i++) { /* at most one range is on both sides of the surrogates */
    code_range *r = &ranges[i];
    if (r->last < SURROGATES || r->first >= SURROGATES_END) continue;
    if (r->first < SURROGATES && r->last >= SURROGATES_END) {
      memmove(r + 1, r, (kept - i) * sizeof *r);
      kept++;
      r->last = SURROGATES - 1;
      r[1].first = SURROGATES_END;
      break;
    }
    if (r->first < SURROGATES) {
      r->last = SURROGATES - 1;
    } else if (r->last >= SURROGATES_END) {
      r->first = SURROGATES_END;
    } else {
      memmove(r, r + 1, (kept - i - 1) * sizeof *r);
      kept--;
      i--;
    }
  }
  return kept;
}

static bool add_range(grammar_rules *rules, uint32_t first, uint32_t last) {
  if (!rules_grow(rules, &rules->ranges, &rules->ranges_room, rules->n_ranges, sizeof *rules->ranges)) return false;
  rules->ranges[rules->n_ranges++] = (code_range){first, last};
  return true;
}

expr_id rules_class(grammar_rules *rules, code_range *ranges, size_t n, bool inverted) {
  const size_t first = rules->n_ranges;
  code_range *own = calloc(2 * n + 3, sizeof *own); /* the complement, and one more for surrogates */
  if (!own) {
    fail_memory(rules);
    return EXPR_NONE;
  }
  if (n > 0) memcpy(own, ranges, n * sizeof *own);
  size_t merged = code_ranges_merge(own, n);
  if (inverted) {
    uint32_t from = 0;
    code_range *others = own + n + 1; /* there are at most merged + 1 <= n + 2 of them */
    size_t n_others = 0;
    for (size_t i = 0; i <= merged; i++) {
      const uint32_t until = i < merged ? own[i].first : CODE_POINT_LAST + 1;
      const uint32_t next = i < merged ? own[i].last + 1 : 0;
      if (until > from) others[n_others++] = (code_range){from, until - 1};
      from = next;
    }
    memmove(own, others, n_others * sizeof *own);
    merged = code_ranges_merge(own, n_others);
  }
  bool ok = true;
  for (size_t i = 0; ok && i < merged; i++) ok = add_range(rules, own[i].first, own[i].last);
  free(own);
  return ok ? add(rules, (expr){.kind = EXPR_CLASS, .first = (uint32_t)first, .count = (uint32_t)merged}) : EXPR_NONE;
}

static expr_id parent_of(grammar_rules *rules, expr_kind kind, const expr_id *children, size_t n, uint32_t min,
                         uint32_t max) {
  const size_t first = rules->n_children;
  unsigned depth = 1;
  for (size_t i = 0; i < n; i++) {
    if (children[i] == EXPR_NONE) return EXPR_NONE;
    if (!rules_grow(rules, &rules->children, &rules->children_room, rules->n_children, sizeof *rules->children))
      return EXPR_NONE;
    rules->children[rules->n_children++] = children[i];
    if (rules->exprs[children[i]].depth >= depth) depth = rules->exprs[children[i]].depth + 1u;
  }
  if (depth > RULES_MOST_DEPTH) {
    rules_fail(rules, ELLM_ERR_INPUT, "the grammar is nested more than 512 deep");
    return EXPR_NONE;
  }
  const expr_id made = add(rules, (expr){.kind = (uint8_t)kind,
                                         .depth = (uint16_t)depth,
                                         .first = (uint32_t)first,
                                         .count = (uint32_t)n,
                                         .min = min,
                                         .max = max});
  for (size_t i = 0; made != EXPR_NONE && i < n; i++) rules->exprs[children[i]].parent = made;
  return made;
}

expr_id rules_sequence(grammar_rules *rules, const expr_id *children, size_t n) {
  return n == 1 ? children[0] : parent_of(rules, EXPR_SEQUENCE, children, n, 0, 0);
}

expr_id rules_choice(grammar_rules *rules, const expr_id *children, size_t n) {
  return n == 1 ? children[0] : parent_of(rules, EXPR_CHOICE, children, n, 0, 0);
}

expr_id rules_repeat(grammar_rules *rules, expr_id child, uint32_t min, uint32_t max) {
  return parent_of(rules, EXPR_REPEAT, &child, 1, min, max);
}

expr_id rules_call(grammar_rules *rules, uint32_t rule) {
  if (rule == EXPR_NONE) return EXPR_NONE;
  return add(rules, (expr){.kind = EXPR_CALL, .first = rule});
}

void expr_list_add(grammar_rules *rules, expr_list *list, expr_id item) {
  if (!rules_grow(rules, &list->items, &list->room, list->count, sizeof *list->items)) return;
  list->items[list->count++] = item;
}

static void free_list(expr_list *list) {
  free(list->items);
  *list = (expr_list){0};
}

expr_id expr_list_sequence(grammar_rules *rules, expr_list *list) {
  const expr_id made = rules_sequence(rules, list->items, list->count);
  free_list(list);
  return made;
}

expr_id expr_list_choice(grammar_rules *rules, expr_list *list) {
  const expr_id made = rules_choice(rules, list->items, list->count);
  free_list(list);
  return made;
}
