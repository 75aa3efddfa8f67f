/* SPDX-License-Identifier: Apache-2.0 */
/* See automaton.h. */
#include "grammar/automaton.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

enum { SEEN_FIRST = 1 << 10, SEEN_MOST = 4 * AUTOMATON_PLACES, HASH_ROOM = 1 << 15 };

/* -------------------------------------------------------------------- memory */

static ellm_status full(const automaton *a, ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "the grammar is too ambiguous: it needs more than %zu MiB for one token",
                   a->limit >> 20);
}

static ellm_status grow(automaton *a, void *items, size_t *room, size_t n, size_t more, size_t size, ellm_error *err) {
  void **list = items;
  if (n + more <= *room) return ELLM_OK;
  size_t larger = *room > 0 ? 2 * *room : 256;
  while (larger < n + more) larger *= 2;
  if (a->bytes + (larger - *room) * size > a->limit) return full(a, err);
  void *grown = realloc(*list, larger * size);
  if (!grown) return ellm_fail_memory(err, larger * size, "a grammar");
  a->bytes += (larger - *room) * size;
  *list = grown;
  *room = larger;
  return ELLM_OK;
}

bool automaton_is_full(const automaton *a) { return a->bytes > a->limit / 2; }

static uint64_t mix(uint64_t h, uint64_t value) {
  h = (h ^ value) * UINT64_C(0x9E3779B97F4A7C15);
  return h ^ h >> 29;
}

/* -------------------------------------------------------------------- frames */

/* The frame with these three values: the existing one, or a new one. So equal stacks have equal numbers, a recursion
 * that is reached in many ways shares its frames, and places can be compared as integers. */
static ellm_status push(automaton *a, uint32_t state, uint32_t count, uint32_t below, uint32_t *made,
                        ellm_error *err) {
  const size_t hash = mix(mix(mix(1, state), count), below) & a->frame_mask;
  for (uint32_t f = a->frame_hash[hash]; f != NONE; f = a->frames[f].next_same) {
    const frame *it = &a->frames[f];
    if (it->state == state && it->count == count && it->below == below) {
      *made = f;
      return ELLM_OK;
    }
  }
  ELLM_TRY(grow(a, &a->frames, &a->frames_room, a->n_frames, 1, sizeof *a->frames, err));
  const uint32_t number = (uint32_t)a->n_frames++;
  const bool repeats = a->machine->states[state].kind == PDA_REPEAT && count != NONE;
  a->frames[number] = (frame){.state = state,
                              .count = count,
                              .below = below,
                              .depth = a->frames[below].depth + 1,
                              .call = repeats ? a->frames[below].call : number,
                              .returned = SET_NONE,
                              .next_same = a->frame_hash[hash]};
  a->frame_hash[hash] = number;
  *made = number;
  return ELLM_OK;
}

/* ---------------------------------------------------------------------- sets */

