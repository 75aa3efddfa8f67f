/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h that concerns teams; entrollm.h includes it, and what it says at its top holds here. */
#ifndef ENTROLLM_TEAM_H
#define ENTROLLM_TEAM_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

/*
 * Several processes that compute one model together: each opens the same file with the same options but `rank`, and makes
 * the same calls in the same order with the same arguments. Each then reads its share of the rows of every matrix, keeps
 * its share of the heads in the KV cache, and gets all logits: the same bits as from one. A call that fails on one
 * rank leaves the others waiting in gather, which has to end them.
 */
enum { ELLM_TEAM_MOST = 1024 };
struct ellm_team {
  uint32_t rank, n_ranks;
  const uint32_t *shares;      /* [n_ranks], the part of each, not 0: 1:2 is a third and two thirds; NULL: all alike */
  /* rows[n_rows][stride]: columns first[r] to first[r + 1] - 1 of every row are rank r's; when it returns, all ranks
   * have all of them, unchanged bit by bit. `first` has n_ranks + 1 entries, ascending; a rank's may be empty. Called by
   * the thread that evaluates. */
  ellm_status (*gather)(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err);
  void *user;
};

#endif
