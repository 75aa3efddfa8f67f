/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that options name: given as they are, in a file, or on standard input; and their escapes. */
#ifndef ELLM_CLI_INPUT_H
#define ELLM_CLI_INPUT_H

#include "program/failure.h"

/* All that comes from a descriptor, malloc'ed, with a NUL after it. `name` names it in errors. */
ellm_status cli_read_stream(int fd, const char *name, char **data, size_t *bytes, ellm_error *err);
/* The same of standard input. */
ellm_status cli_read_stdin(char **data, size_t *bytes, ellm_error *err);

/* A text of its own memory, NUL-terminated; `bytes` does not count the NUL, and others may be inside. */
typedef struct cli_text { char *data; size_t bytes; } cli_text;
void cli_text_free(cli_text *text);

/* The bytes of a file, or of a pipe such as the shell makes for <(command); "-" is standard input. */
ellm_status cli_text_read(const char *path, cli_text *text, ellm_error *err);
ellm_status cli_text_copy(const char *given, cli_text *text, ellm_error *err);

/* One newline at the end belongs to the file, not to the text: editors and echo add it. As llama.cpp's -f. */
void cli_text_drop_newline(cli_text *text);
/* In place, returns the new length: \n \r \t \' \" \\ and \x with two hexadecimal digits become what they stand for;
 * any other backslash stays. */
size_t cli_unescape(char *text, size_t bytes);

#endif