static int by_value(const void *a, const void *b) {
  const place *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* The places at the end of the list, from a->n_places on, as a set. They are sorted, so that the order in which a step
 * found them does not count: sets that repeat get equal numbers, and their steps become look-ups. */
static ellm_status intern(automaton *a, size_t count, bool accepts, uint32_t *set, ellm_error *err) {
  place *places = a->places + a->n_places;
  uint64_t h = accepts;
  if (count > 1) qsort(places, count, sizeof *places, by_value);
  for (size_t i = 0; i < count; i++) h = mix(h, places[i]);
  for (uint32_t s = a->set_hash[h & a->set_mask]; s != NONE; s = a->sets[s].next_same) {
    const place_set *it = &a->sets[s];
    if (it->count == count && it->accepts == accepts &&
        (count == 0 || memcmp(a->places + it->first, places, count * sizeof *places) == 0)) {
      *set = s;
      return ELLM_OK;
    }
  }
  ELLM_TRY(grow(a, &a->sets, &a->sets_room, a->n_sets, 1, sizeof *a->sets, err));
  const uint32_t number = (uint32_t)a->n_sets++;
  a->sets[number] = (place_set){.first = a->n_places,
                                .count = (uint32_t)count,
                                .accepts = accepts,
                                .next_same = a->set_hash[h & a->set_mask]};
  a->set_hash[h & a->set_mask] = number;
  a->n_places += count;
  *set = number;
  return ELLM_OK;
}

/* ------------------------------------------------------------------- closure */

static ellm_status too_many_places(ellm_error *err) {
  return ellm_fail(err, ELLM_ERR_INPUT, "the grammar is too ambiguous: it can be in more than %d places at once",
                   AUTOMATON_PLACES);
}

/* What the current step has reached, as an open hash table. A slot counts only if it was written in this round, so a
 * new step empties the table by counting a->round up. */
static void note_seen(automaton *a, place p) {
  size_t slot = mix(7, p) & (a->seen_room - 1);
  while (a->seen_round[slot] == a->round) slot = (slot + 1) & (a->seen_room - 1);
  a->seen_round[slot] = a->round;
  a->seen[slot] = p;
}

/* Twice the room for what is seen in a step. */
static ellm_status grow_seen(automaton *a, ellm_error *err) {
  const size_t old = a->seen_room, room = old > 0 ? 2 * old : SEEN_FIRST;
  place *seen = malloc(room * sizeof *seen), *work = realloc(a->work, room * sizeof *work);
  uint32_t *rounds = calloc(room, sizeof *rounds);
  if (work) a->work = work;
  if (!seen || !work || !rounds) {
    free(seen);
    free(rounds);
    return ellm_fail_memory(err, room * sizeof *seen, "a grammar");
  }
  place *old_seen = a->seen;
  uint32_t *old_rounds = a->seen_round;
  a->seen = seen;
  a->seen_round = rounds;
  a->seen_room = room;
  for (size_t i = 0; i < old; i++)
    if (old_rounds[i] == a->round) note_seen(a, old_seen[i]);
  free(old_seen);
  free(old_rounds);
  return ELLM_OK;
}

/* Note that the machine can be in a state with a stack; what follows without a byte is found by close_step. */
static ellm_status reach(automaton *a, uint32_t state, uint32_t stack, ellm_error *err) {
  const place p = (uint64_t)state << 32 | stack;
  for (size_t slot = mix(7, p) & (a->seen_room - 1); a->seen_round[slot] == a->round;
       slot = (slot + 1) & (a->seen_room - 1))
    if (a->seen[slot] == p) return ELLM_OK;
  if (a->n_seen >= SEEN_MOST) return too_many_places(err);
  if (a->followed++ >= AUTOMATON_STATES)
    return ellm_fail(err, ELLM_ERR_INPUT, "the grammar is too ambiguous: it goes through more than %d states for one token",
                     AUTOMATON_STATES);
  if (2 * a->n_seen >= a->seen_room) ELLM_TRY(grow_seen(a, err));
  note_seen(a, p);
  a->n_seen++;
  a->work[a->n_work++] = p;
  return ELLM_OK;
}

static ellm_status enter(automaton *a, uint32_t first, uint32_t state, uint32_t count, uint32_t below,
                         ellm_error *err) {
  uint32_t made;
  if (a->frames[below].depth >= AUTOMATON_DEPTH) {
    a->too_deep = true;
    return ELLM_OK;
  }
  ELLM_TRY(push(a, state, count, below, &made, err));
  a->frames[made].round = a->round;
  return reach(a, first, made, err);
}

static ellm_status end_round(automaton *a, uint32_t stack, ellm_error *err) {
  const frame top = a->frames[stack];
  const pda_state *s = &a->machine->states[top.state];
  /* A round without a byte leads nowhere that the round before it did not lead. */
  if (s->empty && top.round == a->round) return ELLM_OK;
  uint32_t count = top.count + 1;
  if (s->max == RULES_NO_LIMIT && count > s->min) count = s->min;
  if (count < s->max) ELLM_TRY(enter(a, s->first, top.state, count, top.below, err));
  return count >= s->min ? reach(a, s->next, top.below, err) : ELLM_OK;
}

static ellm_status close_step(automaton *a, place p, ellm_error *err) {
  const uint32_t state = place_state(p), stack = place_stack(p);
  const pda *m = a->machine;
  const pda_state *s = &m->states[state];
  switch ((pda_kind)s->kind) {
    case PDA_END:
      if (stack == 0) a->reached_end = true;
      else return reach(a, a->frames[stack].state, a->frames[stack].below, err);
      return ELLM_OK;
    case PDA_REPEAT_END: return end_round(a, stack, err);
    case PDA_EDGES: return ELLM_OK;
    case PDA_FORK:
      for (uint32_t i = 0; i < s->count; i++) ELLM_TRY(reach(a, m->targets[s->first + i], stack, err));
      return ELLM_OK;
    case PDA_CALL: /* a call at a rule's end needs no frame: what the rule returns to is what the called one does */
      if (s->next == PDA_STATE_END) return reach(a, s->first, stack, err);
      return enter(a, s->first, s->next, NONE, stack, err);
    case PDA_REPEAT:
      if (s->min == 0) ELLM_TRY(reach(a, s->next, stack, err));
      return enter(a, s->first, state, 0, stack, err);
  }
  return ELLM_OK;
}

static void begin_step(automaton *a) {
  if (++a->round == 0) { /* rounds begin again */
    memset(a->seen_round, 0, a->seen_room * sizeof *a->seen_round);
    for (size_t i = 0; i < a->n_frames; i++) a->frames[i].round = 0;
    a->round = 1;
  }
  a->n_work = a->n_seen = 0;
  a->reached_end = false;
}

/* All that follows what was reached, as a set. */
static ellm_status end_step(automaton *a, uint32_t *set, ellm_error *err) {
  size_t count = 0;
  while (a->n_work > 0) {
    const place p = a->work[--a->n_work];
    const pda_state *s = &a->machine->states[place_state(p)];
    if (s->kind != PDA_EDGES) {
      ELLM_TRY(close_step(a, p, err));
      continue;
    }
    if (s->count == 0) continue;
    if (count >= AUTOMATON_PLACES) return too_many_places(err);
    ELLM_TRY(grow(a, &a->places, &a->places_room, a->n_places + count, 1, sizeof *a->places, err));
    a->places[a->n_places + count++] = p;
  }
  return intern(a, count, a->reached_end, set, err);
}

ellm_status automaton_start(automaton *a, uint32_t *set, ellm_error *err) {
  begin_step(a);
  ELLM_TRY(reach(a, a->machine->start, 0, err));
  return end_step(a, set, err);
}

ellm_status automaton_step_slow(automaton *a, uint32_t set, uint8_t byte, uint32_t *next, ellm_error *err) {
  const pda *m = a->machine;
  const uint32_t class = m->classes[byte];
  if (!a->sets[set].next) {
    const size_t bytes = m->n_classes * sizeof(uint32_t);
    if (a->bytes + bytes > a->limit) return full(a, err);
    uint32_t *table = malloc(bytes);
    if (!table) return ellm_fail_memory(err, bytes, "a grammar");
    memset(table, 0xFF, bytes);
    a->sets[set].next = table;
    a->bytes += bytes;
  }
  begin_step(a);
  const size_t first = a->sets[set].first, count = a->sets[set].count;
  for (size_t i = 0; i < count; i++) {
    const place p = a->places[first + i];
    const uint32_t target = pda_edge_target(m, &m->states[place_state(p)], byte);
    if (target != UINT32_MAX) ELLM_TRY(reach(a, target, place_stack(p), err));
  }
  ELLM_TRY(end_step(a, next, err));
  a->sets[set].next[class] = *next;
  return ELLM_OK;
}

ellm_status automaton_return(automaton *a, uint32_t call, uint32_t *set, ellm_error *err) {
  const frame top = a->frames[call];
  *set = top.returned;
  if (top.returned != SET_NONE) return ELLM_OK;
  begin_step(a);
  ELLM_TRY(reach(a, top.state, top.below, err));
  ELLM_TRY(end_step(a, set, err));
  a->frames[call].returned = *set;
  return ELLM_OK;
}

/* -------------------------------------------------------------------- rebase */

/* One count that stands for all that behave alike for `horizon` more rounds. A round reads at least one byte, so within
 * a token of `horizon` bytes nobody can tell them apart. Far from both limits the number does not matter at all; so a
 * string of at most 10000 characters has few sets instead of 10000. */
static uint32_t typical_count(const pda_state *s, uint32_t count, uint32_t horizon) {
  if (count < s->min) return s->min - count > horizon ? 0 : count;
  if (s->max == RULES_NO_LIMIT || s->max - count > horizon) return s->min;
  return count;
}

static ellm_status rebase_stack(automaton *a, uint32_t stack, uint32_t call, uint32_t horizon, uint32_t *rebased,
                                ellm_error *err) {
  uint32_t repeats[AUTOMATON_DEPTH + 1], n = 0;
  *rebased = 0;
  for (; stack != call; stack = a->frames[stack].below) repeats[n++] = stack;
  while (n > 0) {
    const frame it = a->frames[repeats[--n]];
    const uint32_t count = typical_count(&a->machine->states[it.state], it.count, horizon);
    ELLM_TRY(push(a, it.state, count, *rebased, rebased, err));
  }
  return ELLM_OK;
}

ellm_status automaton_rebase(automaton *a, uint32_t set, uint32_t call, uint32_t horizon, uint32_t *rebased,
                             ellm_error *err) {
  size_t count = 0;
  for (uint32_t i = 0; i < a->sets[set].count; i++) {
    const place p = automaton_places(a, set)[i];
    uint32_t stack;
    if (a->frames[place_stack(p)].call != call) continue;
    ELLM_TRY(rebase_stack(a, place_stack(p), call, horizon, &stack, err));
    ELLM_TRY(grow(a, &a->places, &a->places_room, a->n_places + count, 1, sizeof *a->places, err));
    a->places[a->n_places + count++] = (p & ~(place)UINT32_MAX) | stack;
  }
  /* counters that have become equal: twice the same place does no harm, but equal sets are to be one */
  place *places = a->places + a->n_places;
  size_t kept = 0;
  if (count > 1) qsort(places, count, sizeof *places, by_value);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || places[i] != places[kept - 1]) places[kept++] = places[i];
  return intern(a, kept, false, rebased, err);
}

