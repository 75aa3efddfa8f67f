/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a pushdown machine can be after some bytes, made while it is asked for.
 *
 * A frame is an entry of a stack: the state to continue with after a rule, or a repetition with the rounds that it has
 * made; and the frame below. Equal frames are one, so a stack is the number of its top. Frame 0 is the bottom of all.
 * A place is a state that reads a byte with a stack; a set is all places where the machine can be. Equal sets are one,
 * and a set keeps what follows it for each class of bytes: after their first use, steps are table look-ups. Set 0 is
 * empty and not accepting: nothing leads back from it.
 *
 * Limits: a set has at most AUTOMATON_PLACES places, a stack AUTOMATON_DEPTH frames (deeper ones are left out), all
 * of it `limit` bytes, and between two calls of automaton_begin the machine is followed through at most AUTOMATON_STATES
 * states. So neither time nor memory is exponential, whatever the grammar. When
 * automaton_is_full, its user says what is still needed and has the rest forgotten (automaton_compact).
 *
 * One thread at a time.
 */
#ifndef ELLM_GRAMMAR_AUTOMATON_H
#define ELLM_GRAMMAR_AUTOMATON_H

#include "grammar/pda.h"

enum { AUTOMATON_PLACES = 16384, AUTOMATON_DEPTH = 1024, AUTOMATON_BYTES = 192 << 20, AUTOMATON_STATES = 1 << 25 };
#define SET_NONE UINT32_MAX
#define SET_DEAD 0u

typedef struct frame {
  uint32_t state;    /* a REPEAT, or the state after a CALL; of frame 0 none */
  uint32_t count;    /* rounds that are done; of a call 0 */
  uint32_t below;
  uint32_t depth;
  uint32_t call;     /* the nearest frame of a call, itself included; 0: the bottom */
  uint32_t returned; /* the set after the rule has ended, SET_NONE: not known yet; of calls */
  uint32_t round;    /* of `rounds`: the step in which it was pushed last */
  uint32_t next_same; /* of its hash */
} frame;

typedef uint64_t place; /* state << 32 | stack */

/* What is known of the tokens that can follow; mask.h. */
typedef struct set_tokens {
  uint64_t *mask;     /* [mask words], NULL: not known yet */
  uint64_t *own;      /* those that begin in the rule, NULL: not known yet */
  uint32_t *exits;    /* [n_exits] nodes of the vocabulary where the rule can end inside of a token */
  size_t n_exits;
} set_tokens;

typedef struct place_set {
  size_t first;       /* of places */
  uint32_t count;
  bool accepts;       /* the bottom frame is reached: the text can end here */
  uint32_t next_same; /* of its hash */
  uint32_t *next;     /* [n_classes], SET_NONE: not known yet; NULL: none is */
  set_tokens tokens;
} place_set;

typedef struct automaton {
  const pda *machine;
  frame *frames;
  place *places;
  place_set *sets;
  size_t n_frames, n_places, n_sets;
  size_t frames_room, places_room, sets_room;
  uint32_t *frame_hash, *set_hash; /* first of a chain, UINT32_MAX: none */
  size_t frame_mask, set_mask;
  size_t bytes, limit;             /* of all that grows; AUTOMATON_BYTES until it is set */
  bool too_deep;                   /* a stack was left out */
  /* of one step */
  uint32_t round;
  place *work, *seen;              /* seen: a hash table with the step that each entry is of */
  uint32_t *seen_round;
  size_t seen_room;                /* of all three, a power of two */
  size_t n_work, n_seen;
  bool reached_end;
  uint32_t followed;               /* states since automaton_begin */
} automaton;

ellm_status automaton_init(const pda *machine, automaton *a, ellm_error *err); /* free it also after a failure */
void automaton_free(automaton *a);

/* What one caller asks for begins: the limit of states is for each. */
static inline void automaton_begin(automaton *a) { a->followed = 0; }

/* The set before the first byte. */
ellm_status automaton_start(automaton *a, uint32_t *set, ellm_error *err);
/* The set after a byte more; SET_DEAD where none can come. ELLM_ERR_INPUT beyond the limits. */
ellm_status automaton_step_slow(automaton *a, uint32_t set, uint8_t byte, uint32_t *next, ellm_error *err);
static inline ellm_status automaton_step(automaton *a, uint32_t set, uint8_t byte, uint32_t *next, ellm_error *err) {
  const uint32_t *table = a->sets[set].next;
  if (table && (*next = table[a->machine->classes[byte]]) != SET_NONE) return ELLM_OK;
  return automaton_step_slow(a, set, byte, next, err);
}
/* The set after the rule above `frame` (a call) has ended. */
ellm_status automaton_return(automaton *a, uint32_t frame, uint32_t *set, ellm_error *err);
/* The places of `set` that are in the same call, as a set of their own whose stacks begin there: ending the rule is
 * accepting. Counters that only differ beyond the next `horizon` bytes become equal. */
ellm_status automaton_rebase(automaton *a, uint32_t set, uint32_t call, uint32_t horizon, uint32_t *rebased,
                             ellm_error *err);

static inline const place *automaton_places(const automaton *a, uint32_t set) { return a->places + a->sets[set].first; }
static inline uint32_t place_stack(place p) { return (uint32_t)p; }
static inline uint32_t place_state(place p) { return (uint32_t)(p >> 32); }

/* Is it time to forget? */
bool automaton_is_full(const automaton *a);
/* Forget all but *keep[n], which get new numbers. On failure nothing has changed. */
ellm_status automaton_compact(automaton *a, uint32_t *const *keep, size_t n, ellm_error *err);

#endif
