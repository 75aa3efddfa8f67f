/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ELLM_CLI_BENCH_COMPRESS_H
#define ELLM_CLI_BENCH_COMPRESS_H

int cmd_bench_compress(int argc, char **argv); /* entrollm bench compress */

#endif
