/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of a command line to a command. */
#ifndef ELLM_CLI_DISPATCH_H
#define ELLM_CLI_DISPATCH_H

/* Runs the command and closes standard output; the exit status of the process. Once in a process. */
int cli_main(int argc, char **argv);

#endif
