/* SPDX-License-Identifier: Apache-2.0 */
/* Grammars as llama.cpp writes them (GBNF): docs/GRAMMARS.md has the form. */
#ifndef ELLM_GRAMMAR_GBNF_H
#define ELLM_GRAMMAR_GBNF_H

#include "grammar/rules.h"

/* ELLM_ERR_INPUT, "ORIGIN: line N: ..." */
ellm_status gbnf_read(grammar_rules *rules, const char *text, size_t bytes, const char *origin, ellm_error *err);

#endif
