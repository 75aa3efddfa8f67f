/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several processes that run one command together: entrollm-mpi. Each does what the program does when it is alone, with the
 * same words, the same input and so the same results; one of them, rank 0, shows them. What would differ from process to
 * process, such as a seed that is drawn, is rank 0's for all.
 */
#ifndef ELLM_CLI_TEAM_H
#define ELLM_CLI_TEAM_H

#include "entrollm.h"

/* What a team has cost this process since it began. */
typedef struct cli_team_costs {
  uint64_t sent;  /* bytes that others had of this one, each once for every one of them */
  double seconds; /* spent in gathering, waiting for others included */
} cli_team_costs;

typedef struct cli_team {
  ellm_team team;
  ellm_compress_team compressing;              /* the same ranks and shares */
  void (*broadcast)(void *data, size_t bytes); /* rank 0's to all */
  cli_team_costs (*costs)(void);
} cli_team;

/* Before the command; it outlives it. */
void cli_team_set(const cli_team *team);

/* For options of models; NULL: alone. */
const ellm_team *cli_team_of_model(void);
/* For options of compress; NULL: alone. */
const ellm_compress_team *cli_team_of_compress(void);
/* Is this the process that writes files? True alone. */
bool cli_team_writes(void);
/* What rank 0 has, to all; nothing alone. All call it, in the same order. */
void cli_team_broadcast(void *data, size_t bytes);
/* Zeros alone. */
cli_team_costs cli_team_so_far(void);

#endif
