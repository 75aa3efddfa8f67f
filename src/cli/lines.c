/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Editing is libedit's, in wide characters, so that nothing depends on how a
 * locale encodes them; bytes are read and decoded here. libedit itself would go
 * on reading after a signal, which has to end the line.
 */
#include "cli/lines.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { HISTORY_LINES = 1000, INPUT_BYTES = 1 << 16, PROMPT_CHARACTERS = 64 };

struct line_reader {
  EditLine *editor; /* NULL: lines are not edited */
  HistoryW *history;
  wchar_t prompt[PROMPT_CHARACTERS];
  bool color;
  bool interrupted, typed; /* by a signal; had the line characters then? */
  int failed;              /* errno of reading */
  char *input;             /* bytes read and not used yet: input[at..end) */
  size_t at, end;
};

/* Read more bytes. 1, 0 at the end, -1 after a signal or an error. */
static int fill(line_reader *reader, size_t most) {
  struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = cli_stop_descriptor(), .events = POLLIN}};
  reader->at = reader->end = 0;
  for (;;) {
    /* after another signal there may be nothing to read yet; errors of the input are seen when it is read */
    const bool again = !cli_stopped() && poll(both, 2, -1) < 0 && errno == EINTR;
    if (cli_stopped()) {
      reader->interrupted = true;
      return -1;
    }
    if (again) continue;
    const ssize_t n = read(STDIN_FILENO, reader->input, most);
    if (n >= 0) {
      reader->end = (size_t)n;
      return n > 0;
    }
    if (errno == EINTR) continue;
    reader->failed = errno;
    return -1;
  }
}

/* ------------------------------------------------------------------ editing */

static wchar_t *editor_prompt(EditLine *editor) {
  void *reader = NULL;
  el_wget(editor, EL_CLIENTDATA, &reader);
  return ((line_reader *)reader)->prompt;
}

/* A character, for libedit: 1, 0 at the end, -1. Invalid bytes become U+FFFD. */
static int editor_read(EditLine *editor, wchar_t *out) {
  void *user = NULL;
  el_wget(editor, EL_CLIENTDATA, &user);
  line_reader *reader = user;
  char bytes[4];
  size_t n = 0, length;
  uint32_t cp;
  for (;;) {
    if (reader->at == reader->end) {
      const int got = fill(reader, 1); /* what follows the line may be for others */
      if (got <= 0) {
        const LineInfoW *line = el_wline(editor);
        reader->typed = line->lastchar > line->buffer;
        return got;
      }
    }
    bytes[n++] = reader->input[reader->at++];
    switch (prog_utf8_next(bytes, n, &cp, &length)) {
      case PROG_UTF8_INCOMPLETE: continue;
      case PROG_UTF8_INVALID:
        if (length < n) reader->at--; /* belongs to what comes next */
        *out = 0xFFFD;
        return 1;
      case PROG_UTF8_CHARACTER: *out = (wchar_t)cp; return 1;
    }
  }
}

static bool start_editor(line_reader *reader, FILE *screen) {
  /* libedit writes in the locale's encoding */
  if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
  HistEventW event;
  reader->editor = el_init("entrollm", stdin, screen, stderr);
  reader->history = history_winit();
  if (!reader->editor || !reader->history) return false;
  history_w(reader->history, &event, H_SETSIZE, HISTORY_LINES);
  history_w(reader->history, &event, H_SETUNIQUE, 1);
  el_wset(reader->editor, EL_CLIENTDATA, reader);
  el_wset(reader->editor, EL_EDITOR, L"emacs");
  el_wset(reader->editor, EL_SIGNAL, 0);
  el_wset(reader->editor, EL_HIST, history_w, reader->history);
  el_wset(reader->editor, EL_PROMPT_ESC, editor_prompt, L'\1');
  el_wset(reader->editor, EL_GETCFN, editor_read);
  el_wset(reader->editor, EL_BIND, L"^R", L"em-inc-search-prev", NULL);
  return true;
}

