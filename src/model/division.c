/* SPDX-License-Identifier: Apache-2.0 */
#include "model/division.h"

#include <stdlib.h>

#include "base/memory.h"
#include "model/team.h"

typedef struct divider {
  const division_of *of;
  division *divisions;
} divider;

static division *of_matrix(const divider *d, const weight_matrix *m) {
  const tensor_source *source = d->of->source;
  return &d->divisions[source_index(source, source_find(source, m->coded->name))];
}

/* Matrices of a product, of which `rows` are computed. */
static void divide(const divider *d, const matrix_group *group, matrix_rows rows) {
  uint64_t at = 0;
  for (size_t i = 0; i < group->n; at += group->matrix[i++].rows) {
    const weight_matrix *m = &group->matrix[i];
    if (m->coded == NULL) continue;
    container_groups groups = {.some = true};
    for (size_t range = 0; range < rows.n; range++) {
      const group_span span = matrix_groups(&rows, m, at, range);
      container_groups_add(&groups, (uint32_t)span.first, (uint32_t)span.end);
    }
    *of_matrix(d, m) = (division){DIVISION_ROWS, groups};
  }
}

static void divide_layer(const divider *d, const layer_weights *w, const layer_facts *facts) {
  const model_config *config = d->of->config;
  const ellm_team *team = d->of->team;
  divide(d, &w->qkv, team_qkv_rows(config, team_heads_of(team, config, team->rank)));
  divide(d, &w->output, team_plain_rows(team, config->hidden_size));
  divide(d, &w->gate_up, team_gate_up_rows(team, facts->intermediate_size));
  divide(d, &w->down, team_plain_rows(team, config->hidden_size));
  for (uint32_t i = 0; i < w->n_experts; i++) {
    divide(d, &w->experts[i].gate_up, team_gate_up_rows(team, facts->intermediate_size));
    divide(d, &w->experts[i].down, team_plain_rows(team, config->hidden_size));
  }
}

void division_make(const division_of *of, const bool *used, division *divisions) {
  const divider d = {of, divisions};
  const model_weights *w = of->weights;
  const size_t n = source_count(of->source);
  for (size_t i = 0; i < n; i++)
    divisions[i] = (division){.need = used == NULL || used[i] ? DIVISION_WHOLE : DIVISION_UNUSED};
  for (uint32_t i = 0; i < w->n_layers; i++) divide_layer(&d, &w->layers[i], &of->config->layers[i]);
  if (w->head.matrix[0].coded != w->embedding.coded)
    divide(&d, &w->head, team_plain_rows(of->team, of->config->vocab_size));
}

ellm_status division_check(const division_of *of, ellm_error *err) {
  const ellm_file *file = source_file(of->source);
  if (file == NULL || container_part_of(file) == NULL) return ELLM_OK;
  const size_t n = source_count(of->source);
  division *divisions = calloc(n + 1, sizeof *divisions);
  if (divisions == NULL) return ellm_fail_memory(err, n * sizeof *divisions, "row groups that are needed");
  division_make(of, NULL, divisions);
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < n && status == ELLM_OK; i++) {
    const container_tensor *t = source_at(of->source, i)->coded;
    if (t != NULL && !container_groups_include(&t->groups, &divisions[i].groups, &t->geometry))
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: row groups that rank %u needs are missing",
                         container_path(file), t->name, (unsigned)of->team->rank);
  }
  free(divisions);
  return status;
}
