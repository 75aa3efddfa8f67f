/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a chat template, inside the evaluator only: tokens and nodes.
 * Everything lies in the arena of the template and is freed with it.
 *
 * Chains (a + b - c, a and b, x.y[0]|f is t) are one node with a list of steps,
 * so that the depth of the tree is the nesting that a reader sees, which is
 * limited; evaluation can recurse over it safely.
 */
#ifndef ELLM_TEMPLATE_SYNTAX_H
#define ELLM_TEMPLATE_SYNTAX_H

#include "template/template.h"
#include "template/value.h"

/* ------------------------------------------------------------------- tokens */

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

/* -------------------------------------------------------------------- nodes */

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
  NODE_SPREAD,   /* an argument *a or **a; op tells which */
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
  uint32_t line, column;
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

/* Where a problem of the source is told: "ORIGIN: chat template: line L column C: ..." */
ellm_status tpl_syntax_error(const char *origin, uint32_t line, uint32_t column, ellm_error *err, const char *format,
                             ...) ELLM_PRINTF(5, 6);

/* Cut a source into tokens, the last of them TOKEN_END; *tokens is malloc'ed,
 * their texts lie in the arena. */
ellm_status tpl_lex(const char *source, size_t bytes, const char *origin, tpl_arena *arena, tpl_token **tokens,
                    size_t *n_tokens, ellm_error *err);

/* --------------------------------------------------------- parser, its files */

enum { TPL_MAX_NAMES = 8192, TPL_NAME_SLOTS = 4 * TPL_MAX_NAMES };

typedef struct tpl_parser {
  chat_template *t;
  const tpl_token *token; /* the current one */
  ellm_error *err;
  ellm_status status;
  unsigned nesting;
  unsigned loops;       /* loops around that break and continue may mean */
  unsigned all_loops;   /* all loops around, also those outside of a macro */
  unsigned branches;    /* branches of if around, within the innermost macro */
  unsigned expressions; /* expressions around the one being parsed */
  const tpl_token *unknown; /* a filter or test that is not known and not in a branch, NULL: none so far */
  const char *unknown_what; /* "filter" or "test" */
  tpl_node *macro;      /* innermost macro, to note caller, varargs, kwargs */
  uint16_t slots[TPL_NAME_SLOTS]; /* a hash table of names: id + 1, 0 if empty */
} tpl_parser;

/* All return NULL or false after an error, which lies in parser->status and err. */

/* Statements up to a tag named in `ends` (NULL-terminated; NULL: up to the end of the source). The
 * current token is then that name. False after an error; *body may be an empty list (NULL). */
bool tpl_parse_statements(tpl_parser *parser, const char *const *ends, tpl_node **body);
/* Set `unset` of the whole tree. */
bool tpl_find_unset(tpl_parser *parser);
tpl_node *tpl_parse_expression(tpl_parser *parser, bool with_condition);
/* One expression, or several with commas: a tuple. `stop`: a name that ends it, or NULL. */
tpl_node *tpl_parse_tuple(tpl_parser *parser, bool with_condition, bool parenthesized, const char *stop);
tpl_node *tpl_parse_primary(tpl_parser *parser);
bool tpl_parse_arguments(tpl_parser *parser, tpl_node **arguments);
/* Filters after `base`: "|a|b(c)"; `inline_start`: the first without a bar. */
tpl_node *tpl_parse_filters(tpl_parser *parser, tpl_node *base, bool inline_start);

void *tpl_parse_error(tpl_parser *parser, const tpl_token *at, const char *format, ...) ELLM_PRINTF(3, 4);
void *tpl_parse_no_memory(tpl_parser *parser);
tpl_node *tpl_new_node(tpl_parser *parser, tpl_node_type type, const tpl_token *at);
bool tpl_node_name(tpl_parser *parser, tpl_node *node, const tpl_token *name); /* sets name and id */
bool tpl_intern(tpl_parser *parser, const char *text, size_t bytes, uint32_t *id);
/* As in Jinja, a filter or test that does not exist is an error at once, but within an if statement or a conditional
 * expression only when it is reached. The second is known when the expression is over, so they are noted first. */
void tpl_note_unknown(tpl_parser *parser, const tpl_token *name, const char *what);
bool tpl_check_unknown(tpl_parser *parser); /* false, with the error, where an expression is over that has one */
bool tpl_enter(tpl_parser *parser); /* one level deeper; an error when too deep */
void tpl_leave(tpl_parser *parser);

bool tpl_at_operator(const tpl_parser *parser, int op);
bool tpl_at_name(const tpl_parser *parser, const char *name);
bool tpl_skip_operator(tpl_parser *parser, int op);
bool tpl_skip_name(tpl_parser *parser, const char *name);
bool tpl_expect_operator(tpl_parser *parser, int op);
/* The token in words, for errors, cut to 60 bytes. */
const char *tpl_describe(const tpl_token *token, char text[80]);

#endif
