/* SPDX-License-Identifier: Apache-2.0 */
/* Do the processes that run one command together have one model? */
#ifndef ELLM_CLI_TEAM_MODEL_H
#define ELLM_CLI_TEAM_MODEL_H

#include "program/failure.h"

/* Has every process opened the same .ellm file, or parts of the same, and computes its share of it? The rank that has not
 * says so. */
ellm_status cli_team_check_model(ellm_model *model, const char *path, ellm_error *err);

#endif
