/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: statements of a source. */
#ifndef ELLM_TEMPLATE_STATEMENTS_H
#define ELLM_TEMPLATE_STATEMENTS_H

#include "template/syntax/parser.h"

/* Statements up to a tag named in `ends` (NULL-terminated; NULL: up to the end of the source). The
 * current token is then that name. False after an error; *body may be an empty list (NULL). */
bool tpl_parse_statements(tpl_parser *parser, const char *const *ends, tpl_node **body);

#endif
