/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: what the files of the lexer share. */
#ifndef ELLM_TEMPLATE_LEXER_H
#define ELLM_TEMPLATE_LEXER_H

#include "template/syntax/syntax.h"

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

/* Line and column of `at`, which never is before an earlier question. */
void tpl_lex_locate(tpl_lexer *lexer, size_t at);
/* The error of a place, wherever it is. */
ellm_status tpl_lex_fail(tpl_lexer *lexer, size_t at, const char *problem);

#endif
