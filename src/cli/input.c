/* SPDX-License-Identifier: Apache-2.0 */
/* See input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program/buffer.h"
#include "cli/files.h"
#include "cli/signals.h"

enum { STOP_POLL_MS = 200 }; /* how late an interruption may be noticed while input is waited for */
static const size_t text_limit = (size_t)1 << 30;

ellm_status cli_read_stream(int fd, const char *name, char **data, size_t *bytes, ellm_error *err) {
  prog_buffer buffer = {0};
  for (;;) {
    if (!prog_reserve(&buffer, 1 << 16)) {
      size_t size = buffer.bytes;
      prog_buffer_free(&buffer);
      return prog_failure_memory(err, size, name);
    }
    /* Not in read() alone: a signal between the look at cli_stopped and read() would be waited out. */
    struct pollfd input = {.fd = fd, .events = POLLIN};
    int ready = 0;
    while (!cli_stopped() && ready == 0) ready = poll(&input, 1, STOP_POLL_MS);
    ssize_t n = cli_stopped() ? -1 : read(fd, buffer.data + buffer.bytes, (1 << 16) - 1);
    if (n > 0) buffer.bytes += (size_t)n;
    if (n == 0) break;
    if (n < 0 && (errno != EINTR || cli_stopped())) {
      int code = errno;
      prog_buffer_free(&buffer);
      if (cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
      return prog_failure_errno(err, code, "read", name);
    }
  }
  buffer.data[buffer.bytes] = 0;
  *data = buffer.data;
  *bytes = buffer.bytes;
  return ELLM_OK;
}

ellm_status cli_read_stdin(char **data, size_t *bytes, ellm_error *err) {
  return cli_read_stream(STDIN_FILENO, "standard input", data, bytes, err);
}

void cli_text_free(cli_text *text) {
  free(text->data);
  *text = (cli_text){0};
}

ellm_status cli_text_read(const char *path, cli_text *text, ellm_error *err) {
  *text = (cli_text){0};
  if (strcmp(path, "-") == 0) return cli_read_stdin(&text->data, &text->bytes, err);
  struct stat facts;
  if (stat(path, &facts) != 0 || !S_ISFIFO(facts.st_mode))
    return cli_read_file(path, text_limit, &text->data, &text->bytes, err);
  const int fd = open(path, O_RDONLY | O_CLOEXEC); /* waits for the other end, unless a signal comes */
  if (fd < 0 && cli_stopped()) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  if (fd < 0) return prog_failure_errno(err, errno, "open", path);
  const ellm_status status = cli_read_stream(fd, path, &text->data, &text->bytes, err);
  close(fd);
  return status;
}

ellm_status cli_text_copy(const char *given, cli_text *text, ellm_error *err) {
  *text = (cli_text){.data = strdup(given), .bytes = strlen(given)};
  return text->data ? ELLM_OK : prog_failure_memory(err, strlen(given) + 1, "a text");
}

void cli_text_drop_newline(cli_text *text) {
  if (text->bytes > 0 && text->data[text->bytes - 1] == '\n') text->data[--text->bytes] = '\0';
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t cli_unescape(char *text, size_t bytes) {
  static const char letters[] = "nrt'\"\\", meant[] = "\n\r\t'\"\\";
  char *to = text;
  for (size_t i = 0; i < bytes; i++) {
    const char *at = text + i;
    const char *letter = at[0] == '\\' && i + 1 < bytes && at[1] ? strchr(letters, at[1]) : NULL;
    if (letter) {
      *to++ = meant[letter - letters];
      i++;
    } else if (at[0] == '\\' && i + 3 < bytes && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
      *to++ = (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
      i += 3;
    } else {
      *to++ = at[0];
    }
  }
  *to = '\0';
  return (size_t)(to - text);
}
