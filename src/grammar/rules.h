/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one form of a grammar, whatever text it came from: rules, each a tree of expressions over characters. The readers
 * (gbnf.h, schema.h) build it bottom-up; pda.h compiles it.
 *
 * Invariants: every expression but a rule's body has one parent; children were made before it. Sizes are limited, so
 * that what comes later may walk all of it. Building is sticky: after a failure (memory, a limit) every call returns
 * EXPR_NONE, EXPR_NONE among the children gives EXPR_NONE, and `status` and `err` have the first failure.
 */
#ifndef ELLM_GRAMMAR_RULES_H
#define ELLM_GRAMMAR_RULES_H

#include "base/memory.h"
#include "text/vocab.h"

enum {
  RULES_MOST = 1 << 16,         /* rules */
  RULES_MOST_EXPRS = 1 << 20,   /* expressions, children, ranges of classes, bytes of literals: each */
  RULES_MOST_DEPTH = 512,       /* expressions inside each other */
  RULES_MOST_COUNT = 1 << 24    /* of a repetition */
};
#define EXPR_NONE UINT32_MAX
#define RULES_NO_LIMIT UINT32_MAX /* of a repetition */
#define CODE_POINT_LAST 0x10FFFFu

typedef uint32_t expr_id;
typedef struct code_range { uint32_t first, last; } code_range; /* both included */

typedef enum expr_kind { EXPR_LITERAL, EXPR_CLASS, EXPR_SEQUENCE, EXPR_CHOICE, EXPR_REPEAT, EXPR_CALL } expr_kind;

typedef struct expr {
  uint8_t kind;
  uint16_t depth;        /* of the tree below, 1 for a leaf */
  uint32_t first, count; /* LITERAL: of bytes; CLASS: of ranges; SEQUENCE, CHOICE: of children; REPEAT: of children, 1;
                            CALL: the rule */
  uint32_t min, max;     /* REPEAT; max may be RULES_NO_LIMIT */
  expr_id parent;        /* EXPR_NONE: the body of `rule` */
  uint32_t rule;
} expr;

typedef struct grammar_rule {
  uint32_t name, name_bytes; /* in `bytes` */
  expr_id body;              /* EXPR_NONE while it is only named */
  uint32_t line;             /* where it was named first; 0: nowhere */
} grammar_rule;

typedef struct grammar_rules {
  expr *exprs;
  expr_id *children;
  code_range *ranges;  /* of a class: ascending, disjoint, no surrogates */
  grammar_rule *rules;
  size_t n_exprs, n_children, n_ranges, n_rules;
  size_t exprs_room, children_room, ranges_room, rules_room;
  ellm_buffer bytes;   /* of literals and names */
  vocab names;
  uint32_t root;       /* where texts begin */
  ellm_status status;
  ellm_error err;
} grammar_rules;

ellm_status rules_init(grammar_rules *rules, ellm_error *err); /* zeroes; on failure nothing is to be freed */
void rules_free(grammar_rules *rules);
/* The first failure counts. */
void rules_fail(grammar_rules *rules, ellm_status status, const char *message);

/* The rule of this name, made where there is none; EXPR_NONE on failure. */
uint32_t rules_named(grammar_rules *rules, const char *name, size_t bytes, uint32_t line);
uint32_t rules_unnamed(grammar_rules *rules);
void rules_define(grammar_rules *rules, uint32_t rule, expr_id body);

expr_id rules_literal(grammar_rules *rules, const char *text, size_t bytes); /* 0 bytes: the empty text */
/* The characters of any ranges, sorted and merged in place; `inverted`: all others. Surrogates are no characters. May be
 * empty: nothing matches. */
expr_id rules_class(grammar_rules *rules, code_range *ranges, size_t n, bool inverted);
expr_id rules_sequence(grammar_rules *rules, const expr_id *children, size_t n);
expr_id rules_choice(grammar_rules *rules, const expr_id *children, size_t n); /* 0: nothing matches */
expr_id rules_repeat(grammar_rules *rules, expr_id child, uint32_t min, uint32_t max);
expr_id rules_call(grammar_rules *rules, uint32_t rule);

#define RULES_SEQUENCE(rules, ...) \
  rules_sequence((rules), (const expr_id[]){__VA_ARGS__}, sizeof((const expr_id[]){__VA_ARGS__}) / sizeof(expr_id))
#define RULES_CHOICE(rules, ...) \
  rules_choice((rules), (const expr_id[]){__VA_ARGS__}, sizeof((const expr_id[]){__VA_ARGS__}) / sizeof(expr_id))

/* Sort and merge ranges in place, surrogates and what is beyond Unicode left out; their number. At most n + 1 come
 * out: `ranges` has that room. */
size_t code_ranges_merge(code_range *ranges, size_t n);

/* A growing list of expressions; zero-initialize. What makes one expression of it frees it. */
typedef struct expr_list { expr_id *items; size_t count, room; } expr_list;
void expr_list_add(grammar_rules *rules, expr_list *list, expr_id item); /* failures are the rules' */
expr_id expr_list_sequence(grammar_rules *rules, expr_list *list);
expr_id expr_list_choice(grammar_rules *rules, expr_list *list);

/* Make room for one more of n items of `size` bytes, RULES_MOST_EXPRS at most. */
bool rules_grow(grammar_rules *rules, void *items, size_t *room, size_t n, size_t size);

#endif
