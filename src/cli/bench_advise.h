/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ELLM_CLI_BENCH_ADVISE_H
#define ELLM_CLI_BENCH_ADVISE_H

int cmd_bench_advise(int argc, char **argv); /* entrollm bench advise */

#endif
