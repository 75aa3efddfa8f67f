/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: names of a source that are undefined. */
#ifndef ELLM_TEMPLATE_SYMBOLS_H
#define ELLM_TEMPLATE_SYMBOLS_H

#include "template/syntax/parser.h"

/* Set `unset` of the whole tree. */
bool tpl_find_unset(tpl_parser *parser);

#endif
