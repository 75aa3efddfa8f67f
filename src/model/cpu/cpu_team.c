/* SPDX-License-Identifier: Apache-2.0 */
#include "model/cpu/cpu_team.h"

#include <stdlib.h>

#include "model/team.h"

static cpu_heads heads_of_rank(const cpu_backend *c, uint32_t rank) {
  const model_config *config = c->shape.config;
  const uint32_t n = config->n_heads, group = n / config->n_kv_heads;
  const uint32_t first = team_cut(c->shape.team, n, 1, rank), end = team_cut(c->shape.team, n, 1, rank + 1);
  if (first == end) return (cpu_heads){0};
  return (cpu_heads){first, end, first / group, (end + group - 1) / group};
}

ellm_status cpu_team_create(cpu_backend *c, ellm_error *err) {
  const ellm_team *team = c->shape.team;
  if (team == NULL) {
    c->heads = (cpu_heads){0, c->shape.config->n_heads, 0, c->shape.config->n_kv_heads};
    return ELLM_OK;
  }
  c->heads = heads_of_rank(c, team->rank);
  c->cuts = calloc((size_t)team->n_ranks + 1, sizeof *c->cuts);
  return c->cuts != NULL ? ELLM_OK : ellm_fail_memory(err, (team->n_ranks + 1) * sizeof *c->cuts, "a team");
}

void cpu_team_free(cpu_backend *c) { free(c->cuts); }

row_range cpu_own(const cpu_backend *c, uint32_t n, uint32_t unit) {
  const ellm_team *team = c->shape.team;
  if (team == NULL) return (row_range){0, n};
  return (row_range){team_cut(team, n, unit, team->rank), team_cut(team, n, unit, team->rank + 1)};
}

const matrix_rows *cpu_qkv_rows(const cpu_backend *c, matrix_rows *rows) {
  const model_config *config = c->shape.config;
  const uint32_t dim = config->head_dim, q = config->n_heads, kv = config->n_kv_heads;
  const cpu_heads own = c->heads;
  if (c->shape.team == NULL) return NULL;
  *rows = (matrix_rows){.period = (q + 2 * kv) * dim,
                        .n = 3,
                        .range = {{own.first * dim, own.end * dim},
                                  {(q + own.kv_first) * dim, (q + own.kv_end) * dim},
                                  {(q + kv + own.kv_first) * dim, (q + kv + own.kv_end) * dim}}};
  return rows;
}

const matrix_rows *cpu_gate_up_rows(const cpu_backend *c, uint32_t inner, matrix_rows *rows) {
  const row_range own = cpu_own(c, inner, CODER_PANEL_ROWS);
  if (c->shape.team == NULL) return NULL;
  *rows = (matrix_rows){.period = 2 * inner, .n = 2, .range = {own, {inner + own.first, inner + own.end}}};
  return rows;
}

const matrix_rows *cpu_plain_rows(const cpu_backend *c, uint32_t n, matrix_rows *rows) {
  if (c->shape.team == NULL) return NULL;
  *rows = (matrix_rows){.period = n, .n = 1, .range = {cpu_own(c, n, CODER_PANEL_ROWS)}};
  return rows;
}

ellm_status cpu_gather(const cpu_backend *c, float *data, size_t n_rows, size_t stride, uint32_t n, uint32_t unit,
                       uint32_t width, ellm_error *err) {
  const ellm_team *team = c->shape.team;
  if (team == NULL || n_rows == 0) return ELLM_OK;
  for (uint32_t rank = 0; rank <= team->n_ranks; rank++) c->cuts[rank] = team_cut(team, n, unit, rank) * width;
  return team->gather(team->user, data, n_rows, stride, c->cuts, err);
}

ellm_status cpu_gather_head(const cpu_backend *c, uint32_t head, void *data, size_t bytes, ellm_error *err) {
  const ellm_team *team = c->shape.team;
  uint32_t owner = 0;
  if (team == NULL) return ELLM_OK;
  for (cpu_heads of = heads_of_rank(c, owner); head < of.kv_first || head >= of.kv_end; of = heads_of_rank(c, owner))
    owner++;
  const uint32_t n = (uint32_t)(bytes / sizeof(float));
  for (uint32_t rank = 0; rank <= team->n_ranks; rank++) c->cuts[rank] = rank <= owner ? 0 : n;
  return team->gather(team->user, data, 1, n, c->cuts, err);
}
