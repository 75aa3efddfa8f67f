/* SPDX-License-Identifier: Apache-2.0 */
/* The program `entrollm`, alone: src/mpi/main.c is that of several processes. */
#include "cli/dispatch.h"

int main(int argc, char **argv) { return cli_main(argc, argv); }
