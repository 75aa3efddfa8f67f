/* SPDX-License-Identifier: Apache-2.0 */
#include "mpi/service.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"

enum {
  ROUND_US = 20000,     /* between two looks at everything */
  PIECE = 4096,         /* bytes of standard input that are handed on at once */
  TAG_INPUT = 1, TAG_PULSE = 2, TAG_SAID = 3
};
static const double pulse_seconds = 0.25, late_seconds = 1, silent_seconds = 7; /* all ranks end within 10 seconds */
/* Where a rank is killed, mpirun sends the others SIGTERM a second later, and SIGKILL a second after that. Who was not
 * heard for so long before SIGTERM, nor for so long after it, is the one. */
static const double gone_before = 0.5, gone_after = 0.4;
/* All others notice that rank 0 is silent or gone. The lowest one says so, and tells those whose turn comes later. */
static const double turn_seconds = 0.1, most_turns = 5;

static struct {
  MPI_Comm comm;       /* of its own, so that nothing meets what the command sends */
  pthread_t thread;
  atomic_bool stop;
  int rank, n_ranks;
  int first, end;      /* ranks that hear of this one and that it listens to: rank 0, or, of rank 0, all others */
  int input;           /* rank 0: standard input as it was; -1 after its end */
  int pipe;            /* the end that is written; -1: closed */
  char *waiting;       /* what the pipe had no room for */
  size_t n_waiting;
  bool ended;          /* nothing comes any more */
  double told;         /* when this rank last said that it is there */
  double *heard;       /* [n_ranks]: when others did; rank 0 hears all, all hear rank 0 */
  double stopped;      /* when this process was first seen to be told to stop; 0: it was not */
  bool said;           /* a lower rank has told why all end */
  int errors;          /* where lines are shown */
} s;

static void give_up(const char *what) {
  if (!s.said) dprintf(s.errors, "entrollm-mpi: %s\n", what);
  for (int r = s.rank + 1; r < s.n_ranks && s.rank > 0 && !s.said; r++) MPI_Send(NULL, 0, MPI_BYTE, r, TAG_SAID, s.comm);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static double turn(void) { return turn_seconds * (s.rank <= 1 ? 0 : s.rank - 1 < most_turns ? s.rank - 1 : most_turns); }

/* ------------------------------------------------------------------------- standard input */

static void keep(const char *data, size_t n) {
  char *larger = realloc(s.waiting, s.n_waiting + n);
  if (larger == NULL) give_up("out of memory for standard input");
  memcpy(larger + s.n_waiting, data, n);
  s.waiting = larger;
  s.n_waiting += n;
}

static void write_waiting(void) {
  while (s.pipe >= 0 && s.n_waiting > 0) {
    const ssize_t n = write(s.pipe, s.waiting, s.n_waiting);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) s.n_waiting = 0; /* nobody reads it */
    if (n > 0) memmove(s.waiting, s.waiting + n, s.n_waiting -= (size_t)n);
  }
  if (s.ended && s.pipe >= 0) {
    close(s.pipe);
    s.pipe = -1;
  }
}

/* n 0: its end. */
static void take_input(const char *data, size_t n) {
  if (n == 0) s.ended = true;
  else keep(data, n);
  write_waiting();
}

static void read_and_hand_on(void) {
  char piece[PIECE];
  struct pollfd look = {.fd = s.input, .events = POLLIN};
  if (s.input < 0 || s.n_waiting > 0 || poll(&look, 1, 0) <= 0) return;
  const ssize_t n = read(s.input, piece, sizeof piece);
  if (n < 0) return;
  for (int r = 1; r < s.n_ranks; r++) MPI_Send(piece, (int)n, MPI_BYTE, r, TAG_INPUT, s.comm);
  take_input(piece, (size_t)n);
  if (n == 0) s.input = -1;
}

/* ------------------------------------------------------------------------------------ pulse */

