/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: a source cut into tokens. */
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

/* Where a problem of the source is told: "ORIGIN: chat template: line L column C: ..." */
ellm_status tpl_syntax_error(const char *origin, uint32_t line, uint32_t column, ellm_error *err, const char *format,
                             ...) ELLM_PRINTF(5, 6);

/* Cut a source into tokens, the last of them TOKEN_END; *tokens is malloc'ed,
 * their texts lie in the arena. */
ellm_status tpl_lex(const char *source, size_t bytes, const char *origin, tpl_arena *arena, tpl_token **tokens,
                    size_t *n_tokens, ellm_error *err);

#endif
