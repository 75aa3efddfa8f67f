/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pushdown machine over bytes, made of rules. Immutable once it is made.
 *
 * States are small instructions. Only EDGES reads a byte; the others say where the machine is at the same time (FORK),
 * or work with its stack: CALL pushes the state to continue with after a rule, END goes there; REPEAT pushes a counter,
 * REPEAT_END counts and goes round or on. So "{1,1000000}" costs no more states than "{1,2}". Characters are read as
 * the bytes of well-formed UTF-8, and nothing else is ever accepted. Every state can reach the end of a text.
 */
#ifndef ELLM_GRAMMAR_PDA_H
#define ELLM_GRAMMAR_PDA_H

#include "grammar/pda_states.h"

/* ELLM_ERR_INPUT: what rules_analyse finds, or more than PDA_MOST_STATES. On failure nothing is to be freed. */
ellm_status pda_create(const grammar_rules *rules, const char *origin, pda *machine, ellm_error *err);
void pda_free(pda *machine);
size_t pda_bytes(const pda *machine); /* of memory */

#endif
