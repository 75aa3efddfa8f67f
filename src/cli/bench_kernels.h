/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels' part of the bench command. */
#ifndef ELLM_CLI_BENCH_KERNELS_H
#define ELLM_CLI_BENCH_KERNELS_H

/* argv[0] is the word "kernels"; returns an exit status. */
int cmd_bench_kernels(int argc, char **argv);

#endif
