/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: a source cut into tokens. */
#ifndef ELLM_TEMPLATE_LEX_H
#define ELLM_TEMPLATE_LEX_H

#include "template/syntax/syntax.h"

/* Cut a source into tokens, the last of them TOKEN_END; *tokens is malloc'ed,
 * their texts are in the arena. */
ellm_status tpl_lex(const char *source, size_t bytes, const char *origin, tpl_arena *arena, tpl_token **tokens,
                    size_t *n_tokens, ellm_error *err);

#endif
