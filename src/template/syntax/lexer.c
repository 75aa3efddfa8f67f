/* SPDX-License-Identifier: Apache-2.0 */
#include "template/syntax/lexer.h"

void tpl_lex_locate(tpl_lexer *lexer, size_t at) {
  for (; lexer->located < at; lexer->located++) {
    const unsigned char c = (unsigned char)lexer->source[lexer->located];
    if (c == '\n') {
      lexer->line++;
      lexer->column = 1;
    } else if ((c & 0xC0) != 0x80) {
      lexer->column++;
    }
  }
}

ellm_status tpl_lex_fail(tpl_lexer *lexer, size_t at, const char *problem) {
  if (at < lexer->located) { /* the beginning of what was found to be bad */
    lexer->located = 0;
    lexer->line = lexer->column = 1;
  }
  tpl_lex_locate(lexer, at);
  return tpl_syntax_error(lexer->origin, lexer->line, lexer->column, lexer->err, "%s", problem);
}
