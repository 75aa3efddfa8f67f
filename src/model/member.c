/* SPDX-License-Identifier: Apache-2.0 */
/* What a member of a team has: its heads, and how much of the file and of the KV cache. See entrollm_team.h. */
#include <stdlib.h>

#include "base/memory.h"
#include "model/division.h"
#include "model/model.h"
#include "model/team.h"

/* What a member reads of a tensor. Blocks of a tensor are of nearly one size. */
static uint64_t bytes_read(const container_tensor *t, const division *d) {
  if (d->need != DIVISION_ROWS || t->n_elements == 0) return t->stored_bytes;
  const double share = (double)container_groups_elements(&d->groups, &t->geometry) / (double)t->n_elements;
  return (uint64_t)(share * (double)t->stored_bytes);
}

ellm_status ellm_model_member(const ellm_model *model, uint32_t rank, uint64_t positions, ellm_team_member *member,
                              ellm_error *err) {
  ellm_team team = model->team;
  *member = (ellm_team_member){0};
  if (rank >= team.n_ranks)
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: there is no rank %u in a team of %u", model->path, (unsigned)rank,
                     (unsigned)team.n_ranks);
  team.rank = rank;
  const team_heads heads = team_heads_of(&team, &model->config, rank);
  member->heads = heads.end - heads.first;
  member->kv_heads = heads.kv_end - heads.kv_first;
  member->cache_bytes = ellm_model_cache_bytes(model, positions) / model->config.n_kv_heads * member->kv_heads;
  if (source_file(model->source) == NULL) return ELLM_OK;
  const size_t n = source_count(model->source);
  division *divisions = calloc(n + 1, sizeof *divisions);
  if (divisions == NULL) return ellm_fail_memory(err, n * sizeof *divisions, "what a member reads");
  division_make(&(division_of){model->source, &model->config, &model->weights, &team}, NULL, divisions);
  for (size_t i = 0; i < n; i++) {
    const container_tensor *t = source_at(model->source, i)->coded;
    member->file_bytes += t != NULL ? bytes_read(t, &divisions[i]) : source_stored_bytes(source_at(model->source, i));
  }
  free(divisions);
  return ELLM_OK;
}
