/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: the lexer's own parts. */
#ifndef ELLM_TEMPLATE_LEX_H
#define ELLM_TEMPLATE_LEX_H

#include "template/syntax.h"

typedef struct tpl_lexer {
  const char *source; /* valid UTF-8, four NUL bytes behind it */
  size_t bytes, at;
  const char *origin;
  tpl_arena *arena;
  ellm_error *err;
  size_t located; /* where line and column are known */
  uint32_t line, column;
  bool line_starting; /* what was read last ended with a newline */
  tpl_token *tokens;
  size_t count, capacity;
  char brackets[2 * CHAT_TEMPLATE_MAX_NESTING]; /* those that close the open ones */
  unsigned n_brackets;
} tpl_lexer;

ellm_status tpl_lex_fail(tpl_lexer *lexer, size_t at, const char *problem);
/* At a digit or a quote: read the literal and set type and value of the token. */
ellm_status tpl_lex_number(tpl_lexer *lexer, tpl_token *token);
ellm_status tpl_lex_string(tpl_lexer *lexer, tpl_token *token);

#endif