static void tell(double now) {
  if (now - s.told < pulse_seconds) return;
  s.told = now;
  for (int r = s.first; r < s.end; r++)
    MPI_Send(NULL, 0, MPI_BYTE, r, TAG_PULSE, s.comm); /* nothing but its envelope: it waits for nobody */
}

static void look_for_silence(double now) {
  char text[64];
  for (int r = s.first; r < s.end; r++)
    if (now - s.heard[r] > silent_seconds + turn()) {
      snprintf(text, sizeof text, "rank %d has been silent for %.0f seconds", r, now - s.heard[r]);
      give_up(text);
    }
}

/* mpirun says nothing of a rank that was killed where it is told to be quiet, and much where it is not. */
static void look_for_killed(double now) {
  char text[64];
  if (s.stopped == 0 && cli_stopped()) s.stopped = now;
  if (s.stopped == 0 || now - s.stopped < gone_after + turn()) return;
  for (int r = s.first; r < s.end; r++)
    if (s.heard[r] < s.stopped - gone_before) {
      snprintf(text, sizeof text, "rank %d is gone: it was killed, or its machine is lost", r);
      give_up(text);
    }
}

/* ------------------------------------------------------------------------------- the thread */

static void receive(double now) {
  char piece[PIECE];
  MPI_Status status;
  for (int there = 1; MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, s.comm, &there, &status), there;) {
    int n = 0;
    MPI_Recv(piece, sizeof piece, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, s.comm, &status);
    MPI_Get_count(&status, MPI_BYTE, &n);
    s.heard[status.MPI_SOURCE] = now;
    s.said = s.said || status.MPI_TAG == TAG_SAID;
    if (status.MPI_TAG == TAG_INPUT) take_input(piece, (size_t)n);
  }
}

static void *serve(void *user) {
  double last = MPI_Wtime();
  (void)user;
  while (!atomic_load(&s.stop)) {
    const double now = MPI_Wtime();
    /* a process that was stopped itself hears of the others before it judges them */
    if (now - last > late_seconds)
      for (int r = 0; r < s.n_ranks; r++) s.heard[r] = now;
    last = now;
    receive(now);
    write_waiting();
    if (s.rank == 0) read_and_hand_on();
    tell(now);
    look_for_silence(now);
    look_for_killed(now);
    usleep(ROUND_US);
  }
  return NULL;
}

void service_start(int errors) {
  int ends[2];
  s.errors = errors;
  MPI_Comm_dup(MPI_COMM_WORLD, &s.comm);
  MPI_Comm_rank(s.comm, &s.rank);
  MPI_Comm_size(s.comm, &s.n_ranks);
  s.first = s.rank == 0 ? 1 : 0;
  s.end = s.rank == 0 ? s.n_ranks : 1;
  s.heard = calloc((size_t)s.n_ranks, sizeof *s.heard);
  s.input = s.rank == 0 ? dup(STDIN_FILENO) : -1;
  if (s.heard == NULL || pipe(ends) != 0 || dup2(ends[0], STDIN_FILENO) < 0) give_up("no pipe for standard input");
  close(ends[0]);
  s.pipe = ends[1];
  fcntl(s.pipe, F_SETFL, O_NONBLOCK);
  fcntl(s.pipe, F_SETFD, FD_CLOEXEC);
  if (s.rank == 0 && s.input < 0) s.ended = true;
  for (int r = 0; r < s.n_ranks; r++) s.heard[r] = MPI_Wtime();
  if (pthread_create(&s.thread, NULL, serve, NULL) != 0) give_up("no thread");
}

void service_look_for_killed(void) { usleep((useconds_t)(1e6 * (gone_after + turn()) + 3 * ROUND_US)); }

void service_stop(void) {
  atomic_store(&s.stop, true);
  pthread_join(s.thread, NULL);
  MPI_Barrier(s.comm);
  receive(MPI_Wtime()); /* what was under way: nothing may be left at the end */
  MPI_Comm_free(&s.comm);
  free(s.heard);
  free(s.waiting);
}
