/* SPDX-License-Identifier: Apache-2.0 */
#include "model/division.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/notes.h"
#include "model/team.h"

typedef struct divider {
  const ellm_model *model;
  division *divisions;
} divider;

static division *of_matrix(const divider *d, const weight_matrix *m) {
  const tensor_source *source = d->model->source;
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

static void divide_layer(const divider *d, const layer_weights *w, const layer_facts *facts, const ellm_team *team) {
  const model_config *config = &d->model->config;
  divide(d, &w->qkv, team_qkv_rows(config, team_heads_of(team, config, team->rank)));
  divide(d, &w->output, team_plain_rows(team, config->hidden_size));
  divide(d, &w->gate_up, team_gate_up_rows(team, facts->intermediate_size));
  divide(d, &w->down, team_plain_rows(team, config->hidden_size));
  for (uint32_t i = 0; i < w->n_experts; i++) {
    divide(d, &w->experts[i].gate_up, team_gate_up_rows(team, facts->intermediate_size));
    divide(d, &w->experts[i].down, team_plain_rows(team, config->hidden_size));
  }
}

ellm_status division_make(const ellm_model *model, const ellm_team *team, division *divisions, ellm_error *err) {
  const divider d = {model, divisions};
  const model_weights *w = &model->weights;
  const size_t n = source_count(model->source);
  const ellm_notes nobody = {0};
  bool *used = calloc(n + 1, sizeof *used);
  if (used == NULL) return ellm_fail_memory(err, n, "tensors that are used");
  const ellm_status status = model_check(model->source, &nobody, used, err);
  for (size_t i = 0; i < n; i++) divisions[i] = (division){.need = used[i] ? DIVISION_WHOLE : DIVISION_UNUSED};
  free(used);
  ELLM_TRY(status);
  for (uint32_t i = 0; i < w->n_layers; i++) divide_layer(&d, &w->layers[i], &model->config.layers[i], team);
  if (w->head.matrix[0].coded != w->embedding.coded) divide(&d, &w->head, team_plain_rows(team, model->config.vocab_size));
  return ELLM_OK;
}

ellm_status division_check(const ellm_model *model, ellm_error *err) {
  const ellm_file *file = source_file(model->source);
  if (file == NULL || container_part_of(file) == NULL) return ELLM_OK;
  const size_t n = source_count(model->source);
  division *divisions = calloc(n + 1, sizeof *divisions);
  if (divisions == NULL) return ellm_fail_memory(err, n * sizeof *divisions, "tensors that are used");
  ellm_status status = division_make(model, &model->team, divisions, err);
  for (size_t i = 0; i < n && status == ELLM_OK; i++) {
    const container_tensor *t = source_at(model->source, i)->coded;
    if (t == NULL || divisions[i].need == DIVISION_UNUSED) continue;
    if (!container_groups_include(&t->groups, &divisions[i].groups, &t->geometry))
      status = ellm_fail(err, ELLM_ERR_INPUT, "%s: tensor %s: row groups that rank %u needs are missing", model->path,
                         t->name, (unsigned)model->team.rank);
  }
  free(divisions);
  return status;
}
