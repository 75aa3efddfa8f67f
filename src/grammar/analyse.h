/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of rules before they are compiled: which expressions can match the empty text, which can match anything
 * at all, and that no rule begins with itself (left recursion), which a machine that reads from the left would follow
 * for ever. Time is linear in the size of the rules.
 */
#ifndef ELLM_GRAMMAR_ANALYSE_H
#define ELLM_GRAMMAR_ANALYSE_H

#include "grammar/rules.h"

typedef struct rules_facts {
  uint8_t *empty;    /* [n_exprs]: 1 where it can match the empty text */
  uint8_t *possible; /* [n_exprs]: 1 where it can match some text; else it and what needs it can be left out */
} rules_facts;

/* ELLM_ERR_INPUT, naming the rule: one is called and not defined, begins with itself, or the root can match nothing.
 * Free with rules_facts_free, also after a failure. */
ellm_status rules_analyse(const grammar_rules *rules, const char *origin, rules_facts *facts, ellm_error *err);
void rules_facts_free(rules_facts *facts);

#endif
