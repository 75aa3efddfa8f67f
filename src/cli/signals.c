/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "entrollm.h"

static volatile sig_atomic_t stop_signals; /* how many have come */
static volatile sig_atomic_t terminated;   /* SIGTERM was among them */
static int stop_pipe[2] = {-1, -1};        /* the handler writes, who waits reads: see cli_stop_descriptor */

static void on_stop(int number) {
  if (number == SIGTERM) terminated = 1;
  /* Two are patience, the third says that it is not coming to an end. */
  if (++stop_signals >= 3) _exit(ELLM_INTERRUPTED);
  const int code = errno;
  while (stop_pipe[1] >= 0 && write(stop_pipe[1], "", 1) < 0 && errno == EINTR) continue;
  errno = code; /* a full pipe says so already */
}

void cli_prepare_process(void) {
  /* A closed standard stream must not become the number of a result file: what
   * is opened here cannot be written, so that writing to it is still noticed. */
  for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;)
    if (fd > STDERR_FILENO) {
      close(fd);
      break;
    }
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_stop; /* no SA_RESTART: reading a terminal must end */
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL); /* a file size limit is an error of the write, too */
}

bool cli_stopped(void) { return stop_signals != 0; }

bool cli_goes_on(void *user) {
  (void)user;
  return !cli_stopped();
}

bool cli_forget_interrupt(void) {
  char some[16];
  stop_signals = 0;
  while (stop_pipe[0] >= 0 && read(stop_pipe[0], some, sizeof some) > 0) continue;
  if (terminated) stop_signals = 1; /* looked at last: one that comes meanwhile is not forgotten */
  return !terminated;
}

int cli_stop_descriptor(void) {
  int made[2];
  if (stop_pipe[0] < 0 && pipe(made) == 0) {
    for (int i = 0; i < 2; i++) {
      fcntl(made[i], F_SETFL, O_NONBLOCK);
      fcntl(made[i], F_SETFD, FD_CLOEXEC);
    }
    stop_pipe[0] = made[0];
    stop_pipe[1] = made[1];
  }
  return stop_pipe[0];
}
