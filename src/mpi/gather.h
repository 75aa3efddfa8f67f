/* SPDX-License-Identifier: Apache-2.0 */
/* ellm_team.gather by MPI_Iallgatherv, and what it has cost. */
#ifndef ELLM_MPI_GATHER_H
#define ELLM_MPI_GATHER_H

#include <mpi.h>

#include "cli/team.h"

/* `user` is not looked at. */
ellm_status gather_rows(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err);
cli_team_costs gather_costs(void);
/* Waits until all ranks are here, and frees what gathering has taken. */
void gather_end(void);

#endif
