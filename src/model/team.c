/* SPDX-License-Identifier: Apache-2.0 */
#include "model/team.h"

#include "base/status.h"
#include "container/hash.h"

static uint64_t share_of(const ellm_team *team, uint32_t rank) { return team->shares != NULL ? team->shares[rank] : 1; }

ellm_status team_check_ranks(uint32_t rank, uint32_t n_ranks, const uint32_t *shares, ellm_error *err) {
  if (n_ranks < 1 || n_ranks > ELLM_TEAM_MOST || rank >= n_ranks)
    return ellm_fail(err, ELLM_ERR_USAGE, "a team of %u ranks with rank %u: there can be 1 to %d", (unsigned)n_ranks,
                     (unsigned)rank, ELLM_TEAM_MOST);
  for (uint32_t i = 0; shares != NULL && i < n_ranks; i++)
    if (shares[i] == 0) return ellm_fail(err, ELLM_ERR_USAGE, "the share of rank %u of a team is 0", (unsigned)i);
  return ELLM_OK;
}

ellm_status team_check(const ellm_team *team, ellm_error *err) {
  ELLM_TRY(team_check_ranks(team->rank, team->n_ranks, team->shares, err));
  return team->gather != NULL ? ELLM_OK : ellm_fail(err, ELLM_ERR_USAGE, "a team without gather");
}

bool ellm_same_shares(const uint32_t *a, const uint32_t *b, uint32_t n) {
  if (n == 0) return true;
  const uint64_t first_a = a != NULL ? a[0] : 1, first_b = b != NULL ? b[0] : 1;
  for (uint32_t i = 1; i < n; i++)
    if ((a != NULL ? a[i] : 1) * first_b != (b != NULL ? b[i] : 1) * first_a) return false;
  return true;
}

ellm_status team_take_part(const ellm_file *file, ellm_team *team, ellm_error *err) {
  const container_part *part = file != NULL ? container_part_of(file) : NULL;
  char whole[33];
  if (part == NULL) return ELLM_OK;
  if (team->n_ranks == 0) return container_need_whole(file, err);
  hash_hex(part->whole, whole);
  if (part->n_parts != team->n_ranks || part->number != team->rank + 1)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: this is part %u of %u of model %s, for rank %u of %u; this is rank %u of %u",
                     container_path(file), (unsigned)part->number, (unsigned)part->n_parts, whole,
                     (unsigned)part->number - 1, (unsigned)part->n_parts, (unsigned)team->rank, (unsigned)team->n_ranks);
  if (team->shares != NULL && !ellm_same_shares(team->shares, part->shares, part->n_parts))
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: this part of model %s was made for other shares than were asked for",
                     container_path(file), whole);
  team->shares = part->shares;
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

/* ---------------------------------------------------------------------------- who has what */

row_range team_rows(const ellm_team *team, uint32_t n) {
  return (row_range){team_cut(team, n, CODER_PANEL_ROWS, team->rank), team_cut(team, n, CODER_PANEL_ROWS, team->rank + 1)};
}

team_heads team_heads_of(const ellm_team *team, const model_config *config, uint32_t rank) {
  const uint32_t n = config->n_heads, group = n / config->n_kv_heads;
  const uint32_t first = team_cut(team, n, 1, rank), end = team_cut(team, n, 1, rank + 1);
  if (first == end) return (team_heads){0};
  return (team_heads){first, end, first / group, (end + group - 1) / group};
}

matrix_rows team_qkv_rows(const model_config *config, team_heads own) {
  const uint32_t dim = config->head_dim, q = config->n_heads, kv = config->n_kv_heads;
  return (matrix_rows){.period = (q + 2 * kv) * dim,
                       .n = 3,
                       .range = {{own.first * dim, own.end * dim},
                                 {(q + own.kv_first) * dim, (q + own.kv_end) * dim},
                                 {(q + kv + own.kv_first) * dim, (q + kv + own.kv_end) * dim}}};
}

matrix_rows team_gate_up_rows(const ellm_team *team, uint32_t inner) {
  const row_range own = team_rows(team, inner);
  return (matrix_rows){.period = 2 * inner, .n = 2, .range = {own, {inner + own.first, inner + own.end}}};
}

matrix_rows team_plain_rows(const ellm_team *team, uint32_t n) {
  return (matrix_rows){.period = n, .n = 1, .range = {team_rows(team, n)}};
}
