/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of model is at a path. */
#ifndef ELLM_CLI_KIND_H
#define ELLM_CLI_KIND_H

#include "program/failure.h"

/* Is it a GGUF file or a folder, and not compressed? By its first bytes. ELLM_ERR_IO where it cannot be read. */
ellm_status cli_is_source(const char *path, bool *is, ellm_error *err);

#endif
