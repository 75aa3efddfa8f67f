/* SPDX-License-Identifier: Apache-2.0 */
/* Which row groups of a .ellm file's tensors a member of a team reads: what a part of the file has to have. */
#ifndef ELLM_MODEL_DIVISION_H
#define ELLM_MODEL_DIVISION_H

#include "model/model.h"

/* How much of a tensor a member needs. */
typedef enum division_need {
  DIVISION_UNUSED,   /* nothing: it is no part of the architecture */
  DIVISION_WHOLE,    /* all of it: what every member computes with, or looks rows up in */
  DIVISION_ROWS      /* the row groups of container_groups, which may be none */
} division_need;
typedef struct division { division_need need; container_groups groups; } division;

/* divisions[i] for tensor i of the model's source, a .ellm file; team->rank is the member. Kept matrices count as whole. */
ellm_status division_make(const ellm_model *model, const ellm_team *team, division *divisions, ellm_error *err);

/* Where the model is a part: has it all row groups that its rank needs? ELLM_ERR_INPUT names a tensor that has not. */
ellm_status division_check(const ellm_model *model, ellm_error *err);

#endif
