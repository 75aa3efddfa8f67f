/* SPDX-License-Identifier: Apache-2.0 */
#include "model/cpu/cpu_team.h"

#include <stdlib.h>

#include "model/team.h"

ellm_status cpu_team_create(cpu_backend *c, ellm_error *err) {
  const ellm_team *team = c->shape.team;
  if (team == NULL) {
    c->heads = (team_heads){0, c->shape.config->n_heads, 0, c->shape.config->n_kv_heads};
    return ELLM_OK;
  }
  c->heads = team_heads_of(team, c->shape.config, team->rank);
  c->cuts = calloc((size_t)team->n_ranks + 1, sizeof *c->cuts);
  return c->cuts != NULL ? ELLM_OK : ellm_fail_memory(err, (team->n_ranks + 1) * sizeof *c->cuts, "a team");
}

void cpu_team_free(cpu_backend *c) { free(c->cuts); }

row_range cpu_own(const cpu_backend *c, uint32_t n) {
  return c->shape.team != NULL ? team_rows(c->shape.team, n) : (row_range){0, n};
}

const matrix_rows *cpu_qkv_rows(const cpu_backend *c, matrix_rows *rows) {
  if (c->shape.team == NULL) return NULL;
  *rows = team_qkv_rows(c->shape.config, c->heads);
  return rows;
}

const matrix_rows *cpu_gate_up_rows(const cpu_backend *c, uint32_t inner, matrix_rows *rows) {
  if (c->shape.team == NULL) return NULL;
  *rows = team_gate_up_rows(c->shape.team, inner);
  return rows;
}

const matrix_rows *cpu_plain_rows(const cpu_backend *c, uint32_t n, matrix_rows *rows) {
  if (c->shape.team == NULL) return NULL;
  *rows = team_plain_rows(c->shape.team, n);
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
  for (;; owner++) {
    const team_heads of = team_heads_of(team, c->shape.config, owner);
    if (head >= of.kv_first && head < of.kv_end) break;
  }
  const uint32_t n = (uint32_t)(bytes / sizeof(float));
  for (uint32_t rank = 0; rank <= team->n_ranks; rank++) c->cuts[rank] = rank <= owner ? 0 : n;
  return team->gather(team->user, data, 1, n, c->cuts, err);
}
