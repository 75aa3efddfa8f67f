/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence: its ids and the pages that hold what was computed of them.
 *
 * Invariants, whenever no call works on it:
 *  1. length <= min(positions of the pool, max_context); ids[0, length) are its ids.
 *  2. pages[0, n_pages) are its pages in the order of positions, n_pages = pages_of(length); each counts it once.
 *  3. Keys and values of positions [0, cached) are there, cached <= length. cached < length occurs only after a failed
 *     evaluation that was computing the sequence again with other rotary factors. The next evaluation does so again.
 *  4. All of its pages have the same rotary factors, those that the positions [0, cached) were computed with.
 *  5. `room` is a multiple of PAGE_POSITIONS: ids have room for so many, pages and runs for as many pages.
 *  6. `state` is 0, or SEQUENCE_IN_USE while a call is at work: whoever sets that bit may touch the rest. Reading
 *     length and ids needs no bit, as one thread at a time uses a sequence.
 *
 * Only evaluations write keys and values, and only to pages that no other sequence holds; a shared page is first
 * replaced by a copy. So forking, truncating and freeing only change counts.
 */
#ifndef ELLM_MODEL_SEQUENCE_H
#define ELLM_MODEL_SEQUENCE_H

#include <stdatomic.h>

#include "model/model.h"

enum { SEQUENCE_IN_USE = 1, SEQUENCE_FREED = 2 };

struct ellm_sequence {
  ellm_model *model;         /* counts it: model_release */
  atomic_uint state;
  uint32_t length, cached;
  uint32_t announced;        /* by the caller: the length that it will have, 0: unknown */
  uint32_t begun_with;       /* the length of the text that sequence_begin was given */
  uint32_t room;
  uint32_t *ids;             /* [room] */
  uint32_t *pages;           /* [room / PAGE_POSITIONS] */
  uint32_t n_pages;
  page_run *runs;            /* of pages, [room / PAGE_POSITIONS]; made by evaluations, valid in them */
};

/* Set and clear SEQUENCE_IN_USE. ELLM_ERR_USAGE if another thread has set it. If the sequence was freed meanwhile,
 * releasing it frees its memory. */
ellm_status sequence_acquire(ellm_sequence *s, ellm_error *err);
void sequence_release(ellm_sequence *s);

/* Room for `positions` <= those of the pool; the caller has acquired it. */
ellm_status sequence_make_room(ellm_sequence *s, uint32_t positions, ellm_error *err);
/* Give back the pages behind the first n; the caller holds the pool's lock. */
void sequence_drop_pages(ellm_sequence *s, uint32_t n);
/* Positions that a sequence of the model can have at most. */
uint32_t sequence_limit(ellm_model *model);

/* How many of the first `most` ids of a and b agree, from the first one on. */
size_t sequence_common_ids(const uint32_t *a, const uint32_t *b, size_t most);

/* The length that decides longrope's factors where `reached` positions are there. */
static inline uint32_t sequence_full_length(const ellm_sequence *s, uint32_t reached) {
  const uint32_t known = s->announced > s->begun_with ? s->announced : s->begun_with;
  return known > reached ? known : reached;
}

/* Prepare to evaluate ids[n_ids]: keep only the positions that agree with the first `most` (<= n_ids) of them. *kept is
 * how many positions stay. It is 0 if longrope's factors change, because then all positions must be evaluated again. */
ellm_status sequence_begin(ellm_sequence *s, const uint32_t *ids, size_t n_ids, size_t most, size_t *kept,
                           ellm_error *err);

#endif
