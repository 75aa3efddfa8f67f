/* SPDX-License-Identifier: Apache-2.0 */
#include "mpi/gather.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program/failure.h"

enum { PAUSE_US = 1000 };

static struct {
  int n_ranks, rank;
  int *counts, *places; /* [n_ranks] */
  float *own, *all;     /* parts of several rows, which are apart in them */
  size_t own_room, all_room;
  cli_team_costs costs;
} g;

/* Not MPI_Wait: a rank that waits for another one on the same processor has to let it run. */
static void wait_for(MPI_Request *request) {
  for (int done = 0; MPI_Test(request, &done, MPI_STATUS_IGNORE), !done;) sched_yield();
}

static ellm_status make_room(float **memory, size_t *room, size_t n, ellm_error *err) {
  if (n <= *room) return ELLM_OK;
  float *larger = realloc(*memory, n * sizeof *larger);
  if (larger == NULL) return prog_failure_memory(err, n * sizeof *larger, "what ranks send each other");
  *memory = larger;
  *room = n;
  return ELLM_OK;
}

static ellm_status begin(ellm_error *err) {
  if (g.counts != NULL) return ELLM_OK;
  MPI_Comm_rank(MPI_COMM_WORLD, &g.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &g.n_ranks);
  g.counts = calloc((size_t)g.n_ranks, sizeof *g.counts);
  g.places = calloc((size_t)g.n_ranks, sizeof *g.places);
  if (g.counts == NULL || g.places == NULL) return prog_failure_memory(err, (size_t)g.n_ranks * 8, "ranks");
  return ELLM_OK;
}

/* What each rank has of n_rows rows, and where it begins when all of one rank lies together: of one row, in place. */
static void set_counts(const uint32_t *first, size_t n_rows) {
  for (int r = 0; r < g.n_ranks; r++) {
    g.counts[r] = (int)((first[r + 1] - first[r]) * n_rows);
    g.places[r] = (int)(first[r] * n_rows);
  }
}

static void gather_one(float *row, const uint32_t *first) {
  MPI_Request request;
  set_counts(first, 1);
  MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, row, g.counts, g.places, MPI_FLOAT, MPI_COMM_WORLD, &request);
  wait_for(&request);
}

/* Parts of several rows are sent one after the other. */
static ellm_status gather_many(float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err) {
  const size_t own = first[g.rank + 1] - first[g.rank];
  MPI_Request request;
  PROG_TRY(make_room(&g.own, &g.own_room, own * n_rows, err));
  PROG_TRY(make_room(&g.all, &g.all_room, first[g.n_ranks] * n_rows, err));
  for (size_t i = 0; i < n_rows; i++) memcpy(g.own + i * own, rows + i * stride + first[g.rank], own * sizeof *rows);
  set_counts(first, n_rows);
  MPI_Iallgatherv(g.own, g.counts[g.rank], MPI_FLOAT, g.all, g.counts, g.places, MPI_FLOAT, MPI_COMM_WORLD, &request);
  wait_for(&request);
  for (int r = 0; r < g.n_ranks; r++) {
    const size_t n = first[r + 1] - first[r];
    for (size_t i = 0; i < n_rows && r != g.rank; i++)
      memcpy(rows + i * stride + first[r], g.all + g.places[r] + i * n, n * sizeof *rows);
  }
  return ELLM_OK;
}

ellm_status gather_rows(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err) {
  (void)user;
  const double start = MPI_Wtime();
  PROG_TRY(begin(err));
  /* a batch has at most 256 rows of at most 2^20 columns, so that counts and places are ints */
  if (n_rows == 1) gather_one(rows, first);
  else PROG_TRY(gather_many(rows, n_rows, stride, first, err));
  g.costs.sent += (uint64_t)(first[g.rank + 1] - first[g.rank]) * n_rows * sizeof *rows * (uint64_t)(g.n_ranks - 1);
  g.costs.seconds += MPI_Wtime() - start;
  return ELLM_OK;
}

cli_team_costs gather_costs(void) { return g.costs; }

void gather_end(void) {
  MPI_Request request;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  /* rank 0 may have to work for long alone: the processor is left to it */
  for (int done = 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done;) usleep(PAUSE_US);
  free(g.counts);
  free(g.places);
  free(g.own);
  free(g.all);
}
