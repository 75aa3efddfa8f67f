/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a chat template, inside the evaluator only: tokens and nodes.
 * Everything is in the arena of the template and is freed with it.
 *
 * Chains (a + b - c, a and b, x.y[0]|f is t) are one node with a list of steps,
 * so that the depth of the tree is the nesting that a reader sees, which is
 * limited; evaluation can recurse over it safely.
 */
#ifndef ELLM_TEMPLATE_SYNTAX_H
#define ELLM_TEMPLATE_SYNTAX_H

#include "template/syntax/place.h"
#include "template/template.h"
#include "template/value/value.h"

typedef enum tpl_token_type {
  TOKEN_DATA,        /* text between tags, after whitespace control */
  TOKEN_PRINT_BEGIN, /* {{ */
  TOKEN_PRINT_END,
  TOKEN_TAG_BEGIN,   /* {% */
  TOKEN_TAG_END,
  TOKEN_NAME,
  TOKEN_STRING,
  TOKEN_INT,
  TOKEN_FLOAT,
  TOKEN_OPERATOR,
  TOKEN_END          /* of the source */
} tpl_token_type;

/* Operators of two characters have their own code, others are the character. */
enum { OP_POWER = 128, OP_FLOOR_DIVIDE, OP_EQUAL, OP_NOT_EQUAL, OP_LESS_EQUAL, OP_GREATER_EQUAL, OP_IN, OP_NOT_IN };

typedef struct tpl_token {
  tpl_token_type type;
  int op;                /* of operators */
  uint32_t line, column; /* from 1, in characters */
  const char *text;      /* of data, names and strings (escapes resolved) */
  size_t bytes;
  int64_t integer;
  double real;
} tpl_token;

typedef enum tpl_node_type {
  /* expressions */
  NODE_CONST,    /* value */
  NODE_NAME,     /* name, id */
  NODE_LIST,     /* a: items */
  NODE_TUPLE,    /* a: items */
  NODE_DICT,     /* a: key, value, key, value, ... */
  NODE_CONCAT,   /* a: operands of ~ */
  NODE_AND,      /* a: operands */
  NODE_OR,       /* a: operands */
  NODE_NOT,      /* a */
  NODE_NEGATE,   /* a */
  NODE_PLUS,     /* a */
  NODE_ARITH,    /* a: first operand, b: steps NODE_OPERAND */
  NODE_COMPARE,  /* a: first operand, b: steps NODE_OPERAND */
  NODE_OPERAND,  /* op, a */
  NODE_COND,     /* a if b else c (NULL: undefined) */
  NODE_POSTFIX,  /* a: base, b: steps, of the following types */
  STEP_ATTRIBUTE,/* .name */
  STEP_ITEM,     /* [a] */
  STEP_SLICE,    /* [a:b:c], each may be NULL */
  STEP_CALL,     /* (a: arguments) */
  STEP_FILTER,   /* |name(a: arguments), builtin */
  STEP_TEST,     /* is name(a: arguments), builtin; negated */
  NODE_KEYWORD,  /* an argument name=a */
  NODE_SPREAD,   /* an argument *a or **a; op says which */
  /* statements */
  NODE_DATA,      /* value: a string */
  NODE_PRINT,     /* a: expressions */
  NODE_IF,        /* a: branches */
  NODE_BRANCH,    /* a: test (NULL: else), body */
  NODE_FOR,       /* a: target, b: iterable, c: test or NULL, body, other */
  NODE_SET,       /* a: target, b: value */
  NODE_SET_BLOCK, /* a: target, b: POSTFIX of filters over the body's text or NULL, body */
  NODE_TARGET_ATTRIBUTE, /* name.attribute in set: a is the NAME, name the attribute */
  NODE_MACRO,     /* name, id, a: parameters, body; uses_caller, uses_varargs, uses_kwargs */
  NODE_PARAMETER, /* name, id, a: default or NULL */
  NODE_CALL_BLOCK,/* a: POSTFIX ending in a call, b: the caller as a MACRO */
  NODE_FILTER_BLOCK, /* b: POSTFIX of filters over the body's text, body */
  NODE_WITH,      /* a: target, value, target, value, ...; body */
  NODE_SCOPE,     /* body (generation) */
  NODE_BODY_TEXT, /* in b of SET_BLOCK and FILTER_BLOCK: stands for the text of the body */
  NODE_BREAK,
  NODE_CONTINUE
} tpl_node_type;

enum { TPL_UNKNOWN = UINT16_MAX };

/* A name that is undefined when a scope begins; see symbols.c. */
typedef struct tpl_unset { uint32_t id; struct tpl_unset *next; } tpl_unset;

typedef struct tpl_node tpl_node;
struct tpl_node {
  tpl_node_type type;
  tpl_place place;
  tpl_node *next; /* of a list */
  tpl_node *a, *b, *c, *body, *other;
  tpl_unset *unset, *unset_other; /* of the scopes of `body` and of `other` */
  const tpl_string *name;
  uint32_t id;     /* of the name among the template's names */
  int op;
  uint16_t builtin; /* which filter or test; TPL_UNKNOWN: none */
  bool negated, uses_caller, uses_varargs, uses_kwargs;
  tpl_value value;
};

/* Names that the evaluator itself looks for have fixed ids. */
enum { NAME_LOOP, NAME_CALLER, NAME_VARARGS, NAME_KWARGS, N_FIXED_NAMES };

struct chat_template {
  tpl_arena arena;
  char *origin;
  tpl_node *body;
  tpl_unset *unset;
  const tpl_string **names; /* by id; a NUL follows each */
  uint32_t n_names;
};

#endif