/* ----------------------------------------------------------- making, forgetting */

static void free_sets(automaton *a) {
  for (size_t i = 0; i < a->n_sets; i++) {
    free(a->sets[i].next);
    free(a->sets[i].tokens.mask);
    free(a->sets[i].tokens.own);
    free(a->sets[i].tokens.exits);
  }
}

static ellm_status make_bottom(automaton *a, ellm_error *err) {
  uint32_t dead;
  ELLM_TRY(grow(a, &a->frames, &a->frames_room, 0, 1, sizeof *a->frames, err));
  a->frames[0] = (frame){.returned = SET_NONE, .next_same = NONE};
  a->n_frames = 1;
  ELLM_TRY(grow(a, &a->places, &a->places_room, 0, 1, sizeof *a->places, err));
  return intern(a, 0, false, &dead, err);
}

ellm_status automaton_init(const pda *machine, automaton *a, ellm_error *err) {
  *a = (automaton){.machine = machine, .frame_mask = HASH_ROOM - 1, .set_mask = HASH_ROOM - 1, .limit = AUTOMATON_BYTES};
  a->frame_hash = malloc(HASH_ROOM * sizeof *a->frame_hash);
  a->set_hash = malloc(HASH_ROOM * sizeof *a->set_hash);
  if (!a->frame_hash || !a->set_hash) return ellm_fail_memory(err, HASH_ROOM * sizeof *a->set_hash, "a grammar");
  a->round = 1; /* 0: none */
  ELLM_TRY(grow_seen(a, err));
  memset(a->frame_hash, 0xFF, HASH_ROOM * sizeof *a->frame_hash);
  memset(a->set_hash, 0xFF, HASH_ROOM * sizeof *a->set_hash);
  return make_bottom(a, err);
}

