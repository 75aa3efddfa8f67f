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
  ellm_fail(&line, ELLM_ERR_INTERNAL, "%s", text);
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

/* Length of the well-formed UTF-8 sequence at text, 0 if there is none. */
static size_t utf8_sequence(const unsigned char *text, size_t bytes) {
  if (text[0] < 0x80) return 1;
  size_t n = text[0] >= 0xC2 && text[0] <= 0xDF   ? 2
             : (text[0] & 0xF0) == 0xE0           ? 3
             : text[0] >= 0xF0 && text[0] <= 0xF4 ? 4
                                                  : 0;
  if (n == 0 || n > bytes) return 0;
  for (size_t i = 1; i < n; i++)
    if ((text[i] & 0xC0) != 0x80) return 0;
  if ((text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] > 0x9F)) return 0; /* overlong, surrogate */
  if ((text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] > 0x8F)) return 0;
  return n;
}

bool cli_valid_utf8(const char *text, size_t bytes) {
  for (size_t i = 0, n; i < bytes; i += n)
    if ((n = utf8_sequence((const unsigned char *)text + i, bytes - i)) == 0) return false;
  return true;
}

json_t *cli_json_text(const char *text, size_t bytes) {
  if (cli_valid_utf8(text, bytes)) return json_stringn(text, bytes);
  char *clean = bytes < SIZE_MAX / 3 ? malloc(bytes * 3 + 1) : NULL;
  if (!clean) return NULL;
  size_t used = 0;
  for (size_t i = 0; i < bytes;) {
    size_t n = utf8_sequence((const unsigned char *)text + i, bytes - i);
    memcpy(clean + used, n ? text + i : "\xEF\xBF\xBD", n ? n : 3);
    used += n ? n : 3;
    i += n ? n : 1;
  }
  json_t *value = json_stringn(clean, used);
  free(clean);
  return value;
}

/* ----------------------------------------------------------- result files */

/* Whether path is the model, or a file that is in its folder already. */
static bool belongs_to(const char *path, const char *model) {
  if (!file_is_directory(model)) return file_same(path, model);
  const char *slash = strrchr(path, '/');
  size_t bytes = slash ? (size_t)(slash - path) + 1 : 0; /* with the slash: "/" stays "/" */
  char folder[4096];
  if (bytes >= sizeof folder) return false;
  snprintf(folder, sizeof folder, "%.*s", (int)bytes, path);
  return file_exists(path) && file_same(bytes ? folder : ".", model);
}

ellm_status cli_output_open(cli_output *output, const char *path, const char *model, ellm_error *err) {
  struct stat facts;
  *output = (cli_output){.writer = NULL, .stream = NULL, .path = path};
  if (strcmp(path, "-") == 0) {
    output->stream = stdout;
    return ELLM_OK;
  }
  if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode)) {
    output->stream = fopen(path, "wb");
    return output->stream ? ELLM_OK : ellm_fail_errno(err, errno, "write", path);
  }
  if (belongs_to(path, model))
    return ellm_fail(err, ELLM_ERR_USAGE, "%s: is of the model that is read, and would be replaced", path);
  file_writer_options options = {.overwrite = true, .keep_partial = false, .resume = false};
  return file_writer_open(path, &options, &output->writer, err);
}

ellm_status cli_output_write(cli_output *output, const void *data, size_t bytes, ellm_error *err) {
  if (output->writer) return file_writer_append(output->writer, data, bytes, err);
  if (output->stream == stdout) cli_write(data, bytes);
  else if (fwrite(data, 1, bytes, output->stream) != bytes) return ellm_fail_errno(err, errno, "write", output->path);
  return ELLM_OK;
}

ellm_status cli_output_close(cli_output *output, ellm_error *err) {
  ellm_status status = ELLM_OK;
  if (output->writer) status = file_writer_commit(output->writer, err);
  else if (output->stream && output->stream != stdout && fclose(output->stream) != 0)
    status = ellm_fail_errno(err, errno, "write", output->path);
  output->writer = NULL;
  output->stream = NULL;
  return status;
}

void cli_output_abort(cli_output *output) {
  if (output->writer) file_writer_abort(output->writer);
  if (output->stream && output->stream != stdout) fclose(output->stream);
  output->writer = NULL;
  output->stream = NULL;
}

/* ---------------------------------------------------------- input, figures */

ellm_status cli_read_stdin(char **data, size_t *bytes, ellm_error *err) {
  ellm_buffer buffer = {0};
  for (;;) {
    if (!ellm_buffer_reserve(&buffer, 1 << 16)) {
      size_t size = buffer.size;
      ellm_buffer_free(&buffer);
      return ellm_fail_memory(err, size, "standard input");
    }
    /* Not in read() alone: a signal between the look at cli_stopped and read() would be waited out. */
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = 0;
    while (!cli_stopped() && ready == 0) ready = poll(&input, 1, STOP_POLL_MS);
    ssize_t n = cli_stopped() ? -1 : read(STDIN_FILENO, buffer.data + buffer.size, (1 << 16) - 1);
    if (n > 0) buffer.size += (size_t)n;
    if (n == 0) break;
    if (n < 0 && (errno != EINTR || cli_stopped())) {
      int code = errno;
      ellm_buffer_free(&buffer);
      if (cli_stopped()) return ellm_fail(err, ELLM_INTERRUPTED, "interrupted");
      return ellm_fail_errno(err, code, "read", "standard input");
    }
  }
  buffer.data[buffer.size] = 0;
  *data = (char *)buffer.data;
  *bytes = buffer.size;
  return ELLM_OK;
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
