/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses what goes into the next batch. Every answer that is being generated gets a row. The other rows go to prompts,
 * in the order in which they were begun, and at most `piece` of them while answers would have to wait.
 *
 * A request begins when there is a place and the pool has room for it and some new ids, besides what the active answers
 * will still need. Its beginning may already be computed: in its own sequence, in another answer's, or in a kept one.
 * Then it forks that sequence, which costs no page. If an active answer is about to compute that beginning, the request
 * waits.
 *
 * When the pool is full, kept sequences are dropped first, the oldest before the others. Then the answer that was begun
 * last gives way: it waits again and is later computed again from its ids. Its logits are then the same, because those
 * of a sequence depend only on its ids. The answer that was begun first never gives way, so the generator always
 * advances.
 */
#include "generate/schedule.h"

#include <string.h>

#include "base/clock.h"
#include "model/sequence.h"

enum {
  /* Room for so many new ids is required when an answer begins. With less, answers would often fill the pool and give
   * way; with the whole limit, few would run at a time, since most end long before it. */
  GROWTH = 256,
  SHARED = 32 /* positions: it pays to wait while another answer computes at least so many of them */
};

/* ------------------------------------------------------------------- leaving */

static void drop_oldest(ellm_generator *g) {
  ellm_sequence_free(g->kept[0]);
  memmove(g->kept, g->kept + 1, --g->n_kept * sizeof *g->kept);
}

static void remove_active(ellm_generator *g, const ellm_answer *a) {
  size_t i = 0;
  while (g->active[i] != a) i++;
  memmove(g->active + i, g->active + i + 1, (--g->n_active - i) * sizeof *g->active);
}

void schedule_keep(ellm_generator *g, ellm_sequence *sequence) {
  if (g->keep > 0 && g->n_kept == g->keep) drop_oldest(g);
  if (g->keep > 0) g->kept[g->n_kept++] = sequence;
  else ellm_sequence_free(sequence);
}

void schedule_leave(ellm_generator *g, ellm_answer *a) {
  remove_active(g, a);
  a->state = ANSWER_ENDED;
  if (a->sequence != a->given) schedule_keep(g, a->sequence);
  a->sequence = NULL;
}

/* Ends an answer; it leaves the active ones at once. */
static void end(ellm_generator *g, ellm_answer *a, ellm_end why) {
  answer_end(a, why);
  if (a->sequence) schedule_leave(g, a);
}

/* Give the pages back; the answer is computed again later. */
static void give_way(ellm_generator *g, ellm_answer *a) {
  remove_active(g, a);
  a->state = ANSWER_WAITING;
  if (a->sequence == a->given) ellm_sequence_truncate(a->given, 0, NULL);
  else ellm_sequence_free(a->sequence);
  a->sequence = NULL;
  a->done = 0;
}

/* ----------------------------------------------------------------- beginning */

/* The sequence that shares most with the answer's ids; NULL: none. The last id does not count, because it must be
 * evaluated to get logits. *busy: an active answer is about to compute more of these ids. */
static const ellm_sequence *find_donor(const ellm_generator *g, const ellm_answer *a, size_t *shared, bool *busy) {
  const ellm_sequence *best = NULL;
  size_t ahead = 0;
  *shared = 0;
  for (size_t i = 0; i < g->n_active + g->n_kept; i++) {
    const ellm_answer *other = i < g->n_active ? g->active[i] : NULL;
    const ellm_sequence *sequence = other ? other->sequence : g->kept[i - g->n_active];
    const uint32_t *ids = other ? other->ids : ellm_sequence_ids(sequence);
    const size_t there = other ? other->done : ellm_sequence_length(sequence);
    const size_t all = other ? answer_all(other) : there, own = answer_all(a) - 1;
    const size_t common = sequence_common_ids(ids, a->ids, all < own ? all : own);
    const size_t now = common < there ? common : there;
    if (now > *shared) {
      *shared = now;
      best = sequence;
    }
    if (common > ahead) ahead = common;
  }
  *busy = ahead >= *shared + SHARED;
  return best;
}

/* Its sequence: the caller's or a fork; what agrees with its ids stays. */
static ellm_status take_sequence(ellm_generator *g, ellm_answer *a, const ellm_sequence *donor, ellm_error *err) {
  a->sequence = a->given;
  if (!a->given)
    ELLM_TRY(donor ? ellm_sequence_fork(donor, &a->sequence, err) : ellm_sequence_create(g->model, &a->sequence, err));
  return sequence_begin(a->sequence, a->ids, answer_all(a), answer_all(a) - 1, &a->done, err);
}

/* The pages of an answer, including the growth that it is given room for. */
static size_t pages_to_come(const ellm_answer *a) {
  const size_t left = a->limit - a->n_ids, growth = left < GROWTH ? left : GROWTH;
  const size_t all = answer_all(a) + growth;
  return pages_of(all < a->positions ? all : a->positions);
}

/* Whether the pool has room for the answer besides what the active ones will take. Kept sequences are dropped to make
 * room, but not the donor. */
static bool has_room(ellm_generator *g, const ellm_answer *a, size_t shared, const ellm_sequence *donor) {
  size_t wanted = pages_to_come(a) - shared / PAGE_POSITIONS;
  for (size_t i = 0; i < g->n_active; i++) wanted += pages_to_come(g->active[i]) - pages_of(g->active[i]->done);
  for (;;) {
    uint32_t free_positions;
    ellm_model_cache_usage(g->model, NULL, &free_positions);
    if (free_positions / PAGE_POSITIONS >= wanted) return true;
    if (g->n_kept == 0 || g->kept[0] == donor) return false;
    drop_oldest(g);
  }
}

