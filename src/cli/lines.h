/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input: edited, with a history, on a terminal; as they come otherwise. */
#ifndef ELLM_CLI_LINES_H
#define ELLM_CLI_LINES_H

#include <stdio.h>

#include "program/buffer.h"

typedef struct line_reader line_reader;

/* edit: standard input and `screen` (a stream) are a terminal. color: of the prompt. NULL: no memory. */
line_reader *line_reader_create(bool edit, FILE *screen, bool color);
void line_reader_free(line_reader *reader);

enum { LINE_LIMIT = 64 << 20 };

typedef enum line_result {
  LINE_TEXT,        /* *line, without its end, valid UTF-8 */
  LINE_END,         /* end of the input */
  LINE_INTERRUPTED, /* by a signal; *line is empty if nothing was being typed */
  LINE_TOO_LONG,    /* more than LINE_LIMIT bytes, not edited */
  LINE_FAILED       /* errno */
} line_result;

/* The next line into *line, which is emptied first; the prompt is shown where lines are edited. */
line_result line_reader_next(line_reader *reader, const char *prompt, prog_buffer *line);

#endif
