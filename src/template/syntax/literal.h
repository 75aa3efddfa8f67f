/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: numbers and strings of a source. */
#ifndef ELLM_TEMPLATE_LITERAL_H
#define ELLM_TEMPLATE_LITERAL_H

#include "template/syntax/lexer.h"

/* At a digit or a quote: read the literal and set type and value of the token. */
ellm_status tpl_lex_number(tpl_lexer *lexer, tpl_token *token);
ellm_status tpl_lex_string(tpl_lexer *lexer, tpl_token *token);

#endif
