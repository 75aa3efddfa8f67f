/* SPDX-License-Identifier: Apache-2.0 */
#include "model/team.h"

#include "base/status.h"

static uint64_t share_of(const ellm_team *team, uint32_t rank) { return team->shares != NULL ? team->shares[rank] : 1; }

ellm_status team_check(const ellm_team *team, ellm_error *err) {
  if (team->n_ranks < 1 || team->n_ranks > ELLM_TEAM_MOST || team->rank >= team->n_ranks)
    return ellm_fail(err, ELLM_ERR_USAGE, "a team of %u ranks with rank %u: there can be 1 to %d", (unsigned)team->n_ranks,
                     (unsigned)team->rank, ELLM_TEAM_MOST);
  if (team->gather == NULL) return ellm_fail(err, ELLM_ERR_USAGE, "a team without gather");
  for (uint32_t i = 0; i < team->n_ranks; i++)
    if (share_of(team, i) == 0) return ellm_fail(err, ELLM_ERR_USAGE, "the share of rank %u of a team is 0", (unsigned)i);
  return ELLM_OK;
}

uint32_t team_cut(const ellm_team *team, uint32_t n, uint32_t unit, uint32_t rank) {
  uint64_t before = 0, all = 0; /* at most 2^10 * 2^32 */
  for (uint32_t i = 0; i < team->n_ranks; i++) {
    before += i < rank ? share_of(team, i) : 0;
    all += share_of(team, i);
  }
  if (before == all) return n;
  const uint64_t units = ((uint64_t)n + unit - 1) / unit; /* units * before < 2^32 * 2^42: in two parts */
  const uint64_t whole = units / all * before + units % all * before / all;
  return (uint32_t)(whole * unit < n ? whole * unit : n);
}