/* The colour ends before the last character, a blank: libedit shows no sequence behind it. */
static void set_prompt(line_reader *reader, const char *text) {
  static const wchar_t before[] = L"\1\33[1;32m\1", after[] = L"\1\33[0m\1";
  size_t n = 0;
  for (const wchar_t *c = before; reader->color && *c; c++) reader->prompt[n++] = *c;
  for (; *text && n < PROMPT_CHARACTERS - sizeof after / sizeof *after - 1; text++) {
    for (const wchar_t *c = after; reader->color && text[1] == '\0' && *c; c++) reader->prompt[n++] = *c;
    reader->prompt[n++] = (wchar_t)*text;
  }
  reader->prompt[n] = L'\0';
}

static line_result edit_line(line_reader *reader, const char *prompt, prog_buffer *line) {
  HistEventW event;
  int n = 0;
  set_prompt(reader, prompt);
  el_resize(reader->editor);
  el_wset(reader->editor, EL_PREP_TERM, 1); /* before the prompt is shown: what is typed then is for the editor */
  const wchar_t *text = el_wgets(reader->editor, &n);
  if (reader->interrupted) {
    if (reader->typed && !prog_append(line, "?", 1)) return LINE_FAILED;
    return LINE_INTERRUPTED;
  }
  if (!text || n <= 0) {
    errno = reader->failed;
    return reader->failed != 0 ? LINE_FAILED : LINE_END;
  }
  if (n > 1) history_w(reader->history, &event, H_ENTER, text);
  for (int i = 0; i < n && text[i] != L'\n'; i++)
    if (!prog_utf8_append(line, (uint32_t)text[i])) return LINE_FAILED;
  return LINE_TEXT;
}

/* ---------------------------------------------------------------- as it comes */

static line_result plain_line(line_reader *reader, prog_buffer *line) {
  prog_buffer raw = {0};
  bool ended = false, good = true;
  while (good && !ended && raw.bytes <= LINE_LIMIT) {
    if (reader->at == reader->end && fill(reader, INPUT_BYTES) <= 0) break;
    const char *from = reader->input + reader->at, *newline = memchr(from, '\n', reader->end - reader->at);
    const size_t n = newline ? (size_t)(newline - from) : reader->end - reader->at;
    good = prog_append(&raw, from, n);
    ended = newline != NULL;
    reader->at += n + ended;
  }
  const bool some = ended || raw.bytes > 0, too_long = raw.bytes > LINE_LIMIT;
  if (good && raw.bytes > 0 && raw.data[raw.bytes - 1] == '\r') raw.bytes--;
  if (good && !too_long && raw.bytes > 0) good = prog_utf8_append_replaced(line, raw.data, raw.bytes);
  prog_buffer_free(&raw);
  if (reader->interrupted) return LINE_INTERRUPTED;
  if (!good || reader->failed != 0) {
    errno = good ? reader->failed : ENOMEM;
    return LINE_FAILED;
  }
  if (too_long) return LINE_TOO_LONG;
  return some ? LINE_TEXT : LINE_END;
}

line_result line_reader_next(line_reader *reader, const char *prompt, prog_buffer *line) {
  prog_buffer_clear(line);
  reader->interrupted = reader->typed = false;
  reader->failed = 0;
  return reader->editor ? edit_line(reader, prompt, line) : plain_line(reader, line);
}

line_reader *line_reader_create(bool edit, FILE *screen, bool color) {
  line_reader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  reader->color = color;
  reader->input = malloc(INPUT_BYTES);
  if (reader->input && (!edit || start_editor(reader, screen))) return reader;
  line_reader_free(reader);
  return NULL;
}

void line_reader_free(line_reader *reader) {
  if (!reader) return;
  if (reader->editor) el_end(reader->editor);
  if (reader->history) history_wend(reader->history);
  free(reader->input);
  free(reader);
}