/* Begin a request that waits, if it can be. *full: there is no room for it. Errors are the answer's own. */
static ellm_status try_begin(ellm_generator *g, ellm_answer *a, bool *full, ellm_error *err) {
  size_t shared = 0;
  bool busy = false;
  *full = false;
  const ellm_sequence *donor = a->given ? NULL : find_donor(g, a, &shared, &busy);
  if (busy) return ELLM_OK;
  if (a->given) {
    const size_t length = ellm_sequence_length(a->given), all = answer_all(a);
    shared = sequence_common_ids(ellm_sequence_ids(a->given), a->ids, length < all ? length : all);
  }
  if (g->n_active > 0 && !has_room(g, a, shared, donor)) {
    *full = true;
    return ELLM_OK;
  }
  const ellm_status status = take_sequence(g, a, donor, err);
  if (status != ELLM_OK) {
    if (a->sequence != a->given) ellm_sequence_free(a->sequence);
    a->sequence = NULL;
    return status;
  }
  if (!a->begun) {
    a->begun = true;
    a->n_kept = a->done;
    a->start = clock_seconds();
  }
  a->state = ANSWER_ACTIVE;
  g->active[g->n_active++] = a;
  return ELLM_OK;
}

/* Begins requests in their order. If one finds no room, later ones do not overtake it: a long one would never begin. */
static void begin_waiting(ellm_generator *g) {
  bool full = false;
  for (ellm_answer *a = g->answers; a && !full && g->n_active < g->most; a = a->next) {
    ellm_error err = {0};
    if (a->state == ANSWER_WAITING && try_begin(g, a, &full, &err) != ELLM_OK) answer_fail(a, &err);
  }
}

/* -------------------------------------------------------------------- a batch */

static void add_item(ellm_generator *g, ellm_answer *a, size_t n, size_t *count, size_t *rows) {
  const size_t left = answer_all(a) - a->done, n_logits = n == left;
  float *logits = g->logits + *rows * g->info.vocab_size;
  g->owners[*count] = a;
  g->items[(*count)++] = (ellm_batch_item){a->sequence, a->ids + a->done, n, n_logits ? logits : NULL, n_logits};
  *rows += n_logits;
}

/* Collects the items of the next batch and returns their number. First come answers with one id to evaluate, which are
 * those being generated, then pieces of prompts. */
static size_t gather(ellm_generator *g) {
  size_t count = 0, rows = 0, room = GENERATOR_ROWS;
  for (size_t i = 0; i < g->n_active && room > 0; i++) {
    if (answer_all(g->active[i]) - g->active[i]->done != 1) continue;
    add_item(g, g->active[i], 1, &count, &rows);
    room--;
  }
  if (count > 0 && g->piece < room) room = g->piece;
  for (size_t i = 0; i < g->n_active && room > 0; i++) {
    ellm_answer *a = g->active[i];
    const size_t left = answer_all(a) - a->done, n = left < room ? left : room;
    if (left == 1) continue;
    add_item(g, a, n, &count, &rows);
    room -= n;
  }
  return count;
}

/* Make room in a full pool. False: there is one active answer, and nothing more can be had. */
static bool make_room(ellm_generator *g) {
  if (g->n_kept > 0) {
    drop_oldest(g);
    return true;
  }
  if (g->n_active < 2) return false;
  give_way(g, g->active[g->n_active - 1]);
  return true;
}

/* Answers that are longer than the whole pool cannot continue. */
static void end_what_outgrows(ellm_generator *g) {
  uint32_t positions;
  ellm_model_cache_usage(g->model, &positions, NULL);
  for (size_t i = g->n_active; i-- > 0;)
    if (answer_all(g->active[i]) > positions) end(g, g->active[i], ELLM_END_FULL);
}

static void settle_cancelled(ellm_generator *g) {
  for (ellm_answer *a = g->answers; a; a = a->next)
    if (a->state != ANSWER_ENDED && atomic_load(&a->cancelled)) end(g, a, ELLM_END_CANCELLED);
}

/* Evaluate items until they fit. *count: 0 where none is left. */
static ellm_status evaluate(ellm_generator *g, size_t *count, ellm_error *err) {
  while ((*count = gather(g)) > 0) {
    const ellm_status status = ellm_evaluate(g->model, g->items, *count, err);
    if (status != ELLM_ERR_FULL) return status;
    if (!make_room(g)) end(g, g->active[0], ELLM_END_FULL);
  }
  return ELLM_OK;
}

ellm_status schedule_step(ellm_generator *g, bool *more, ellm_error *err) {
  size_t count;
  settle_cancelled(g);
  begin_waiting(g);
  end_what_outgrows(g);
  *more = true;
  ELLM_TRY(evaluate(g, &count, err));
  for (size_t i = 0; i < count; i++) g->owners[i]->done += g->items[i].n_ids;
  for (size_t i = 0; i < count; i++) {
    if (g->items[i].n_logits == 0) continue;
    answer_advance(g->owners[i], g->items[i].logits);
    if (g->owners[i]->state == ANSWER_ENDED) schedule_leave(g, g->owners[i]);
  }
  *more = false;
  for (const ellm_answer *a = g->answers; a && !*more; a = a->next) *more = a->state != ANSWER_ENDED;
  return ELLM_OK;
}
