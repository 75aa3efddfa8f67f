/* SPDX-License-Identifier: Apache-2.0 */
/* Grammars that were asked for lately: what is found out about one stays with it, and many ask for the same. */
#ifndef ELLM_SERVE_GRAMMARS_H
#define ELLM_SERVE_GRAMMARS_H

#include "serve/problem.h"
#include "serve/server.h"

/* Those that no request uses are kept up to this number, and as long as all together take no more than GRAMMARS_BYTES.
 * One takes at most GRAMMAR_BYTES; so they take GRAMMARS_BYTES and what those of the answers at work grow by. */
enum { GRAMMARS_KEPT = 16, GRAMMARS_BYTES = 64 << 20, GRAMMAR_BYTES = 32 << 20 };

/* The grammar of a text, a JSON Schema or GBNF, kept or made; `field` names it in problems. */
bool grammars_take(server *s, const char *source, bool schema, const char *field, kept_grammar **taken, problem *p);
const ellm_grammar *grammars_of(const kept_grammar *g);
void grammars_release(kept_grammar *g); /* NULL: nothing */
void grammars_free(server *s);          /* those that are kept; none is taken any more */

#endif
