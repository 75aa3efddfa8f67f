/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tokens of a vocabulary can follow a text: a bit for each id. Found by going through the tree of the vocabulary
 * with the automaton, and kept with the set of places that it was found for. What happens inside of one rule does not
 * depend on what called it: that part is found once for all calls (all strings of a schema, say), and only tokens in
 * which the rule ends are looked at for each.
 */
#ifndef ELLM_GRAMMAR_MASK_H
#define ELLM_GRAMMAR_MASK_H

#include "grammar/automaton.h"
#include "grammar/vocabulary.h"

static inline size_t mask_words(const vocabulary *v) { return ((size_t)v->n_ids + 63) / 64; }

/* *mask: [mask_words], kept with the set until automaton_compact. */
ellm_status mask_of(automaton *a, const vocabulary *v, uint32_t set, const uint64_t **mask, ellm_error *err);

#endif
