/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network that is slower than this machine: loaded before MPI (LD_PRELOAD), it lets each gather of entrollm-mpi end no
 * sooner than a delay and a time for each byte that comes from others. SLOW_NETWORK="MICROSECONDS GBITS_PER_S".
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static double delay, seconds_a_byte; /* of a gather */
static double end_of_gather;         /* there is one at a time */

static void read_settings(void) {
  static int known;
  double us = 0, gbits = 0;
  const char *text = getenv("SLOW_NETWORK");
  if (known++) return;
  if (text == NULL || sscanf(text, "%lf %lf", &us, &gbits) != 2 || us < 0 || gbits <= 0) {
    fprintf(stderr, "slow_network: SLOW_NETWORK=\"MICROSECONDS GBITS_PER_S\"\n");
    exit(2);
  }
  delay = us / 1e6;
  seconds_a_byte = 8 / (gbits * 1e9);
}

int MPI_Iallgatherv(const void *own, int n, MPI_Datatype type, void *all, const int counts[], const int places[],
                    MPI_Datatype type_of_all, MPI_Comm comm, MPI_Request *request) {
  int n_ranks, rank, size;
  double elements = 0;
  read_settings();
  MPI_Comm_size(comm, &n_ranks);
  MPI_Comm_rank(comm, &rank);
  MPI_Type_size(type_of_all, &size);
  for (int r = 0; r < n_ranks; r++)
    if (r != rank) elements += counts[r];
  end_of_gather = n_ranks > 1 ? MPI_Wtime() + delay + elements * size * seconds_a_byte : 0;
  return PMPI_Iallgatherv(own, n, type, all, counts, places, type_of_all, comm, request);
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status) {
  *done = 0;
  if (MPI_Wtime() < end_of_gather) return MPI_SUCCESS; /* looked at again and again */
  return PMPI_Test(request, done, status);
}
