/* SPDX-License-Identifier: Apache-2.0 */
/* Which row groups of a .ellm file's tensors a member of a team reads: what a part of the file has to have. */
#ifndef ELLM_MODEL_DIVISION_H
#define ELLM_MODEL_DIVISION_H

#include "entrollm.h"
#include "model/weights.h"
#include "source/source.h"

/* How much of a tensor a member needs. */
typedef enum division_need {
  DIVISION_UNUSED,   /* nothing: it is no part of the architecture */
  DIVISION_WHOLE,    /* all of it: what every member computes with, or looks rows up in */
  DIVISION_ROWS      /* the row groups of container_groups, which may be none */
} division_need;
typedef struct division { division_need need; container_groups groups; } division;

/* What is divided: the tensors of a source, those that its model's weights are bound to; team->rank is the member. */
typedef struct division_of {
  const tensor_source *source;
  const model_config *config;
  const model_weights *weights;
  const ellm_team *team;
} division_of;

/* divisions[i] for tensor i of the source, a .ellm file. used[i]: is it part of the architecture? NULL: all are. Kept
 * matrices count as whole. */
void division_make(const division_of *of, const bool *used, division *divisions);
/* If the source is a part: has it all row groups that its member needs? ELLM_ERR_INPUT names a tensor that has not. */
ellm_status division_check(const division_of *of, ellm_error *err);

#endif
