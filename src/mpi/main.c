/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrollm-mpi: the program as one of several processes of MPI, which compute one model together:
 *
 *   mpirun -n 4 --hostfile HOSTS entrollm-mpi [--shares a:b:c:d | --shares auto] run -m FILE ...
 *
 * All processes run the same command; rank 0 shows results. When one fails, all end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dispatch.h"
#include "cli/team.h"
#include "mpi/gather.h"
#include "mpi/pass.h"
#include "mpi/service.h"
#include "mpi/shares.h"

enum { PATIENCE_US = 1500000 }; /* for rank 0, which speaks first if it has failed, too */

static cli_team team; /* lives as long as the process */
static int real_errors = STDERR_FILENO;
static FILE *own_errors; /* what this rank writes to standard error, where it is not rank 0 */

static void broadcast(void *data, size_t bytes) { MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD); }

/* Results are shown once. Errors are kept, and shown if this rank alone has failed. */
static void be_silent(void) {
  own_errors = tmpfile();
  real_errors = dup(STDERR_FILENO);
  if (freopen("/dev/null", "w", stdout) == NULL || own_errors == NULL || real_errors < 0) MPI_Abort(MPI_COMM_WORLD, 1);
  dup2(fileno(own_errors), STDERR_FILENO);
}

/* Ends all ranks. */
static void fail(int status) {
  char line[1024] = "", said[1024] = "";
  if (own_errors != NULL) {
    usleep(PATIENCE_US);
    rewind(own_errors);
    while (fgets(line, sizeof line, own_errors) != NULL) memcpy(said, line, sizeof said);
    dprintf(real_errors, "rank %u: %s", (unsigned)team.team.rank, said[0] ? said : "failed\n");
  }
  MPI_Abort(MPI_COMM_WORLD, status);
}

/* Every rank has to be the same program. */
static void check_version(void) {
  char first[64] = "", own[64];
  snprintf(own, sizeof own, "%s", ellm_version());
  memcpy(first, own, sizeof first);
  broadcast(first, sizeof first);
  if (strcmp(first, own) == 0) return;
  fprintf(stderr, "entrollm-mpi: this is version %s, rank 0 is %s\n", own, first);
  fail(ELLM_ERR_USAGE);
}

int main(int argc, char **argv) {
  int rank, n_ranks, provided;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
  team = (cli_team){.team = {.rank = (uint32_t)rank, .n_ranks = (uint32_t)n_ranks, .gather = gather_rows},
                    .compressing = {.rank = (uint32_t)rank,
                                    .n_ranks = (uint32_t)n_ranks,
                                    .pass = pass_bytes,
                                    .gather = gather_rows},
                    .broadcast = broadcast,
                    .costs = gather_costs};
  if (rank != 0) be_silent();
  if (provided < MPI_THREAD_MULTIPLE) {
    fprintf(stderr, "entrollm-mpi: this MPI does not allow calls from several threads\n");
    fail(ELLM_ERR_INTERNAL);
  }
  check_version();
  int status = shares_take(&argc, argv, &team.team);
  if (status == ELLM_OK) {
    team.compressing.shares = team.team.shares;
    cli_team_set(&team);
    service_start(real_errors);
    status = cli_main(argc, argv);
    if (status == ELLM_INTERRUPTED) service_look_for_killed();
  }
  if (status != ELLM_OK) fail(status);
  gather_end();
  service_stop();
  MPI_Finalize();
  return 0;
}
