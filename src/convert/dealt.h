/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices of one source dealt out to several processes: who does which, and how what others have done comes to rank 0. A
 * matrix's section of the file depends on nothing but the matrix and the options; so each process writes the sections of
 * its matrices to a file of its own, and rank 0 takes them over in the order of the source, as if it had made them.
 */
#ifndef ELLM_CONVERT_DEALT_H
#define ELLM_CONVERT_DEALT_H

#include "container/writer.h"
#include "source/source.h"

enum { DEALT_NOBODY = UINT32_MAX };

typedef struct dealt dealt;

/* Is it a team that can be? ELLM_ERR_USAGE, naming what is wrong. */
ellm_status dealt_check_team(const ellm_compress_team *team, ellm_error *err);
/* Deals out the tensors with matrix[i], by their bytes and the team's shares. All ranks come to the same. The team outlives
 * it, and has been checked. */
ellm_status dealt_open(const ellm_compress_team *team, const tensor_source *input, const bool *matrix, dealt **out,
                       ellm_error *err);
void dealt_close(dealt *d); /* NULL is fine */
uint32_t dealt_owner(const dealt *d, size_t index); /* DEALT_NOBODY: no matrix */
bool dealt_is_own(const dealt *d, size_t index);
uint64_t dealt_own_bytes(const dealt *d);           /* of the source's */

/* Is `key` the same on all ranks? ELLM_ERR_INPUT on rank 0 names one where it is another. The others return when rank 0
 * has found that it is: before that none of them has written anything. */
ellm_status dealt_compare(const dealt *d, const uint8_t key[16], ellm_error *err);
/* What a journal's key is made of besides: ranks and shares. */
void dealt_key(const dealt *d, const uint8_t key[16], uint8_t out[16]);

/* The section that `from` has ended last is that of tensor `index`. */
ellm_status dealt_remember(dealt *d, size_t index, const container_writer *from, const uint8_t digest[16], ellm_error *err);
/* Other ranks: all sections to rank 0, in the order of the source, and waiting until rank 0 has them on its disk. */
ellm_status dealt_hand_over(const dealt *d, container_writer *from, ellm_error *err);
/* Rank 0: the section of tensor `index` to `to`; its own ones are in `own`. */
ellm_status dealt_take(const dealt *d, size_t index, container_writer *own, container_writer *to, uint8_t digest[16],
                       container_tensor *tensor, ellm_error *err);
/* Rank 0: the others need not keep theirs. */
ellm_status dealt_release(const dealt *d, ellm_error *err);

#endif
