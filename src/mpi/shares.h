/* SPDX-License-Identifier: Apache-2.0 */
/* --shares, which is before the command: how much of a model each rank computes. */
#ifndef ELLM_MPI_SHARES_H
#define ELLM_MPI_SHARES_H

#include "entrollm.h"

/* Takes `--shares a:b:c` or `--shares auto` off the words of the command line and sets team->shares, which stay where they
 * are. The status of the process when it has to end, having said why; else ELLM_OK. */
int shares_take(int *argc, char **argv, ellm_team *team);

#endif
