/* SPDX-License-Identifier: Apache-2.0 */
/* Grammars that were asked for lately: what is found out about one stays with it, and many ask for the same. */
#ifndef ELLM_SERVE_GRAMMARS_H
#define ELLM_SERVE_GRAMMARS_H

#include "serve/problem.h"
#include "serve/server.h"

enum { GRAMMARS_KEPT = 16 };

/* The grammar of a text, a JSON Schema or GBNF, kept or made; `field` names it in problems. */
bool grammars_take(server *s, const char *source, bool schema, const char *field, kept_grammar **taken, problem *p);
const ellm_grammar *grammars_of(const kept_grammar *g);
void grammars_release(kept_grammar *g); /* NULL: nothing */
void grammars_free(server *s);          /* those that are kept; none is taken any more */

#endif
