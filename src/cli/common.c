/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages, signals and output of the program. Standard output is written
 * through here only, so that a full disk or a closed pipe is noticed once, in
 * one place, and decides the exit status.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_POLL_MS = 200 }; /* how late an interruption may be noticed while input is waited for */

static volatile sig_atomic_t stop_signals; /* how many have come */
static volatile sig_atomic_t terminated;   /* SIGTERM was among them */
static int stop_pipe[2] = {-1, -1};        /* the handler writes, who waits reads: see cli_stop_descriptor */
static bool quiet_mode;
static int output_errno; /* of the first failed write to standard output */

/* --------------------------------------------------------------- signals */

static void on_stop(int number) {
  if (number == SIGTERM) terminated = 1;
  /* Two are patience, the third says that it is not coming to an end. */
  if (++stop_signals >= 3) _exit(ELLM_INTERRUPTED);
  const int code = errno;
  if (stop_pipe[1] >= 0 && write(stop_pipe[1], "", 1) < 0) errno = code; /* full: it says so already */
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

/* -------------------------------------------------------------- messages */

void cli_set_quiet(bool quiet) { quiet_mode = quiet; }
bool cli_quiet(void) { return quiet_mode; }

/* One line; what the user typed may hold anything, so it is made printable. */
static void message(const char *before, const char *format, va_list arguments) {
  char text[1024];
  ellm_error line;
  vsnprintf(text, sizeof text, format, arguments);
  cli_failure(&line, ELLM_ERR_INTERNAL, "%s", text);
  fprintf(stderr, "entrollm: %s%s\n", before, line.message);
}

int cli_error(ellm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  message("", format, arguments);
  va_end(arguments);
  return (int)status;
}

int cli_fail(const ellm_error *err) {
  if (err->status == ELLM_INTERRUPTED) return cli_error(ELLM_INTERRUPTED, "interrupted");
  return cli_error(err->status, "%s", err->message);
}

void cli_note(const char *format, ...) {
  if (quiet_mode) return;
  va_list arguments;
  va_start(arguments, format);
  message("note: ", format, arguments);
  va_end(arguments);
}

static void take_note(void *user, const char *line) {
  (void)user;
  cli_note("%s", line);
}

const ellm_notes cli_notes = {.take = take_note};

/* ---------------------------------------------------------------- output */

void cli_write(const void *data, size_t bytes) {
  if (output_errno == 0 && fwrite(data, 1, bytes, stdout) != bytes) output_errno = errno ? errno : EIO;
}

void cli_flush(void) {
  if (output_errno == 0 && fflush(stdout) != 0) output_errno = errno ? errno : EIO;
}

bool cli_output_ok(void) { return output_errno == 0; }

int cli_finish_output(int status) {
  cli_flush();
  if (output_errno == 0 && ferror(stdout)) output_errno = EIO;
  if (fclose(stdout) != 0 && output_errno == 0) output_errno = errno ? errno : EIO;
  if (output_errno == 0) return status;
  /* A reader that has seen enough (head, less) is no cause for a message. */
  if (output_errno != EPIPE && status != ELLM_INTERRUPTED)
    cli_error(ELLM_ERR_IO, "cannot write standard output: %s", strerror(output_errno));
  return status == ELLM_OK ? ELLM_ERR_IO : status;
}

static int write_json(const char *text, size_t bytes, void *user) {
  (void)user;
  cli_write(text, bytes);
  return 0;
}

/* Piece by piece: json_dumps loses keys when it runs out of memory. */
int cli_print_json(json_t *object) {
  if (!object) return cli_error(ELLM_ERR_IO, "out of memory for the JSON output");
  int failed = json_dump_callback(object, write_json, NULL, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
  json_decref(object);
  if (failed) return cli_error(ELLM_ERR_IO, "out of memory while the JSON output was written");
  cli_write("\n", 1);
  return ELLM_OK;
}

void cli_json_append(json_t **array, json_t *value) {
  if (json_array_append_new(*array, value) == 0) return;
  json_decref(*array);
  *array = NULL;
}

json_t *cli_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *cli_json_u64(uint64_t value) {
  char text[24];
  if (value <= INT64_MAX) return json_integer((json_int_t)value);
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  return json_string(text);
}

json_t *cli_json_text(const char *text, size_t bytes) {
  cli_buffer clean = {0};
  if (cli_valid_utf8(text, bytes)) return json_stringn(text, bytes);
  json_t *value = cli_utf8_append_replaced(&clean, text, bytes) ? json_stringn((char *)clean.data, clean.size) : NULL;
  cli_buffer_free(&clean);
  return value;
}

/* ---------------------------------------------------------- input, figures */

ellm_status cli_read_stream(int fd, const char *name, char **data, size_t *bytes, ellm_error *err) {
  cli_buffer buffer = {0};
  for (;;) {
    if (!cli_buffer_reserve(&buffer, 1 << 16)) {
      size_t size = buffer.size;
      cli_buffer_free(&buffer);
      return cli_failure_memory(err, size, name);
    }
    /* Not in read() alone: a signal between the look at cli_stopped and read() would be waited out. */
    struct pollfd input = {.fd = fd, .events = POLLIN};
    int ready = 0;
    while (!cli_stopped() && ready == 0) ready = poll(&input, 1, STOP_POLL_MS);
    ssize_t n = cli_stopped() ? -1 : read(fd, buffer.data + buffer.size, (1 << 16) - 1);
    if (n > 0) buffer.size += (size_t)n;
    if (n == 0) break;
    if (n < 0 && (errno != EINTR || cli_stopped())) {
      int code = errno;
      cli_buffer_free(&buffer);
      if (cli_stopped()) return cli_failure(err, ELLM_INTERRUPTED, "interrupted");
      return cli_failure_errno(err, code, "read", name);
    }
  }
  buffer.data[buffer.size] = 0;
  *data = (char *)buffer.data;
  *bytes = buffer.size;
  return ELLM_OK;
}

ellm_status cli_read_stdin(char **data, size_t *bytes, ellm_error *err) {
  return cli_read_stream(STDIN_FILENO, "standard input", data, bytes, err);
}

const char *cli_size_text(uint64_t bytes, char text[24]) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    unit++;
  }
  snprintf(text, 24,
           unit == 0       ? "%.0f %s"
           : value < 9.995 ? "%.2f %s"
           : value < 99.95 ? "%.1f %s"
                           : "%.0f %s",
           value, units[unit]);
  return text;
}
