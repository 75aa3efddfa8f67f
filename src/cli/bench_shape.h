/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of models that bench makes or measures without their weights. */
#ifndef ELLM_CLI_BENCH_SHAPE_H
#define ELLM_CLI_BENCH_SHAPE_H

#include "entrollm.h"

/* The names of published shapes, for help. */
#define CLI_SHAPES "smollm-1.7b, qwen3-30b-a3b, gemma-3-4b"
#define CLI_SUGGEST_SHAPES "smollm-1.7b qwen3-30b-a3b gemma-3-4b .json"

/* A name is that of a published shape; a path leads to a config.json. *config is malloc'ed, or NULL: the shape uses it.
 * Returns an exit status; what is wrong was said. */
int cli_find_shape(const char *command, const char *name, ellm_bench_shape *shape, char **config);

#endif
