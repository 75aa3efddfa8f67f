/* SPDX-License-Identifier: Apache-2.0 */
/* What a server takes, before it is started. */
#ifndef ELLM_SERVE_MEMORY_H
#define ELLM_SERVE_MEMORY_H

#include "serve/options.h"

/* Bytes that a server with these options takes at most, and what of it. The file counts (model_bytes), though other
 * processes may share it. */
typedef struct serve_memory { uint64_t model, cache, answers, grammars, work, requests, total; } serve_memory;
void serve_memory_needed(ellm_model *model, const serve_options *options, uint64_t model_bytes, serve_memory *needed);

#endif
