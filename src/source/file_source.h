/* SPDX-License-Identifier: Apache-2.0 */
/* A .ellm file as a source. */
#ifndef ELLM_SOURCE_FILE_SOURCE_H
#define ELLM_SOURCE_FILE_SOURCE_H

#include "source/kind.h"

/* Into *s, which is zero but for its lock. */
ellm_status file_source_open(const char *path, const source_options *options, tensor_source *s, ellm_error *err);

#endif
