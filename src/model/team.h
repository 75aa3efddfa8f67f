/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team: several processes, or threads with a model each, that compute one model together (tensor parallel). Every
 * member runs the same calls and has all results; rows of matrices, heads and their part of the KV cache are dealt out by
 * shares. No sum crosses a row, so the bits are those of one member, however many there are.
 *
 * Here alone it is decided who has what: the backend computes by it, and a file is split by it (division.h).
 */
#ifndef ELLM_MODEL_TEAM_H
#define ELLM_MODEL_TEAM_H

#include "arch/arch.h"
#include "container/reader.h"
#include "entrollm.h"
#include "model/matrix.h"

/* Is it one that can be: ranks, shares that are not 0, a gather? ELLM_ERR_USAGE, naming what is wrong. */
ellm_status team_check(const ellm_team *team, ellm_error *err);
/* The same of ranks and shares[n_ranks] (NULL: all alike) alone, for teams of other kinds. */
ellm_status team_check_ranks(uint32_t rank, uint32_t n_ranks, const uint32_t *shares, ellm_error *err);

/* May this member compute with `file`, a whole one or a part? Where it is a part, team->shares become its shares, which
 * live as long as the file. n_ranks 0: no team. ELLM_ERR_INPUT says which part of what it is. */
ellm_status team_take_part(const ellm_file *file, ellm_team *team, ellm_error *err);

/* Where the part of a rank begins when n items are dealt out by shares, in whole units as far as they go; n for the rank
 * behind the last. */
uint32_t team_cut(const ellm_team *team, uint32_t n, uint32_t unit, uint32_t rank);

/* Of n rows, or columns of a result, those that the member computes: whole panels as far as they go. */
row_range team_rows(const ellm_team *team, uint32_t n);

/* Heads of a rank: queries, and the keys and values that these look at. */
typedef struct team_heads { uint32_t first, end, kv_first, kv_end; } team_heads;
team_heads team_heads_of(const ellm_team *team, const model_config *config, uint32_t rank);

/* Rows of products that the member team->rank computes. Of the matrices of queries, keys and values, whose heads these
 * are; of gates and ups, each inner rows, of one network or of several; of a matrix whose n rows are columns of a result. */
matrix_rows team_qkv_rows(const model_config *config, team_heads own);
matrix_rows team_gate_up_rows(const ellm_team *team, uint32_t inner);
matrix_rows team_plain_rows(const ellm_team *team, uint32_t n);

#endif