void automaton_free(automaton *a) {
  free_sets(a);
  free(a->frames);
  free(a->places);
  free(a->sets);
  free(a->frame_hash);
  free(a->set_hash);
  free(a->work);
  free(a->seen);
  free(a->seen_round);
  *a = (automaton){0};
}

/* Frames are above those below them, so going down marks all of a stack, and going up copies it. */
static ellm_status copy_frames(const automaton *a, automaton *to, uint32_t *numbers, ellm_error *err) {
  for (size_t f = a->n_frames; f-- > 1;)
    if (numbers[f] == 0) numbers[a->frames[f].below] = 0;
  numbers[0] = 0;
  for (size_t f = 1; f < a->n_frames; f++)
    if (numbers[f] == 0) ELLM_TRY(push(to, a->frames[f].state, a->frames[f].count, numbers[a->frames[f].below],
                                       &numbers[f], err));
  return ELLM_OK;
}

static ellm_status copy_sets(const automaton *a, automaton *to, uint32_t *const *keep, size_t n, uint32_t *numbers,
                             uint32_t *made, ellm_error *err) {
  memset(numbers, 0xFF, a->n_frames * sizeof *numbers); /* 0: needed */
  for (size_t k = 0; k < n; k++)
    for (uint32_t i = 0; i < a->sets[*keep[k]].count; i++) numbers[place_stack(automaton_places(a, *keep[k])[i])] = 0;
  ELLM_TRY(copy_frames(a, to, numbers, err));
  for (size_t k = 0; k < n; k++) {
    const place_set *from = &a->sets[*keep[k]];
    ELLM_TRY(grow(to, &to->places, &to->places_room, to->n_places, from->count, sizeof *to->places, err));
    for (uint32_t i = 0; i < from->count; i++) {
      const place p = a->places[from->first + i];
      to->places[to->n_places + i] = (p & ~(place)UINT32_MAX) | numbers[place_stack(p)];
    }
    ELLM_TRY(intern(to, from->count, from->accepts, &made[k], err));
  }
  return ELLM_OK;
}

ellm_status automaton_compact(automaton *a, uint32_t *const *keep, size_t n, ellm_error *err) {
  automaton to;
  uint32_t *numbers = malloc(a->n_frames * sizeof *numbers), *made = calloc(n + 1, sizeof *made);
  ellm_status status = automaton_init(a->machine, &to, err);
  if (status == ELLM_OK && (!numbers || !made))
    status = ellm_fail_memory(err, a->n_frames * sizeof *numbers, "a grammar");
  if (status == ELLM_OK) status = copy_sets(a, &to, keep, n, numbers, made, err);
  if (status == ELLM_OK) {
    for (size_t k = 0; k < n; k++) *keep[k] = made[k];
    const automaton old = *a;
    *a = to;
    a->limit = old.limit;
    to = old;
  }
  automaton_free(&to);
  free(numbers);
  free(made);
  return status;
}
