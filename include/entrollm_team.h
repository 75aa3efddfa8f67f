/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h for teams. entrollm.h includes it, and the rules at the top of entrollm.h apply here. */
#ifndef ENTROLLM_TEAM_H
#define ENTROLLM_TEAM_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

/*
 * A team is several processes that compute one model together. Each opens the same file with the same options except
 * `rank`, and makes the same calls in the same order with the same arguments. Each then reads its share of the rows of
 * every matrix, keeps its share of the heads in the KV cache, and gets all logits, the same bits as from one process.
 * If a call fails on one rank, the others wait in gather, which has to end them.
 */
enum { ELLM_TEAM_MOST = 1024 };
struct ellm_team {
  uint32_t rank, n_ranks;
  const uint32_t *shares;      /* [n_ranks], not 0; {1, 2} means a third and two thirds. NULL: equal shares */
  /* Exchanges columns of rows[n_rows][stride]. Rank r brings columns first[r] to first[r + 1] - 1 of every row. When it
   * returns, all ranks have all columns, bit for bit. `first` has n_ranks + 1 ascending entries; a rank's range may be
   * empty. Called by the thread that evaluates. */
  ellm_status (*gather)(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err);
  void *user;
};

#endif
