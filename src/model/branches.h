/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Continuations of one sequence, computed together: what a context holds is
 * computed once, and every weight is decoded once for the tokens of all
 * branches. Results are those of each continuation alone, to the bit.
 *
 * A branch's keys and values lie in slots of the context's cache beyond those
 * of the sequence. Its region begins with a copy of the sequence's last tile
 * that is not full, so that its own positions continue whole tiles.
 */
#ifndef ELLM_MODEL_BRANCHES_H
#define ELLM_MODEL_BRANCHES_H

#include "model/context.h"

typedef struct context_branch {
  uint32_t slot;        /* of its region's first position, a multiple of 16 */
  uint32_t length;      /* positions computed, those of the sequence included */
  const uint32_t *ids;  /* to compute next ... */
  size_t n, n_logits;   /* ... so many, and logits of the last so many */
} context_branch;

/* Slots that a branch of up to `positions` beyond `length` takes. */
size_t context_branch_slots(uint32_t length, size_t positions);

/* The first slot behind those of the sequence. */
uint32_t context_branch_first_slot(const ellm_context *context);

/* Begin a branch behind the context's sequence. Branches end when the context is evaluated, truncated or freed. */
void context_branch_begin(ellm_context *context, uint32_t slot, context_branch *branch);

/* May branches reach `positions` (in all) from here? No where longrope's other factors would be needed, or beyond the
 * context's capacity. */
bool context_can_branch(const ellm_context *context, size_t positions);

/* Add the ids of all branches (together at most context->batch) to them; logits one branch after the other. */
ellm_status context_branches_eval(ellm_context *context, context_branch *branches, size_t n_branches, float *logits,
                                  ellm_error *err);

#endif
