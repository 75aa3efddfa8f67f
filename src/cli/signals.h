/* SPDX-License-Identifier: Apache-2.0 */
/* Interruption, and what a process needs before it does anything. */
#ifndef ELLM_CLI_SIGNALS_H
#define ELLM_CLI_SIGNALS_H

#include <stdbool.h>

/* SIGINT and SIGTERM set a flag; SIGPIPE becomes an error of the write; file
 * numbers 0 to 2 are taken. */
void cli_prepare_process(void);
bool cli_stopped(void);
bool cli_goes_on(void *user); /* !cli_stopped(), for calls that ask; user is not used */
/* Go on after SIGINT; false where SIGTERM has come: that is the end. */
bool cli_forget_interrupt(void);
/* Can be read once a signal has come: for poll, which no signal slips past. -1: there is none. */
int cli_stop_descriptor(void);

#endif
