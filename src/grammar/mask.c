/* SPDX-License-Identifier: Apache-2.0 */
/* See mask.h. */
#include "grammar/mask.h"

#include <stdlib.h>
#include <string.h>

typedef struct exit_list { uint32_t *nodes; size_t count, room; } exit_list;

static void allow_tokens(const vocabulary *v, uint32_t node, uint64_t *bits) {
  for (uint32_t t = v->nodes[node].first; t < v->nodes[node + 1].first; t++)
    bits[v->ids[t] / 64] |= UINT64_C(1) << v->ids[t] % 64;
}

static ellm_status add_exit(exit_list *exits, uint32_t node, ellm_error *err) {
  if (exits->count == exits->room) {
    const size_t room = exits->room > 0 ? 2 * exits->room : 64;
    uint32_t *grown = realloc(exits->nodes, room * sizeof *grown);
    if (!grown) return ellm_fail_memory(err, room * sizeof *grown, "a grammar");
    exits->nodes = grown;
    exits->room = room;
  }
  exits->nodes[exits->count++] = node;
  return ELLM_OK;
}

/* Allow the tokens below `from` that the machine reads from `set` on, with the bytes up to `from` behind it. Where it
 * accepts inside of tokens, the nodes go to `exits` (NULL: nobody asks). */
static ellm_status walk(automaton *a, const vocabulary *v, uint32_t set, uint32_t from, uint64_t *bits,
                        exit_list *exits, ellm_error *err) {
  uint32_t path[VOCABULARY_LONGEST + 1];
  const uint32_t end = v->nodes[from].end, base = v->nodes[from].depth;
  path[0] = set;
  for (uint32_t i = from + 1; i < end;) {
    const vocabulary_node *node = &v->nodes[i];
    const uint32_t depth = node->depth - base;
    uint32_t next;
    ELLM_TRY(automaton_step(a, path[depth - 1], node->byte, &next, err));
    if (next == SET_DEAD) {
      i = node->end;
      continue;
    }
    allow_tokens(v, i, bits);
    if (exits && a->sets[next].accepts && node->end > i + 1) ELLM_TRY(add_exit(exits, i, err));
    path[depth] = next;
    i = a->sets[next].count > 0 ? i + 1 : node->end;
  }
  return ELLM_OK;
}

/* The tokens that begin in the rule that a set is in; its stacks begin there. */
static ellm_status find_own(automaton *a, const vocabulary *v, uint32_t set, ellm_error *err) {
  exit_list exits = {0};
  const size_t bytes = (mask_words(v) + 1) * sizeof(uint64_t);
  if (a->sets[set].tokens.own) return ELLM_OK;
  uint64_t *bits = calloc(1, bytes);
  ellm_status status = bits ? walk(a, v, set, 0, bits, &exits, err) : ellm_fail_memory(err, bytes, "a grammar");
  if (status != ELLM_OK) {
    free(bits);
    free(exits.nodes);
    return status;
  }
  set_tokens *tokens = &a->sets[set].tokens;
  tokens->own = bits;
  tokens->exits = exits.nodes;
  tokens->n_exits = exits.count;
  a->bytes += bytes + exits.room * sizeof *exits.nodes;
  return ELLM_OK;
}

/* The tokens that begin in one call, and those that continue after it. */
static ellm_status add_call(automaton *a, const vocabulary *v, uint32_t set, uint32_t call, uint64_t *bits,
                            ellm_error *err) {
  uint32_t own, after;
  ELLM_TRY(automaton_rebase(a, set, call, v->longest, &own, err));
  ELLM_TRY(find_own(a, v, own, err));
  for (size_t w = 0; w < mask_words(v); w++) bits[w] |= a->sets[own].tokens.own[w];
  if (call == 0 || a->sets[own].tokens.n_exits == 0) return ELLM_OK;
  ELLM_TRY(automaton_return(a, call, &after, err));
  for (size_t i = 0; i < a->sets[own].tokens.n_exits; i++) /* walking may move the sets */
    ELLM_TRY(walk(a, v, after, a->sets[own].tokens.exits[i], bits, NULL, err));
  return ELLM_OK;
}

static ellm_status add_calls(automaton *a, const vocabulary *v, uint32_t set, uint64_t *bits, ellm_error *err) {
  uint32_t done[64], n_done = 0;
  const uint32_t count = a->sets[set].count;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t call = a->frames[place_stack(automaton_places(a, set)[i])].call;
    bool known = false;
    for (uint32_t d = 0; d < n_done && !known; d++) known = done[d] == call;
    if (known) continue;
    if (n_done == sizeof done / sizeof *done) return walk(a, v, set, 0, bits, NULL, err); /* so many: all at once */
    done[n_done++] = call;
    ELLM_TRY(add_call(a, v, set, call, bits, err));
  }
  return ELLM_OK;
}

ellm_status mask_of(automaton *a, const vocabulary *v, uint32_t set, const uint64_t **mask, ellm_error *err) {
  const size_t bytes = (mask_words(v) + 1) * sizeof(uint64_t);
  *mask = a->sets[set].tokens.mask;
  if (*mask) return ELLM_OK;
  uint64_t *bits = calloc(1, bytes);
  const ellm_status status = bits ? add_calls(a, v, set, bits, err) : ellm_fail_memory(err, bytes, "a grammar");
  if (status != ELLM_OK) {
    free(bits);
    return status;
  }
  a->sets[set].tokens.mask = bits;
  a->bytes += bytes;
  *mask = bits;
  return ELLM_OK;
}
