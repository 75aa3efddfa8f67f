/* SPDX-License-Identifier: Apache-2.0 */
/* Folders with the parts of a model, as `entrollm split` writes them. */
#ifndef ELLM_CLI_PARTS_H
#define ELLM_CLI_PARTS_H

#include "program/failure.h"

/* Where `path` is such a folder, *part is the file of this process, malloc'ed, among the processes that run one command
 * together; ELLM_ERR_INPUT where it has none of that number, or the process is alone. NULL: it is something else. */
ellm_status cli_find_part(const char *path, char **part, ellm_error *err);

#endif
