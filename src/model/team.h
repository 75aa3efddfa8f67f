/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team: several processes, or threads with a model each, that compute one model together (tensor parallel). Every
 * member runs the same calls and has all results; rows of matrices, heads and their part of the KV cache are dealt out by
 * shares. No sum crosses a row, so the bits are those of one member, however many there are.
 */
#ifndef ELLM_MODEL_TEAM_H
#define ELLM_MODEL_TEAM_H

#include "entrollm.h"

/* Is it one that can be: ranks, shares that are not 0, a gather? ELLM_ERR_USAGE, naming what is wrong. */
ellm_status team_check(const ellm_team *team, ellm_error *err);

/* Where the part of a rank begins when n items are dealt out by shares, in whole units as far as they go; n for the rank
 * behind the last. */
uint32_t team_cut(const ellm_team *team, uint32_t n, uint32_t unit, uint32_t rank);

#endif
