/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: expressions of a source. */
#ifndef ELLM_TEMPLATE_PARSE_H
#define ELLM_TEMPLATE_PARSE_H

#include "template/syntax/parser.h"

tpl_node *tpl_parse_expression(tpl_parser *parser, bool with_condition);
/* One expression, or several with commas: a tuple. `stop`: a name that ends it, or NULL. */
tpl_node *tpl_parse_tuple(tpl_parser *parser, bool with_condition, bool parenthesized, const char *stop);
tpl_node *tpl_parse_primary(tpl_parser *parser);
bool tpl_parse_arguments(tpl_parser *parser, tpl_node **arguments);
/* Filters after `base`: "|a|b(c)"; `inline_start`: the first without a bar. */
tpl_node *tpl_parse_filters(tpl_parser *parser, tpl_node *base, bool inline_start);

#endif
