/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on standard error. */
#ifndef ELLM_CLI_MESSAGES_H
#define ELLM_CLI_MESSAGES_H

#include "program/failure.h"

/* Print "entrollm: message" (one line) on standard error and return `status`. */
int cli_error(ellm_status status, const char *format, ...) PROG_PRINTF(2, 3);
/* The same for an error of the library; an interruption says just that, and with a file that exists goes what replaces
 * it. */
int cli_fail(const ellm_error *err);
/* "entrollm: note: message", unless the command is quiet. */
void cli_note(const char *format, ...) PROG_PRINTF(1, 2);
extern const ellm_notes cli_notes; /* notes of the library, said by cli_note */
void cli_set_quiet(bool quiet);
bool cli_quiet(void);

#endif
