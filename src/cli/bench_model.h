/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ELLM_CLI_BENCH_MODEL_H
#define ELLM_CLI_BENCH_MODEL_H

int cmd_bench_model(int argc, char **argv); /* entrollm bench model */

#endif
