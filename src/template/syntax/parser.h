/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: what the files of the parser share: the current token, names,
 * errors. All return NULL or false after an error, which is in parser->status
 * and err.
 */
#ifndef ELLM_TEMPLATE_PARSER_H
#define ELLM_TEMPLATE_PARSER_H

#include "template/syntax/syntax.h"

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
