/* SPDX-License-Identifier: Apache-2.0 */
/* The progress bar: on a terminal only, a few times a second, one line. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/describe.h"
#include "cli/files.h"
#include "cli/messages.h"
#include "cli/signals.h"

enum { BAR_WIDTH = 24, BAR_LEAST = 6, NAME_WIDTH = 24 };

static bool on_terminal(void) {
  const char *term = getenv("TERM");
  return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

static size_t terminal_columns(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

void cli_progress_init(cli_progress *progress) {
  memset(progress, 0, sizeof *progress);
  progress->start = cli_seconds();
}

/* What fits of a tensor's name: its end says more than its beginning. */
static const char *name_end(const char *name, size_t room) {
  size_t length = strlen(name);
  if (length <= room) return name;
  for (name += length - room; ((unsigned char)*name & 0xC0) == 0x80;) name++; /* whole characters */
  return name;
}

/* How much of how much is done, and how fast: not for items, which take unlike times. */
static size_t write_figures(const ellm_progress *step, double rate, char *out, size_t room) {
  const unsigned long long done = step->done, total = step->total;
  char done_text[24], total_text[24];
  int used = 0;
  switch (step->unit) {
    case ELLM_UNIT_BYTES:
      used = snprintf(out, room, "  %s of %s  %.0f MB/s", cli_size_text(done, done_text),
                      cli_size_text(total, total_text), rate / 1e6);
      break;
    case ELLM_UNIT_TOKENS:
      used = snprintf(out, room, "  %llu of %llu tokens  %.3g tokens/s", done, total, rate);
      break;
    case ELLM_UNIT_WEIGHTS:
      used = snprintf(out, room, "  %.1f of %.1f M weights", (double)done / 1e6, (double)total / 1e6);
      break;
    case ELLM_UNIT_ITEMS: used = snprintf(out, room, "  %llu of %llu", done, total); break;
  }
  return used > 0 ? (size_t)used : 0;
}

static void draw(const cli_progress *progress, const ellm_progress *step, double now) {
  char line[400], figures[160], bar[BAR_WIDTH + 1];
  const bool running = step->unit == ELLM_UNIT_ITEMS; /* its name is a running result */
  double share = step->total ? (double)step->done / (double)step->total : 0, seconds = now - progress->start;
  const size_t columns = terminal_columns() - 1;
  const double rate = seconds > 0 ? (double)(step->done - progress->first) / seconds : 0;
  size_t used = write_figures(step, rate, figures, sizeof figures);
  if (step->total > step->done && step->done > progress->first && seconds > 0.3) {
    double left = seconds * (double)(step->total - step->done) / (double)(step->done - progress->first);
    snprintf(figures + used, sizeof figures - used, "  %.0f:%02.0f left", left < 60 ? 0.0 : (double)((long)left / 60),
             (double)((long)left % 60));
  }
  /* The bar gives way: to the end of a tensor's name, to the whole of a running result. */
  const char *name = step->tensor ? step->tensor : "";
  size_t taken = 8 + 3 + 6 + strlen(figures) + 2 + (running ? strlen(name) : NAME_WIDTH);
  size_t width = columns > taken + BAR_LEAST ? columns - taken : BAR_LEAST;
  if (width > BAR_WIDTH) width = BAR_WIDTH;
  if (share > 1) share = 1;
  memset(bar, '-', width);
  memset(bar, '#', (size_t)(share * (double)width));
  bar[width] = '\0';
  used = (size_t)snprintf(line, sizeof line, "%-8s [%s] %3.0f %%%s  ", step->stage, bar, share * 100, figures);
  snprintf(line + used, sizeof line - used, "%s",
           running ? name : columns > used ? name_end(name, columns - used) : "");
  if (columns < sizeof line) line[columns] = '\0';
  fprintf(stderr, "\r\033[K%s", line);
  fflush(stderr);
}

bool cli_progress_update(void *user, const ellm_progress *step) {
  cli_progress *progress = user;
  if (cli_stopped()) return false;
  if (cli_quiet() || !on_terminal()) return true;
  double now = cli_seconds();
  bool anew = step->done < progress->before || step->total != progress->total;
  if (anew) {
    progress->start = now;
    progress->first = step->done;
    progress->total = step->total;
  }
  progress->before = step->done;
  if (!anew && now - progress->last < 0.1 && step->done < step->total) return true;
  progress->last = now;
  progress->shown = true;
  draw(progress, step, now);
  return true;
}

void cli_progress_end(cli_progress *progress) {
  if (progress->shown) fprintf(stderr, "\r\033[K");
  progress->shown = false;
}
