/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a pushdown machine (pda.h says what they do), and making them: single ones, those of a class of characters
 * and of a set of texts. */
#ifndef ELLM_GRAMMAR_PDA_STATES_H
#define ELLM_GRAMMAR_PDA_STATES_H

#include "grammar/rules.h"

typedef enum pda_kind {
  PDA_END,        /* of a rule; state 0 */
  PDA_REPEAT_END, /* of one round; state 1 */
  PDA_EDGES,      /* edges[first..first + count), ascending and disjoint */
  PDA_FORK,       /* targets[first..first + count) */
  PDA_CALL,       /* of the rule that begins at `first`, then on at `next` */
  PDA_REPEAT      /* of what begins at `first` and ends with REPEAT_END, min to max times, then on at `next` */
} pda_kind;

enum { PDA_STATE_END = 0, PDA_STATE_REPEAT_END = 1, PDA_MOST_STATES = 1 << 20 };

typedef struct pda_state {
  uint8_t kind;
  bool empty;            /* REPEAT: a round may be the empty text; then min is 0 */
  uint32_t first, count; /* CALL: `first` is the rule while it is compiled */
  uint32_t min, max, next;
} pda_state;

typedef struct pda_edge { uint8_t first, last; uint32_t target; } pda_edge;

typedef struct pda {
  pda_state *states;
  pda_edge *edges;
  uint32_t *targets;
  size_t n_states, n_edges, n_targets;
  size_t states_room, edges_room, targets_room;
  uint32_t start;
  uint8_t classes[256];  /* of bytes that no edge tells apart */
  uint32_t n_classes;
  uint8_t class_byte[256]; /* one of each class */
} pda;

/* The target of a byte, or UINT32_MAX. */
static inline uint32_t pda_edge_target(const pda *machine, const pda_state *state, uint8_t byte) {
  const pda_edge *edges = machine->edges + state->first;
  size_t low = 0, high = state->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (edges[middle].last < byte) low = middle + 1;
    else high = middle;
  }
  return low < state->count && edges[low].first <= byte ? edges[low].target : UINT32_MAX;
}

/* All that follow return UINT32_MAX where there is no memory or the limit is reached; pda_create says which. */
uint32_t pda_add(pda *machine, pda_state state);
/* Copies the edges. */
uint32_t pda_add_edges(pda *machine, const pda_edge *edges, size_t n);
uint32_t pda_add_fork(pda *machine, const uint32_t *targets, size_t n);
/* Read the bytes, then continue at `next`. */
uint32_t pda_add_text(pda *machine, const char *text, size_t bytes, uint32_t next);
/* Read a character of ranges[n], ascending, disjoint and without surrogates. */
uint32_t pda_add_class(pda *machine, const code_range *ranges, size_t n, uint32_t next);

typedef struct pda_text { const char *text; size_t bytes; } pda_text;
/* Read one of the texts, which are sorted here and of which equal ones count once. Beginnings are shared. */
uint32_t pda_add_texts(pda *machine, pda_text *texts, size_t n, uint32_t next);

#endif
