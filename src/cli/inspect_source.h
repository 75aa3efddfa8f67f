/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm inspect of what is not compressed: GGUF files and checkpoint folders. */
#ifndef ELLM_CLI_INSPECT_SOURCE_H
#define ELLM_CLI_INSPECT_SOURCE_H

#include <stdbool.h>

#include "entrollm.h"

/* Describe it, or one of its tensors where `name` is not NULL; returns the exit status. */
int cli_inspect_source(const char *path, const char *name, bool as_table);

#endif
